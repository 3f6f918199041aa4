"""``image rm`` and ``image prune``."""

from __future__ import annotations

import sys

from berth.base.errors import BerthError
from berth.cli.command import Command
from berth.cli.commands.image_archives import oci_platform
from berth.cli.flags import Flag
from berth.cli.prune import FORCE, confirmed, filter_flag, tell, wanted_filters
from berth.client.engine import query

TYPE_CHECKING = False
if TYPE_CHECKING:
    from berth.cli.flags import Flags
    from berth.client.engine import Engine


def rmi(engine: Engine, flags: Flags) -> int:
    tail = query(force=flags.on("force"), noprune=flags.on("no-prune"))
    for platform in flags.list_("platform"):
        tail += query(platforms=oci_platform(platform)).replace("?", "&" if tail else "?")
    failed = False
    for ref in flags.args:
        try:
            for entry in engine.delete(f"/images/{ref}{tail}") or ():
                for word in ("Untagged", "Deleted"):
                    if entry.get(word):
                        print(f"{word}: {entry[word]}")
        except BerthError as err:
            print(f"Error response from daemon: {err.message}", file=sys.stderr)
            failed = True
    return 1 if failed else 0


def prune(engine: Engine, flags: Flags) -> int:
    everything = flags.on("all")
    filters = wanted_filters(flags)
    what = "all images without at least one container associated to them" if everything else "all dangling images"
    if not confirmed(flags, f"This will remove {what}."):
        return 0
    return tell(*prune_images(engine, filters, everything=everything))


def prune_images(engine: Engine, filters: dict[str, list[str]], *, everything: bool) -> tuple[int, str]:
    """Bytes that came free, and what to print of it."""
    wanted = {**filters, "dangling": ["false" if everything else "true"]}
    answer = engine.post("/images/prune" + query(filters=wanted))
    lines = [
        f"{word.lower()}: {entry[word]}\n"
        for entry in answer.get("ImagesDeleted") or ()
        for word in ("Untagged", "Deleted")
        if entry.get(word)
    ]
    return answer.get("SpaceReclaimed") or 0, "Deleted Images:\n" + "".join(lines) if lines else ""


COMMANDS = {
    "rmi": Command(
        "[OPTIONS] IMAGE [IMAGE...]", "Remove one or more images",
        [Flag("force", "bool", "Force removal of the image", "f"),
         Flag("no-prune", "bool", "Do not delete untagged parents"),
         Flag("platform", "strings", 'Remove only the given platform variant. Formatted as "os[/arch[/variant]]" '
              '(e.g., "linux/amd64")')],
        (1, -1), rmi,
    ),
    "image prune": Command(
        "[OPTIONS]", "Remove unused images",
        [
            Flag("all", "bool", "Remove all unused images, not just dangling ones", "a"),
            filter_flag("until=<timestamp>"), FORCE,
        ],
        (0, 0), prune,
    ),
}  # fmt: skip
