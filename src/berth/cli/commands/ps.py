"""``ps``."""

from __future__ import annotations

import sys
import time

from berth.base.errors import InvalidArgument
from berth.cli import table
from berth.cli.command import Command
from berth.cli.flags import FORMAT, Flag
from berth.client.engine import query
from berth.spec.units import human_duration, human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from berth.cli.flags import Flags
    from berth.client.engine import Engine

_TYPE = "*formatter.ContainerContext"
_RAW = """container_id: {{.ID}}
image: {{.Image}}
command: {{.Command}}
created_at: {{.CreatedAt}}
state: {{.State}}
status: {{.Status}}
names: {{.Names}}
labels: {{- if .Labels}} {{.Labels}}{{end}}
ports: {{- if .Ports}} {{.Ports}}{{end}}
"""
_RAW_SIZE = "size: {{.Size}}\n"
DEFAULT = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")


def parse_filters(entries: list[str]) -> dict[str, list[str]]:
    """``name=value`` entries. Raises: InvalidArgument."""
    filters: dict[str, list[str]] = {}
    for entry in entries:
        name, eq, value = entry.partition("=")
        if not eq:
            raise InvalidArgument(f'invalid argument "{entry}" for "-f, --filter" flag: invalid filter \'{entry}\'')
        filters.setdefault(name.strip().lower(), []).append(value.strip())
    return filters


