"""``shared`` and ``slave`` binds: they mean something only where the host's own mount of the source passes its changes on."""

from __future__ import annotations

import os
from collections.abc import Sequence

from berth.base.errors import InvalidArgument
from berth.engine.containers.record import MountPoint

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
        place, fields = _mount_of(point.source)
        if not any(field.startswith(needed) for field in fields):
            raise InvalidArgument(f"path {point.source} is mounted on {place} but it is not {kind}")


def _mount_of(path: str) -> tuple[str, list[str]]:
    """Where the mount that ``path`` lies in stands, and its optional fields.

    Spec: proc_pid_mountinfo(5). The last line of several on one place is the one that is seen.
    """
    path = os.path.realpath(path)
    best, fields = "", list[str]()
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        for line in table:
            words = line.partition(" - ")[0].split()
            place = _unescape(words[4])
            if (path == place or path.startswith(place.rstrip("/") + "/")) and len(place) >= len(best):
                best, fields = place, words[6:]
    return best, fields


def _unescape(text: str) -> str:
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text
