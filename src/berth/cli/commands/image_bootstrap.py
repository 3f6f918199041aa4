"""``image bootstrap``: a base image from a distribution's package mirror."""

from __future__ import annotations

import os
import sys

from berth.base.errors import InvalidArgument
from berth.cli.command import Command
from berth.cli.flags import Flag
from berth.cli.references import split_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from berth.cli.flags import Flags
    from berth.client.engine import Engine


def bootstrap(engine: Engine, flags: Flags) -> int:
    from berth.bootstrap.build import Order
    from berth.bootstrap.build import bootstrap as make
    from berth.bootstrap.sources import keyring, parse_wanted
    from berth.cli.progress import shower
    from berth.spec.reference import parse_reference

    repository, tag = split_name(flags.args[0], "latest")
    name = flags.text("tag") or f"{repository}:{tag}"
    parse_reference(name)
    wanted = parse_wanted(repository, tag, flags.text("variant"))
    order = Order(
        name, wanted, flags.text("mirror"), _words(flags.list_("components")),
        _words(flags.list_("include")),
        None if flags.on("no-check-gpg") else flags.text("keyring") or keyring(wanted.distribution), _epoch(),
    )  # fmt: skip
    quiet = flags.on("quiet")
    image_id = make(engine, order, shower(sys.stdout, quiet=quiet))
    print(image_id if quiet else f"Made {order.name} ({image_id})")
    return 0


def _words(values: list[str]) -> tuple[str, ...]:
    return tuple(word for value in values for word in value.split(",") if word)


def _epoch() -> int | None:
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if text and not text.isdigit():
        raise InvalidArgument(f'SOURCE_DATE_EPOCH is "{text}": seconds since 1970 are expected')
    return int(text) if text else None


COMMANDS = {
    "image bootstrap": Command(
        "[OPTIONS] DISTRIBUTION[:SUITE[-slim]]", "Make a base image from a distribution's package mirror",
        [
            Flag("components", "list", "Components of the archive (default main)"),
            Flag("include", "list", "More packages to install, separated by commas"),
            Flag("keyring", "string", "File with the keys that may have signed the archive"),
            Flag("mirror", "string", "Package mirror (default the one of the host's apt, else the distribution's)"),
            Flag("no-check-gpg", "bool", "Trust the mirror: do not check the archive's signature"),
            Flag("quiet", "bool", "Print the image's ID only", "q"),
            Flag("tag", "string", "Name of the image (default DISTRIBUTION:SUITE as given)", "t"),
            Flag("variant", "string", "What is in it: minbase, or slim without documentation", choices=("minbase", "slim")),
        ],
        (1, 1), bootstrap,
    ),
}  # fmt: skip
