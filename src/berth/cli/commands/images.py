"""``image tag``, and names as the image commands take them."""

from __future__ import annotations

from berth.base.errors import InvalidArgument
from berth.cli.command import Command
from berth.cli.references import split_name
from berth.client.engine import query

TYPE_CHECKING = False
if TYPE_CHECKING:
    from berth.cli.flags import Flags
    from berth.client.engine import Engine


def tag(engine: Engine, flags: Flags) -> int:
    repo, name = split_name(flags.args[1], "latest")
    if name.startswith("sha256:"):
        raise InvalidArgument("refusing to create a tag with a digest reference")
    from berth.spec.reference import parse_reference

    try:
        parse_reference(flags.args[1])
    except InvalidArgument as err:
        raise InvalidArgument(
            f'Error parsing reference: "{flags.args[1]}" is not a valid repository/tag: {err.message}'
        ) from err
    engine.post(f"/images/{flags.args[0]}/tag" + query(repo=repo, tag=name))
    return 0


COMMANDS = {
    "tag": Command(
        "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]", "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
        [], (2, 2), tag, complete=("images",),
    ),
}  # fmt: skip
