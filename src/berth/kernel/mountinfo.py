"""The table of mounts that a process sees.

Spec: proc_pid_mountinfo(5).
"""

from __future__ import annotations

import os
from typing import NamedTuple


class Mount(NamedTuple):
    """``device`` is major:minor, ``root`` the part of the filesystem that stands at ``place``, ``tags`` its propagation."""

    place: str
    device: str
    root: str
    fstype: str
    source: str
    tags: tuple[str, ...]


def read(pid: int | str = "self") -> list[Mount]:
    """In the order of the table: of several on one place the last is seen. Raises: OSError."""
    found = []
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        for line in table:
            left, _, right = line.partition(" - ")
            words, kind = left.split(" "), right.split(" ")
            found.append(
                Mount(_plain(words[4]), words[2], _plain(words[3]), kind[0], _plain(kind[1]), tuple(words[6:]))
            )
    return found


def under(path: str) -> Mount:
    """The mount that ``path`` lies in. Raises: OSError."""
    path = os.path.realpath(path)
    best: Mount | None = None
    for mount in read():
        if is_within(path, mount.place) and (best is None or len(mount.place) >= len(best.place)):
            best = mount
    assert best is not None, "everything lies below /"
    return best


def is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _plain(field: str) -> str:
    """Octal escapes read; without ``re``, which a zygote does not carry."""
    if "\\" not in field:
        return field
    head, *rest = field.split("\\")
    return head + "".join(chr(int(part[:3], 8)) + part[3:] for part in rest)
