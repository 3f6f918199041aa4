"""``context``: create, use, show, ls, inspect, update, export, import, rm: on the store that docker shares."""

from __future__ import annotations

import os
import sys

from berth.base.errors import BerthError, InvalidArgument
from berth.cli import config, context_archive, contexts, table
from berth.cli.command import PROGRAM, Command, Failed
from berth.cli.flags import FORMAT, FORMAT_OF_ONE, Flag, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from berth.cli.flags import Flags
    from berth.client.engine import Engine

_BAD_ENDPOINT = "unable to create docker endpoint config: "
_ENDPOINT_KEYS = ("from", "host", "ca", "cert", "key", "skip-tls-verify")


def current() -> str:
    """The context in force for this command."""
    if os.environ.get("DOCKER_HOST"):
        return "default"
    return os.environ.get("DOCKER_CONTEXT") or config.text("currentContext") or "default"


def _default() -> contexts.Context:
    """What flags and the environment say, as a context."""
    from berth.client.engine import default_host

    return contexts.Context("default", default_host())


def _get(name: str) -> contexts.Context:
    return _default() if name == "default" else contexts.get(name)


def _endpoint(flags: Flags) -> dict[str, str]:
    """``--docker host=...,ca=...``. Raises: UsageError for what is no pair, InvalidArgument for a key that is not known."""
    found: dict[str, str] = {}
    for text in flags.list_("docker"):
        for pair in text.split(","):
            key, eq, value = pair.partition("=")
            if not eq:
                raise UsageError(
                    f'invalid argument "{text}" for "--docker" flag: {pair} must be formatted as key=value'
                )
            found[key] = value
    for key in found:
        if key not in _ENDPOINT_KEYS:
            raise InvalidArgument(f"{_BAD_ENDPOINT}unrecognized config key: {key}")
    return found


def _apply(context: contexts.Context, given: dict[str, str]) -> None:
    """Put endpoint settings into a context. Raises: InvalidArgument, NotFound."""
    if "from" in given:
        source = _get(given["from"])
        context.host, context.tls, context.skip_verify = source.host, dict(source.tls), source.skip_verify
        return
    if "skip-tls-verify" in given:
        context.skip_verify = given["skip-tls-verify"].lower() in ("true", "1", "t")
    for key, name in contexts.TLS_FILES.items():
        if given.get(key):
            context.tls[name] = _file(given[key])
    if context.tls:
        from berth.cli.context_tls import check

        try:
            check(context.tls)
        except InvalidArgument as err:
            raise InvalidArgument(f"{_BAD_ENDPOINT}invalid docker endpoint options: {err.message}") from err
    if "host" in given:
        context.host = _host(given["host"], bool(context.tls))


def _host(text: str, tls: bool) -> str:
    from berth.cli.endpoint import parse_host

    try:
        return parse_host(text, tls)
    except InvalidArgument as err:
        raise InvalidArgument(f"unable to parse docker host `{text}`: {err.message}") from err


def _file(path: str) -> bytes:
    try:
        with open(os.path.expanduser(path), "rb") as file:
            return file.read()
    except OSError as err:
        raise InvalidArgument(f"{_BAD_ENDPOINT}open {path}: {_why(err)}") from err


def _why(err: OSError) -> str:
    return os.strerror(err.errno or 0).lower()


def create(engine: Engine, flags: Flags) -> int:
    name, given = flags.args[0], _endpoint(flags)
    contexts.check_name(name)
    if os.path.exists(contexts.meta_path(name)):
        raise InvalidArgument(f'context "{name}" already exists')
    if flags.text("from"):
        if given:
            raise InvalidArgument("cannot use --docker flag when --from is set")
        made = _get(flags.text("from"))
        made.name = name
    elif not given:
        made = _get(current())
        made.name = name
    else:
        made = contexts.Context(name, "")
        try:
            _apply(made, given)
        except BerthError as err:
            text = err.message.removeprefix(_BAD_ENDPOINT)
            raise InvalidArgument(_BAD_ENDPOINT + text) from err
    if flags.given("description"):
        made.description = flags.text("description")
    contexts.save(made, replace=False)
    return _done(name, f'Successfully created context "{name}"')


def _done(name: str, line: str) -> int:
    print(name, flush=True)
    print(line, file=sys.stderr)
    return 0


