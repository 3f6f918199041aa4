"""What every ``prune`` says: the question before it, and what came free."""

from __future__ import annotations

import sys

from berth.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from berth.cli.flags import Flags

FORCE = Flag("force", "bool", "Do not prompt for confirmation", "f")


def filter_flag(example: str) -> Flag:
    """``--filter`` of a prune."""
    return Flag("filter", "filter", f'Provide filter values (e.g. "{example}")')


def wanted_filters(flags: Flags) -> dict[str, list[str]]:
    """``--filter``, and the configuration's ``pruneFilters`` as far as the flag does not say the opposite.

    Raises: InvalidArgument.
    """
    from berth.cli import config
    from berth.cli.commands.ps import parse_filters

    found = parse_filters(flags.list_("filter"))
    given = {key: set(values) for key, values in found.items()}
    opposite = {"label": "label!", "label!": "label"}
    settings = config.load().get("pruneFilters")
    for entry in settings if isinstance(settings, list) else ():
        key, eq, value = str(entry).partition("=")
        if eq and value not in given.get(opposite.get(key, ""), ()):
            found.setdefault(key, []).append(value)
    return found


def confirmed(flags: Flags, warning: str) -> bool:
    """Whether to go on: ``--force``, or a yes to the question. An empty answer and the end of input are a no."""
    if flags.on("force"):
        return True
    print(f"WARNING! {warning}\nAre you sure you want to continue? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def tell(size_bytes: int, removed: str) -> int:
    """Print what was removed and the space it took; 0."""
    from berth.spec.units import human_size

    if removed:
        print(removed)
    print(f"Total reclaimed space: {human_size(size_bytes)}")
    return 0
