"""``shared`` and ``slave`` binds: they mean something only where the host's own mount of the source passes its changes on."""

from __future__ import annotations

from collections.abc import Sequence

from berth.base.errors import InvalidArgument
from berth.engine.containers.record import MountPoint
from berth.kernel import mountinfo

_NEEDS = {
    "shared": (("shared:",), "a shared mount"),
    "slave": (("shared:", "master:"), "a shared or slave mount"),
}


def check_propagation(mounts: Sequence[MountPoint]) -> None:
    """Raises: InvalidArgument in Docker's words, for a source whose mount is private."""
    for point in mounts:
        needed, kind = _NEEDS.get(point.propagation.removeprefix("r"), ((), ""))
        if point.type != "bind" or not needed:
            continue
        mount = mountinfo.under(point.source)
        if not any(tag.startswith(needed) for tag in mount.tags):
            raise InvalidArgument(f"path {point.source} is mounted on {mount.place} but it is not {kind}")
