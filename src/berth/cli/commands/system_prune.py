"""``system prune`` and ``builder prune``: everything that nobody uses, in docker's order."""

from __future__ import annotations

import sys

from berth.base.errors import InvalidArgument, NotFound
from berth.cli.command import Command, Failed
from berth.cli.flags import Flag
from berth.cli.prune import FORCE, confirmed, filter_flag, tell, wanted_filters
from berth.client.engine import query

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from berth.cli.flags import Flags
    from berth.client.engine import Engine

    Filters = dict[str, list[str]]
    Step = Callable[[Engine, Filters], tuple[int, str]]


def _warning(flags: Flags, filters: Filters) -> str:
    lines = ["all stopped containers", "all networks not used by at least one container"]
    if flags.on("volumes"):
        lines.append("all anonymous volumes not used by at least one container")
    everything = flags.on("all")
    lines.append(
        "all images without at least one container associated to them" if everything else "all dangling images"
    )
    lines.append("all build cache" if everything else "unused build cache")
    text = "This will remove:\n" + "".join(f"  - {line}\n" for line in lines)
    if filters:
        wanted = sorted(f"{key}={value}" for key, values in filters.items() for value in values)
        text += "\n  Items to be pruned will be filtered with:\n" + "".join(f"  - {entry}\n" for entry in wanted)
    return text


def prune(engine: Engine, flags: Flags) -> int:
    from berth.cli.commands.image_remove import prune_images
    from berth.cli.commands.lifecycle import prune_containers
    from berth.cli.commands.network import prune_networks
    from berth.cli.commands.volume import prune_volumes

    filters = wanted_filters(flags)
    if flags.on("volumes") and "until" in filters:
        raise Failed('ERROR: The "until" filter is not supported with "--volumes"')
    if not confirmed(flags, _warning(flags, filters)):
        return 0
    steps: list[Step] = [prune_containers, prune_networks]
    if flags.on("volumes"):
        steps.append(prune_volumes)
    everything = flags.on("all")
    steps += [
        lambda engine, wanted: prune_images(engine, wanted, everything=everything),
        lambda engine, wanted: prune_build_cache(engine, wanted, everything=everything),
    ]
    total = 0
    for step in steps:
        size, text = step(engine, filters)
        total += size
        if text:
            print(text, flush=True)
    return tell(total, "")


def prune_build_cache(engine: Engine, filters: Filters, *, everything: bool, keep: int = 0) -> tuple[int, str]:
    """Bytes that came free, and what to print of it. An engine without a builder has no cache to prune."""
    path = "/build/prune" + query(all=everything, filters=filters or None, **{"keep-storage": keep or None})
    try:
        answer = engine.post(path)
    except NotFound:
        return 0, ""
    names = answer.get("CachesDeleted") or ()
    text = "Deleted build cache objects:\n" + "".join(f"{name}\n" for name in names) if names else ""
    return answer.get("SpaceReclaimed") or 0, text


def builder_prune(engine: Engine, flags: Flags) -> int:
    everything = flags.on("all")
    if not flags.on("force"):
        what = "all build cache" if everything else "all dangling build cache"
        print(f"WARNING! This will remove {what}. Are you sure you want to continue? [y/N] ", end="", flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            return 0
    filters = wanted_filters(flags)
    keep = 0
    if flags.text("keep-storage"):
        from berth.spec.units import parse_bytes

        keep = parse_bytes(flags.text("keep-storage"), "--keep-storage")
    try:
        return tell(*prune_build_cache(engine, filters, everything=everything, keep=keep))
    except InvalidArgument as err:
        err.message = f"failed to prune build cache: {err.message}"
        raise


COMMANDS = {
    "system prune": Command(
        "[OPTIONS]", "Remove unused data",
        [
            Flag("all", "bool", "Remove all unused images not just dangling ones", "a"),
            filter_flag("label=<key>=<value>"), FORCE, Flag("volumes", "bool", "Prune anonymous volumes"),
        ],
        (0, 0), prune,
    ),
    "builder prune": Command(
        "", "Remove build cache",
        [
            Flag("all", "bool", "Remove all unused build cache, not just dangling ones", "a"), filter_flag("until=24h"), FORCE,
            Flag("keep-storage", "bytes", "Amount of disk space to keep for cache"),
        ],
        (0, 0), builder_prune,
    ),
}  # fmt: skip
