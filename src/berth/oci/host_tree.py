"""What a parked init lets go of the host's mounts, so that it keeps none of them busy.

Its mount namespace is a copy. Where the host's mounts are shared an umount reaches the copy; where they are private it does not,
and a filesystem that was mounted when the init was born would stay in use for as long as that waits. What it needs later is
little, since sources of binds and volumes are opened by its parent.
"""

from __future__ import annotations

from typing import NamedTuple

from berth.kernel import mount as m
from berth.kernel import mountinfo
from berth.kernel.mountinfo import is_within

SYSTEM = ("/proc", "/sys", "/dev", "/run")


class Kept(NamedTuple):
    """``places`` with what is mounted below them and what they stand on; but for what is mounted below ``but``."""

    places: tuple[str, ...]
    but: str

    def keeps(self, point: str) -> bool:
        if point == "/":
            return True
        return not point.startswith(self.but + "/") and any(
            is_within(point, place) or is_within(place, point) for place in self.places
        )


def is_private(place: str = "/") -> bool:
    """Whether an umount there stays in its own mount namespace."""
    return any(mount.place == place and not mount.tags for mount in mountinfo.read())


def let_go(kept: Kept) -> None:
    """Detach what no umount of the host's would reach. After: the mount namespace is our own, a slave of the host's."""
    for mount in mountinfo.read():
        if not mount.tags and not kept.keeps(mount.place):
            try:
                m.umount2(mount.place, m.MNT_DETACH | m.UMOUNT_NOFOLLOW)
            except OSError:
                pass  # gone with what it stood on