def update(engine: Engine, flags: Flags) -> int:
    name, given = flags.args[0], _endpoint(flags)
    if name == "default":
        raise InvalidArgument('"default" is a reserved context name')
    context = contexts.get(name)
    if flags.given("description"):
        context.description = flags.text("description")
    _apply(context, given)
    contexts.save(context, replace=True)
    return _done(name, f'Successfully updated context "{name}"')


def use(engine: Engine, flags: Flags) -> int:
    name = flags.args[0]
    if name != "default":
        contexts.get(name)
    config.set_text("currentContext", "" if name == "default" else name)
    print(name, flush=True)
    print(f'Current context is now "{name}"', file=sys.stderr)
    if name != "default" and os.environ.get("DOCKER_HOST"):
        _warn_of_host(f'"{name}"')
    return 0


def _warn_of_host(what: str) -> None:
    print(
        f"Warning: DOCKER_HOST environment variable overrides the active context. To use {what}, either set the "
        "global --context flag, or unset DOCKER_HOST environment variable.", file=sys.stderr,
    )  # fmt: skip


def show(engine: Engine, flags: Flags) -> int:
    print(current())
    return 0


def ls(engine: Engine, flags: Flags) -> int:
    now = current()
    known = [_default(), *contexts.list_()]
    lost = "" if now in [context.name for context in known] else _lost(now)
    rows = sorted([*known, *([contexts.Context(now, "")] if lost else [])], key=lambda c: c.name)
    columns: dict[str, table.Column] = {
        "Name": ("NAME", lambda c: c.name),
        "Description": ("DESCRIPTION", _description),
        "DockerEndpoint": ("DOCKER ENDPOINT", lambda c: c.host),
        "Current": ("", lambda c: c.name == now),
        "Error": ("ERROR", lambda c: lost if c.name == now else ""),
    }
    format_ = flags.text("format")
    if format_ in ("", "table") and not flags.on("quiet"):
        columns["Name"] = ("NAME", lambda c: c.name + (" *" if c.name == now else ""))
    table.show(
        columns, ("Name", "Description", "DockerEndpoint", "Error"), rows, format_, quiet="Name", quiet_on=flags.on("quiet"),
        type_name="*formatter.clientContextContext",
    )  # fmt: skip
    if os.environ.get("DOCKER_HOST"):
        sys.stdout.flush()
        _warn_of_host("a context")
    return 0


def _lost(name: str) -> str:
    """Why the current context is none, as short as a table takes it."""
    try:
        _get(name)
    except BerthError as err:
        return err.message if len(err.message) <= 45 else err.message[:44] + "…"
    return ""


def _description(context: contexts.Context) -> str:
    if context.name == "default":
        return "Current DOCKER_HOST based configuration"
    return context.description


def inspect(engine: Engine, flags: Flags) -> int:
    from berth.cli import formats

    format_, template = flags.text("format"), None
    if format_ and format_ != "json":
        template = formats.parse(format_, strict=True)
    found, failures = [], []
    for name in flags.args or [current()]:
        try:
            found.append(_whole(_get(name)))
        except BerthError as err:
            failures.append(err.message)
    if template is not None:
        formats.print_each(template, found)
    else:
        formats.print_list(found, compact=format_ == "json", html=True)
    sys.stdout.flush()
    for line in failures:
        print(line, file=sys.stderr)
    return 1 if failures else 0


def _whole(context: contexts.Context) -> dict[str, Any]:
    stored = context.name != "default"
    names = {"docker": sorted(context.tls)} if context.tls else {}
    storage = {
        "MetadataPath": os.path.dirname(contexts.meta_path(context.name)) if stored else "<IN MEMORY>",
        "TLSPath": os.path.dirname(contexts.tls_dir(context.name)) if stored else "<IN MEMORY>",
    }
    return {**context.document(), "TLSMaterial": names, "Storage": storage}


def export(engine: Engine, flags: Flags) -> int:
    name = flags.args[0]
    target = flags.args[1] if len(flags.args) > 1 else f"{name}.dockercontext"
    context = _get(name)
    if target == "-":
        if os.isatty(1):
            raise InvalidArgument("cowardly refusing to export to a terminal, specify a file path")
        sys.stdout.buffer.write(context_archive.write(context))
        return 0
    try:
        with open(target, "xb") as file:
            file.write(context_archive.write(context))
    except OSError as err:
        raise InvalidArgument(f"open {target}: {_why(err)}") from err
    print(f'Written file "{target}"', file=sys.stderr)
    return 0


