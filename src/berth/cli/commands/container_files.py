"""``container diff``, ``export`` and ``commit``."""

from __future__ import annotations

from berth.base.errors import InvalidArgument
from berth.cli import output_file
from berth.cli.command import Command
from berth.cli.flags import Flag
from berth.cli.references import split_name
from berth.client.engine import query

TYPE_CHECKING = False
if TYPE_CHECKING:
    from berth.cli.flags import Flags
    from berth.client.engine import Engine

_KINDS = "CAD"
"""Changed, added, deleted: by the API's number."""


def container(flags: Flags) -> str:
    """The first argument. Raises: InvalidArgument when it is empty."""
    name = flags.args[0].strip()
    if not name:
        raise InvalidArgument("container name cannot be empty")
    return name


def diff(engine: Engine, flags: Flags) -> int:
    for change in engine.get(f"/containers/{container(flags)}/changes") or ():
        print(_KINDS[change["Kind"]], change["Path"])
    return 0


def export(engine: Engine, flags: Flags) -> int:
    target, what = flags.text("output"), "failed to export container"
    output_file.check(target, what)
    response = engine.send("GET", f"/containers/{container(flags)}/export", fresh=True)
    output_file.write(response, target, what)
    return 0


def commit(engine: Engine, flags: Flags) -> int:
    repo, tag = ("", "")
    if len(flags.args) > 1:
        from berth.spec.reference import parse_reference

        if parse_reference(flags.args[1]).digest:
            raise InvalidArgument("cannot commit to digest reference")
        repo, tag = split_name(flags.args[1])
    path = "/commit" + query(
        container=container(flags), repo=repo, tag=tag, comment=flags.text("message"), author=flags.text("author")
    )
    for change in flags.list_("change"):
        path += query(changes=change).replace("?", "&", 1)
    if not flags.on("pause"):
        path += "&pause=0"
    print(engine.post(path, {})["Id"])
    return 0


COMMANDS = {
    "diff": Command("CONTAINER", "Inspect changes to files or directories on a container's filesystem", [], (1, 1), diff,
                    complete=("live",)),
    "export": Command(
        "[OPTIONS] CONTAINER", "Export a container's filesystem as a tar archive",
        [Flag("output", "string", "Write to a file, instead of STDOUT", "o")], (1, 1), export,
    ),
    "commit": Command(
        "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]", "Create a new image from a container's changes",
        [
            Flag("author", "string", 'Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")', "a"),
            Flag("change", "list", "Apply Dockerfile instruction to the created image", "c"),
            Flag("message", "string", "Commit message", "m"),
            Flag("pause", "bool", "Pause container during commit", "p", "true"),
        ],
        (1, 2), commit, complete=("live", "images"),
    ),
}  # fmt: skip
