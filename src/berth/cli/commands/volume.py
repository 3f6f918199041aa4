"""``volume``: create, ls, rm, prune (inspect is inspect.py's)."""

from __future__ import annotations

from berth.base.errors import InvalidArgument
from berth.cli import table
from berth.cli.command import Command
from berth.cli.commands.lifecycle import each
from berth.cli.commands.ps import parse_filters
from berth.cli.flags import FORMAT, Flag
from berth.cli.prune import FORCE, confirmed, filter_flag, tell, wanted_filters
from berth.client.engine import query, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from berth.cli.flags import Flags
    from berth.client.engine import Engine


def _unknown(row: Any) -> str:
    return "N/A"


def _labels(row: Any) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted((row.get("Labels") or {}).items()))


def _links(row: Any) -> str:
    return str(row["UsageData"]["RefCount"]) if row.get("UsageData") else "N/A"


def _size(row: Any) -> str:
    from berth.spec.units import human_size

    return human_size(row["UsageData"]["Size"]) if row.get("UsageData") else "N/A"


COLUMNS: dict[str, table.Column] = {
    "Name": ("VOLUME NAME", lambda r: r["Name"]), "Driver": ("DRIVER", lambda r: r["Driver"]),
    "Scope": ("SCOPE", lambda r: r["Scope"]), "Mountpoint": ("MOUNTPOINT", lambda r: r["Mountpoint"]),
    "Labels": ("LABELS", _labels), "Links": ("LINKS", _links), "Size": ("SIZE", _size),
    "Group": ("GROUP", _unknown), "Availability": ("AVAILABILITY", _unknown), "Status": ("STATUS", _unknown),
}  # fmt: skip


def ls(engine: Engine, flags: Flags) -> int:
    format_ = flags.text("format")
    if not format_ and not flags.on("quiet"):
        from berth.cli import config

        format_ = config.text("volumesFormat")
    found = engine.get("/volumes" + query(filters=parse_filters(flags.list_("filter")) or None))
    rows = sorted(found.get("Volumes") or (), key=lambda r: table.natural(r["Name"]))
    table.show(
        COLUMNS, ("Driver", "Name"), rows, format_, quiet="Name", quiet_on=flags.on("quiet"),
        type_name="*formatter.volumeContext", raw="name: {{.Name}}\ndriver: {{.Driver}}\n",
    )  # fmt: skip
    return 0


def create(engine: Engine, flags: Flags) -> int:
    name = flags.text("name")
    if flags.args:
        if name:
            raise InvalidArgument(
                "conflicting options: cannot specify a volume-name through both --name and as a positional arg"
            )
        name = flags.args[0]
    body = {
        "Name": name, "Driver": flags.text("driver"), "DriverOpts": flags.pairs("opt") or None,
        "Labels": flags.pairs("label") or None,
    }  # fmt: skip
    print(engine.post("/volumes/create", body)["Name"])
    return 0


def rm(engine: Engine, flags: Flags) -> int:
    tail = query(force=flags.on("force"))
    return each(flags.args, lambda name: engine.delete(f"/volumes/{quote(name)}{tail}"))


_WARNING = "This will remove {} local volumes not used by at least one container."


def prune(engine: Engine, flags: Flags) -> int:
    filters = wanted_filters(flags)
    if flags.on("all"):
        if "all" in filters:
            raise InvalidArgument("conflicting options: cannot specify both --all and --filter all=1")
        filters["all"] = ["true"]
    everything = "all" in filters and engine.at_least("1.42")
    if not confirmed(flags, _WARNING.format("all" if everything or not engine.at_least("1.42") else "anonymous")):
        return 0
    return tell(*prune_volumes(engine, filters))


def prune_volumes(engine: Engine, filters: dict[str, list[str]]) -> tuple[int, str]:
    """Bytes that came free, and what to print of it."""
    if not engine.at_least("1.42"):
        filters = {name: values for name, values in filters.items() if name != "all"}
    answer = engine.post("/volumes/prune" + query(filters=filters or None))
    names = answer.get("VolumesDeleted") or ()
    text = "Deleted Volumes:\n" + "".join(f"{name}\n" for name in names) if names else ""
    return answer.get("SpaceReclaimed") or 0, text


COMMANDS = {
    "volume ls": Command(
        "[OPTIONS]", "List volumes",
        [
            Flag("filter", "filter", 'Provide filter values (e.g. "dangling=true")', "f"), FORMAT,
            Flag("quiet", "bool", "Only display volume names", "q"),
        ],
        (0, 0), ls,
    ),
    "volume create": Command(
        "[OPTIONS] [VOLUME]", "Create a volume",
        [
            Flag("driver", "string", "Specify volume driver name", "d", "local", choices=("local",)),
            Flag("label", "list", "Set metadata for a volume", check="label"),
            Flag("name", "string", "Specify volume name", hidden=True),
            Flag("opt", "map", "Set driver specific options", "o", "map[]"),
        ],
        (0, 1), create, complete=("",),
    ),
    "volume rm": Command(
        "[OPTIONS] VOLUME [VOLUME...]",
        "Remove one or more volumes. You cannot remove a volume that is in use by a container.",
        [Flag("force", "bool", "Force the removal of one or more volumes", "f")],
        (1, -1), rm,
    ),
    "volume prune": Command(
        "[OPTIONS]", "Remove unused local volumes",
        [Flag("all", "bool", "Remove all unused volumes, not just anonymous ones", "a"), filter_flag("label=<label>"), FORCE],
        (0, 0), prune,
    ),
}  # fmt: skip