def columns(*, trunc: bool) -> dict[str, table.Column]:
    """Every field that --format knows."""

    def command(row: Any) -> str:
        text = row["Command"]
        return f'"{text if not trunc or len(text) <= 20 else text[:19] + "…"}"'

    return {
        "ID": ("CONTAINER ID", lambda r: r["Id"][:12] if trunc else r["Id"]),
        "Image": ("IMAGE", lambda r: _image(r, trunc)),
        "Command": ("COMMAND", command),
        "CreatedAt": ("CREATED AT", lambda r: time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC", time.gmtime(r["Created"]))),
        "RunningFor": ("CREATED", lambda r: human_duration(time.time() - r["Created"]) + " ago"),
        "Status": ("STATUS", lambda r: r["Status"]),
        "State": ("STATE", lambda r: r["State"]),
        "Ports": ("PORTS", lambda r: render_ports(r.get("Ports") or [])),
        "Names": ("NAMES", lambda r: ",".join(n.lstrip("/") for n in r["Names"] if n.count("/") == 1)),
        "Labels": ("LABELS", lambda r: ",".join(f"{k}={v}" for k, v in sorted((r.get("Labels") or {}).items()))),
        "Mounts": ("MOUNTS", lambda r: ",".join(m.get("Name") or m.get("Source", "") for m in r.get("Mounts") or ())),
        "LocalVolumes": ("LOCAL VOLUMES", lambda r: str(sum(m.get("Driver") == "local" for m in r.get("Mounts") or ()))),
        "Networks": ("NETWORKS", lambda r: ",".join(sorted((r.get("NetworkSettings") or {}).get("Networks") or {}))),
        "Platform": ("PLATFORM", _platform),
        "Size": ("SIZE", _size),
    }  # fmt: skip


def _platform(row: Any) -> Any:
    from berth.cli.gotemplate.values import NIL, Printed

    found = (row.get("ImageManifestDescriptor") or {}).get("platform")
    if not found:
        return NIL
    platform = Printed(found)
    platform.words = "/".join(found[key] for key in ("os", "architecture", "variant") if found.get(key))
    return platform


def _image(row: Any, trunc: bool) -> str:
    image = str(row["Image"])
    return image.removeprefix("sha256:")[:12] if image.startswith("sha256:") and trunc else image


def _size(row: Any) -> str:
    text = human_size(row.get("SizeRw") or 0, 3)
    return f"{text} (virtual {human_size(row['SizeRootFs'], 3)})" if row.get("SizeRootFs") else text


def render_ports(ports: list[Any]) -> str:
    """``0.0.0.0:8080->80/tcp, 443/tcp``; neighbours of one address become ranges."""
    groups: list[list[Any]] = []
    for port in sorted(ports, key=lambda p: (p["Type"], p.get("IP", ""), p["PrivatePort"], p.get("PublicPort", 0))):
        last = groups[-1] if groups else None
        if (
            last is not None
            and last[0]["Type"] == port["Type"] and last[0].get("IP") == port.get("IP")
            and port["PrivatePort"] == last[-1]["PrivatePort"] + 1
            and (port.get("PublicPort") or 0) == (last[-1].get("PublicPort") or -1) + 1
        ):  # fmt: skip
            last.append(port)
        else:
            groups.append([port])
    texts = []
    for group in sorted(groups, key=lambda g: (g[0]["PrivatePort"], g[0]["Type"], g[0].get("IP", ""))):
        first, last_port = group[0], group[-1]
        inside = _span(first["PrivatePort"], last_port["PrivatePort"])
        if first.get("PublicPort"):
            address = first.get("IP", "")
            shown = f"[{address}]" if ":" in address else address
            outside = _span(first["PublicPort"], last_port["PublicPort"])
            texts.append(f"{shown}:{outside}->{inside}/{first['Type']}")
        else:
            texts.append(f"{inside}/{first['Type']}")
    return ", ".join(texts)


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def ps(engine: Engine, flags: Flags) -> int:
    limit = flags.number("last")
    if flags.on("latest"):
        limit = 1
    format_, quiet = flags.text("format"), flags.on("quiet")
    if format_ and quiet:
        print("WARNING: Ignoring custom format, because both --format and --quiet are set.", file=sys.stderr)
        format_ = ""
    elif not format_ and not quiet:
        from berth.cli import config

        format_ = config.text("psFormat")
    wants_size = False
    if format_ not in ("", "table", "json", "raw"):
        wants_size = _check(format_, trunc=not flags.on("no-trunc"))
    size = flags.on("size") or wants_size
    filters = parse_filters(flags.list_("filter"))
    path = "/containers/json" + query(
        all=flags.on("all"), limit=limit if limit > 0 else None, size=size, filters=filters or None
    )
    rows = engine.get(path)
    default = (*DEFAULT, "Size") if size and not format_ else DEFAULT
    found = columns(trunc=not flags.on("no-trunc"))
    table.show(
        found, default, rows, format_, quiet="ID", quiet_on=quiet, type_name=_TYPE,
        raw=_RAW + (_RAW_SIZE if flags.on("size") else ""),
    )  # fmt: skip
    return 0


def _check(format_: str, *, trunc: bool) -> bool:
    """Whether the template asks for sizes. A wrong one is told before the engine is asked, as docker does.

    Raises: InvalidArgument.
    """
    from berth.cli.gotemplate import ExecuteError, Fields, ParseError, Template

    source = format_.removeprefix("table") if format_.startswith("table ") else format_
    try:
        template = Template(source)
    except ParseError as err:
        raise InvalidArgument(f"failed to parse template: {err.message}") from err
    asked: list[str] = []

    def noting(name: str) -> Callable[[], str]:
        return lambda: asked.append(name) or ""  # type: ignore[func-returns-value]

    empty = Fields({name: noting(name) for name in columns(trunc=trunc)}, _TYPE, {"Label": lambda name: ""})
    try:
        template.render(empty)
    except ExecuteError as err:
        if "can't evaluate field" in err.message:
            raise InvalidArgument(f"failed to execute template: {err.message}") from err
    return "Size" in asked


COMMANDS = {
    "ps": Command(
        "[OPTIONS]", "List containers",
        [
            Flag("all", "bool", "Show all containers (default shows just running)", "a"),
            Flag("filter", "filter", "Filter output based on conditions provided", "f"),
            FORMAT,
            Flag("last", "int", "Show n last created containers (includes all states)", "n", "-1"),
            Flag("latest", "bool", "Show the latest created container (includes all states)", "l"),
            Flag("no-trunc", "bool", "Don't truncate output"),
            Flag("quiet", "bool", "Only display container IDs", "q"),
            Flag("size", "bool", "Display total file sizes", "s"),
        ],
        (0, 0), ps,
    )
}  # fmt: skip
