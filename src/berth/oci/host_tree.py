"""What a parked init lets go of the host's mounts, so that it keeps none of them busy.

Its mount namespace is a copy. Where the host's mounts are shared an umount reaches the copy; where they are private it does not,
and a filesystem that was mounted when the init was born would stay in use for as long as that waits. What it needs later is
little, since sources of binds and volumes are opened by its parent.
"""

from __future__ import annotations

from typing import NamedTuple

from berth.kernel import mount as m

SYSTEM = ("/proc", "/sys", "/dev", "/run")


class Kept(NamedTuple):
    """``places`` with what is mounted below them and what they stand on; but for what is mounted below ``but``."""

    places: tuple[str, ...]
    but: str

    def keeps(self, point: str) -> bool:
        if point == "/":
            return True
        return not point.startswith(self.but + "/") and any(
            _within(point, place) or _within(place, point) for place in self.places
        )


def is_private(place: str = "/") -> bool:
    """Whether an umount there stays in its own mount namespace."""
    return any(point == place and not tags for point, tags in _mounts())


def let_go(kept: Kept) -> None:
    """Detach what no umount of the host's would reach. After: the mount namespace is our own, a slave of the host's."""
    for point, tags in _mounts():
        if not tags and not kept.keeps(point):
            try:
                m.umount2(point, m.MNT_DETACH | m.UMOUNT_NOFOLLOW)
            except OSError:
                pass  # gone with what it stood on


def _mounts() -> list[tuple[str, list[str]]]:
    """(mount point, propagation's tags) of this mount namespace."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        rows = [line.partition(" - ")[0].split(" ") for line in table]
    return [(_plain(row[4]), row[6:]) for row in rows]


def _plain(field: str) -> str:
    """Octal escapes read; without ``re``, which a zygote does not carry."""
    head, *rest = field.split("\\")
    return head + "".join(chr(int(part[:3], 8)) + part[3:] for part in rest)


def _within(place: str, folder: str) -> bool:
    return place == folder or place.startswith(folder + "/")
