"""``version``, ``events`` and ``system dial-stdio``; ``info`` is in ``info.py``."""

from __future__ import annotations

import os
import sys
import time

import berth
from berth.base.errors import BerthError
from berth.cli.command import Command, sentence
from berth.cli.commands.ps import parse_filters
from berth.cli.flags import FORMAT_OF_EACH, FORMAT_OF_ONE, Flag
from berth.cli.timestamps import timestamp
from berth.client import quick_json
from berth.client.dial import dial
from berth.client.engine import MAX_VERSION, query

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from berth.cli.flags import Flags
    from berth.client.engine import Engine

_ARCH = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


def _client(engine: Engine | None) -> dict[str, str]:
    machine, version = os.uname().machine, ".".join(map(str, sys.version_info[:3]))
    return {
        "Version": berth.__version__, "ApiVersion": engine.version if engine is not None else MAX_VERSION,
        "DefaultAPIVersion": MAX_VERSION, "GitCommit": "", "GoVersion": f"python{version}",
        "Os": "linux", "Arch": _ARCH.get(machine, machine), "BuildTime": "", "Context": context_name(),
    }  # fmt: skip


def context_name() -> str:
    """The context in force, as ``version`` and ``info`` show it."""
    from berth.cli.commands.context import current

    return current()


def version(engine: Engine, flags: Flags) -> int:
    format_, template = flags.text("format"), None
    if format_:
        from berth.cli import formats

        template = formats.parse(format_, name="version")
    failure: BerthError | None = None
    server: dict[str, Any] | None = None
    try:
        server = engine.get("/version")
    except BerthError as err:
        failure = err
    client = _client(engine if server is not None else None)
    if template is not None:
        formats.print_each(template, [_fields(client, server)], what="")
    else:
        _print_client(client)
        if server is not None:
            _print_server(server)
    if failure is not None:
        sys.stdout.flush()
        print(sentence(failure), file=sys.stderr)
        return 1
    return 0


def _fields(client: dict[str, str], server: dict[str, Any] | None) -> Any:
    from berth.cli.gotemplate import Fields

    inner = Fields.of(client, "system.clientVersion")
    return Fields.of({"Client": inner, "Server": server}, "system.versionInfo")


def _print_client(client: dict[str, str]) -> None:
    print("Client:")
    for label, value in (
        ("Version:", client["Version"]), ("API version:", client["ApiVersion"]), ("Python version:", client["GoVersion"]),
        ("OS/Arch:", f"{client['Os']}/{client['Arch']}"), ("Context:", client["Context"]),
    ):  # fmt: skip
        print(f" {label:<18}{value}")


def _print_server(server: dict[str, Any]) -> None:
    name = (server.get("Platform") or {}).get("Name") or ""
    print(f"\nServer: {name}".rstrip())
    for component in server.get("Components") or ():
        details = component.get("Details") or {}
        print(f" {component['Name']}:")
        print(f"  {'Version:':<17}{component['Version']}")
        if details.get("ApiVersion"):
            print(f"  {'API version:':<17}{details['ApiVersion']} (minimum version {details['MinAPIVersion']})")
            print(f"  {'OS/Arch:':<17}{details['Os']}/{details['Arch']}")
            print(f"  {'Kernel:':<17}{details['KernelVersion']}")
        elif details.get("GitCommit") is not None:
            print(f"  {'GitCommit:':<17}{details['GitCommit']}")


def events(engine: Engine, flags: Flags) -> int:
    format_, template = flags.text("format"), None
    if format_ and format_ != "json":
        from berth.cli import formats

        template = formats.parse(format_, what="Error parsing format")
        _check_event_template(template)
    path = "/events" + query(
        since=timestamp(flags.text("since")),
        until=timestamp(flags.text("until")),
        filters=parse_filters(flags.list_("filter")) or None,
    )
    for line in engine.send("GET", path, fresh=True).lines():
        event = quick_json.loads(line)
        if format_ == "json":
            print(line.decode(), flush=True)
        elif template is not None:
            print(template.render(_event_fields(event)), flush=True)
        else:
            print(_event_text(event), flush=True)
    return 0


_EVENT: dict[str, Any] = {"status": "", "id": "", "from": "", "Type": "", "Action": "", "Actor": {"ID": "", "Attributes": {}},
                          "scope": "", "time": 0, "timeNano": 0}  # fmt: skip
_EVENT_NAMES = {
    "status": "Status",
    "id": "ID",
    "from": "From",
    "scope": "Scope",
    "time": "Time",
    "timeNano": "TimeNano",
}


def _event_fields(event: dict[str, Any]) -> Any:
    """An event with the names that Go has for its fields."""
    from berth.cli.gotemplate import Fields

    whole = {**_EVENT, **event}
    return Fields.of({_EVENT_NAMES.get(key, key): value for key, value in whole.items()}, "*events.Message")


def _check_event_template(template: Any) -> None:
    """Told before the stream begins, as docker does. Raises: Failed with status 64."""
    from berth.cli import formats
    from berth.cli.command import Failed
    from berth.cli.gotemplate import ExecuteError

    try:
        template.render(_event_fields({}))
    except ExecuteError as err:
        raise Failed(f"Error parsing format: {err.message}", formats.UNUSABLE) from err


def _event_text(event: dict[str, Any]) -> str:
    seconds, fraction = divmod(int(event["timeNano"]), 1_000_000_000)
    zone = time.strftime("%z", time.localtime(seconds))
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(seconds)) + f".{fraction:09d}{zone[:3]}:{zone[3:]}"
    attributes = ", ".join(f"{k}={v}" for k, v in sorted((event["Actor"].get("Attributes") or {}).items()))
    tail = f" ({attributes})" if attributes else ""
    return f"{stamp} {event['Type']} {event['Action']} {event['Actor']['ID']}{tail}"


def dial_stdio(engine: Engine, flags: Flags) -> int:
    """Standard input and output ⇄ the engine's socket: what ssh:// hosts run on the other side."""
    import select

    sock = dial(engine.endpoint)
    reading: list[int] = [0, sock.fileno()]
    while sock.fileno() in reading:
        ready = reading if sock.pending() else select.select(reading, [], [])[0]
        if 0 in ready and 0 in reading and select.select([0], [], [], 0)[0]:
            data = os.read(0, 65536)
            if data:
                sock.sendall(data)
            else:
                reading.remove(0)
                sock.shutdown(1)
        if sock.fileno() in ready:
            data = sock.recv(65536)
            if not data:
                return 0
            while data:
                data = data[os.write(1, data) :]
    return 0


_EVENT_KEYS = ("container=", "daemon=", "event=", "image=", "label=", "network=", "scope=", "type=", "volume=")
COMMANDS = {
    "version": Command("[OPTIONS]", "Show the Berth version information", [FORMAT_OF_ONE], (0, 0), version),
    "events": Command(
        "[OPTIONS]", "Get real time events from the server",
        [
            Flag("filter", "filter", "Filter output based on conditions provided", "f", choices=_EVENT_KEYS),
            FORMAT_OF_EACH,
            Flag("since", "string", "Show all events created since timestamp"),
            Flag("until", "string", "Stream events until this timestamp"),
        ],
        (0, 0), events,
    ),
    "system dial-stdio": Command("", "Proxy the stdio stream to the daemon connection", [], (0, 0), dial_stdio),
}  # fmt: skip