def import_(engine: Engine, flags: Flags) -> int:
    name, source = flags.args
    contexts.check_name(name)
    if os.path.exists(contexts.meta_path(name)):
        raise InvalidArgument(f'context "{name}" already exists')
    try:
        with sys.stdin.buffer if source == "-" else open(source, "rb") as file:
            raw = file.read(10 << 20)
    except OSError as err:
        raise InvalidArgument(f"open {source}: {_why(err)}") from err
    context = context_archive.read(raw)
    context.name = name
    contexts.save(context, replace=False)
    return _done(name, f'Successfully imported context "{name}"')


def rm(engine: Engine, flags: Flags) -> int:
    failed = []
    for name in flags.args:
        try:
            _remove(name, force=flags.on("force"))
        except BerthError as err:
            failed.append(err.message)
        else:
            print(name, flush=True)
    if failed:
        raise Failed("\n".join(failed))
    return 0


def _remove(name: str, *, force: bool) -> None:
    if name == "default":
        raise InvalidArgument('context "default" cannot be removed')
    if name == current():
        if not force:
            raise InvalidArgument(f'context "{name}" is in use, set -f flag to force remove')
        config.set_text("currentContext", "")
    try:
        contexts.remove(name)
    except BerthError:
        if not force:
            raise


_KEYS = "\n\nDocker endpoint config:\n\n" + "\n".join(
    f"{key:<17} {line}" for key, line in (
        ("from", "another context to copy the endpoint of"), ("host", "where the engine is: unix://, tcp:// or ssh://"),
        ("ca", "file of the CA to trust"), ("cert", "file of our certificate"), ("key", "file of its key"),
        ("skip-tls-verify", "trust whatever certificate the engine shows"),
    )
)  # fmt: skip
_EXAMPLE = (
    '\n\nExample:\n\n$ {program} context {verb} my-context --description "some description" '
    '--docker "host=tcp://myserver:2376,ca=~/ca-file,cert=~/cert-file,key=~/key-file"'
)
_DOCKER = Flag("docker", "list", "set the docker endpoint", label="stringToString")
_DESCRIPTION = Flag("description", "string", "Description of the context")


def _command(usage: str, text: str, flags: Sequence[Flag], args: tuple[int, int], run: Any, *complete: str) -> Command:
    return Command(usage, text, flags, args, run, local=True, complete=complete)


COMMANDS = {
    "create": _command(
        "[OPTIONS] CONTEXT", "Create a context" + _KEYS + _EXAMPLE.format(program=PROGRAM, verb="create"),
        [_DESCRIPTION, _DOCKER, Flag("from", "string", "create context from a named context")], (1, 1), create, "",
    ),
    "update": _command(
        "[OPTIONS] CONTEXT", "Update a context" + _KEYS + _EXAMPLE.format(program=PROGRAM, verb="update"),
        [_DESCRIPTION, _DOCKER], (1, 1), update,
    ),
    "use": _command("CONTEXT", "Set the current docker context", [], (1, 1), use),
    "show": _command("", "Print the name of the current context", [], (0, 0), show),
    "ls": _command(
        "[OPTIONS]", "List contexts",
        [FORMAT,
         Flag("quiet", "bool", "Only show context names", "q")], (0, 0), ls,
    ),
    "inspect": _command(
        "[OPTIONS] [CONTEXT] [CONTEXT...]", "Display detailed information on one or more contexts",
        [FORMAT_OF_ONE], (0, -1), inspect,
    ),
    "export": _command(
        "[OPTIONS] CONTEXT [FILE|-]", "Export a context to a tar archive FILE or a tar stream on STDOUT.", [], (1, 2), export
    ),
    "import": _command("CONTEXT FILE|-", "Import a context from a tar or zip file", [], (2, 2), import_),
    "rm": _command(
        "CONTEXT [CONTEXT...]", "Remove one or more contexts",
        [Flag("force", "bool", "Force the removal of a context in use", "f")], (1, -1), rm,
    ),
}  # fmt: skip
