"""``image rm`` and ``image prune``."""

from __future__ import annotations

import sys

from berth.base.errors import BerthError
from berth.cli.command import Command
from berth.cli.commands.image_archives import oci_platform
from berth.cli.commands.ps import parse_filters
from berth.cli.flags import Flag
from berth.client.engine import query
from berth.spec.units import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from berth.cli.flags import Flags
    from berth.client.engine import Engine


def rmi(engine: Engine, flags: Flags) -> int:
    tail = query(force=flags.on("force"), noprune=flags.on("no-prune"))
    for text in flags.list_("platform"):
        for platform in text.split(","):
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
    if not flags.on("force"):
        what = "all images without at least one container associated to them" if everything else "all dangling images"
        print(f"WARNING! This will remove {what}.\nAre you sure you want to continue? [y/N] ", end="", flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            return 0
    filters = {**parse_filters(flags.list_("filter")), "dangling": ["false" if everything else "true"]}
    answer = engine.post("/images/prune" + query(filters=filters))
    if answer.get("ImagesDeleted"):
        print("Deleted Images:")
        for entry in answer["ImagesDeleted"]:
            for word in ("Untagged", "Deleted"):
                if entry.get(word):
                    print(f"{word.lower()}: {entry[word]}")
        print()
    print(f"Total reclaimed space: {human_size(answer.get('SpaceReclaimed') or 0)}")
    return 0


COMMANDS = {
    "rmi": Command(
        "[OPTIONS] IMAGE [IMAGE...]", "Remove one or more images",
        [Flag("force", "bool", "Force removal of the image", "f"),
         Flag("no-prune", "bool", "Do not delete untagged parents"),
         Flag(
             "platform", "list",
             'Remove only the given platform variant. Formatted as "os[/arch[/variant]]" (e.g., "linux/amd64")',
             label="strings",
         )],
        (1, -1), rmi,
    ),
    "image prune": Command(
        "[OPTIONS]", "Remove unused images",
        [
            Flag("all", "bool", "Remove all unused images, not just dangling ones", "a"),
            Flag("filter", "filter", 'Provide filter values (e.g. "until=<timestamp>")'),
            Flag("force", "bool", "Do not prompt for confirmation", "f"),
        ],
        (0, 0), prune,
    ),
}  # fmt: skip
