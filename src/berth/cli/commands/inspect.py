"""``inspect``, and its forms for one kind of object."""

from __future__ import annotations

import sys

from berth.base.errors import BerthError, InvalidArgument, NotFound
from berth.cli.command import Command, sentence
from berth.cli.commands.image_archives import oci_platform
from berth.cli.flags import FORMAT_OF_ONE, Flag
from berth.client.engine import query, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from berth.cli.flags import Flags
    from berth.client.engine import Engine

_PATHS = {
    "container": "/containers/{}/json",
    "image": "/images/{}/json",
    "network": "/networks/{}",
    "volume": "/volumes/{}",
}
_PLATFORM = """Inspect a specific platform of the multi-platform image.
If the image or the server is not multi-platform capable, the command will error out if the platform does not match.
'os[/arch[/variant]]': Explicit platform (eg. linux/amd64)"""
_TYPES = ("config", "container", "image", "network", "node", "plugin", "secret", "service", "task", "volume")
"""What docker knows; those of a swarm and plugins are answered by the engine's own sentence."""
_OTHER_PATHS = {"config": "/configs/{}", "node": "/nodes/{}", "plugin": "/plugins/{}/json", "secret": "/secrets/{}",
                "service": "/services/{}", "task": "/tasks/{}"}  # fmt: skip


def _inspect(engine: Engine, flags: Flags, kinds: Sequence[str]) -> int:
    from berth.cli import formats

    format_ = flags.text("format")
    template = None
    if format_ and format_ != "json":
        template = formats.parse(format_, strict=True)
    if flags.knows("as") and flags.given("as"):
        return _as(engine, flags)
    more = {}
    if kinds[0] == "container" and flags.on("size"):
        more["container"] = query(size=True)
    if tuple(kinds) == ("image",):
        more["image"] = query(platform=oci_platform(flags.text("platform") if flags.knows("platform") else ""))
    found, failures = [], []
    for ref in flags.args:
        try:
            found.append(_find(engine, ref, kinds, more))
        except BerthError as err:
            failures.append(sentence(err))
    if template is None:
        formats.print_list(found, compact=format_ == "json")
    elif not found:
        print()
    else:
        from berth.cli.gofields import typed

        formats.print_each(template, [typed(entry) for entry in found])
    sys.stdout.flush()
    for line in failures:
        print(line, file=sys.stderr)
    return 1 if failures else 0


def _as(engine: Engine, flags: Flags) -> int:
    """``--as run``: the command that would make each container again. Raises: InvalidArgument."""
    import shlex

    from berth.cli.as_run import words
    from berth.cli.command import PROGRAM

    if flags.text("as") != "run":
        raise InvalidArgument(f'invalid --as "{flags.text("as")}": containers can be told as "run"')
    if flags.given("format"):
        raise InvalidArgument("conflicting options: cannot specify both --as and --format")
    info, failed = engine.get("/info"), False
    for ref in flags.args:
        try:
            found = engine.get(f"/containers/{quote(ref)}/json")
        except BerthError as err:
            sys.stdout.flush()
            print(sentence(err), file=sys.stderr)
            failed = True
            continue
        try:
            image = engine.get(f"/images/{found['Image']}/json")
        except NotFound:
            image = {}
        print(shlex.join(words(found, image, info, PROGRAM)))
    return 1 if failed else 0


def _find(engine: Engine, ref: str, kinds: Sequence[str], more: dict[str, str]) -> Any:
    """``more``: the query, by kind."""
    for kind in kinds:
        path = {**_PATHS, **_OTHER_PATHS}[kind].format(quote(ref, "/:@"))
        try:
            return engine.get(path + more.get(kind, ""))
        except NotFound:
            if len(kinds) == 1:
                raise
        except InvalidArgument:
            if kind == kinds[-1]:
                raise
    raise NotFound(f"Error: No such object: {ref}")


def _of(kinds: Sequence[str], usage: str, help_: str) -> Command:
    def run(engine: Engine, flags: Flags) -> int:
        chosen = kinds
        if len(kinds) > 1 and flags.given("type"):
            chosen = (flags.text("type"),)
            if chosen[0] not in _TYPES:
                known = ", ".join(f'"{name}"' for name in _TYPES)
                raise InvalidArgument(f'unknown type: "{chosen[0]}": must be one of {known}')
        return _inspect(engine, flags, chosen)

    options = [FORMAT_OF_ONE]
    noun = f"{kinds[0]}s" if len(kinds) == 1 else "objects"
    if "container" in kinds:
        options.append(
            Flag("as", "string", "Print the command that would make a container again: run", choices=("run",))
        )
        options.append(Flag("size", "bool", "Display total file sizes if the type is container", "s"))
    if len(kinds) > 1:
        options.append(Flag("type", "string", "Only inspect objects of the given type", choices=tuple(_PATHS)))
    if kinds == ("network",):
        options.append(Flag("verbose", "bool", "Verbose output for diagnostics", "v"))
    if kinds == ("image",):
        options.append(Flag("platform", "string", _PLATFORM))
    return Command(f"[OPTIONS] {usage} [{usage}...]", help_, options, (1, -1), run, complete=(noun,))


COMMANDS = {
    "inspect": _of(("container", "image", "network", "volume"), "NAME|ID", "Return low-level information on objects"),
    "inspect container": _of(("container",), "CONTAINER", "Display detailed information on one or more containers"),
    "inspect image": _of(("image",), "IMAGE", "Display detailed information on one or more images"),
    "inspect volume": _of(("volume",), "VOLUME", "Display detailed information on one or more volumes"),
    "inspect network": _of(("network",), "NETWORK", "Display detailed information on one or more networks"),
}
