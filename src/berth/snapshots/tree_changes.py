"""What a container changed in a tree of its own, for ``docker diff``: where its layer is a copy of the image, not an overlay.

Contents are not read: a file that was written to has other times or another size, as in Docker. Of directories the times do not
count; one in which something changed is modified.
"""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from berth.snapshots.changes import ADDED, DELETED, MODIFIED, Change
from berth.snapshots.shift import Shift

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_DEPTH = 512


def find_tree_changes(tree: str, image: str, targets: str, shift: Shift | None = None) -> list[Change]:
    """Sorted by path. ``image``: what ``tree`` was copied from; ``targets``: the mount targets that were added to it.

    ``shift``: what owners in ``tree`` have to go through to be the image's. Blocking; what vanishes meanwhile is passed over.
    """
    found: list[Change] = []
    fds = [os.open(path, _DIRECTORY) for path in (tree, image, targets)]
    try:
        _Comparison(found, shift).compare(_Place(*fds), b"", 0)
    finally:
        for fd in fds:
            os.close(fd)
    return sorted(found)


class _Place(NamedTuple):
    """The same directory in the tree, in the image and among the mount targets; -1 where it is not there."""

    tree: int
    image: int
    targets: int


class _Comparison:
    def __init__(self, found: list[Change], shift: Shift | None) -> None:
        self._found = found
        self._shift = shift

    def compare(self, at: _Place, prefix: bytes, depth: int) -> None:
        names = _names(at.tree)
        for name in _names(at.image) - names:
            self._tell(prefix, name, DELETED)
        for name in names:
            status = _stat(at.tree, name)
            if status is None:
                continue
            before = len(self._found)
            if stat.S_ISDIR(status.st_mode) and depth < _MAX_DEPTH:
                self._enter(at, prefix, name, depth)
            image, target = _stat(at.image, name), _stat(at.targets, name)
            if image is None and target is not None and _like_target(status, target):
                image = status
            if image is None:
                self._tell(prefix, name, ADDED)
            elif self._differ(status, image) or (len(self._found) > before):
                self._tell(prefix, name, MODIFIED)

    def _enter(self, at: _Place, prefix: bytes, name: bytes, depth: int) -> None:
        inner = [_open(fd, name) for fd in at]
        try:
            self.compare(_Place(*inner), prefix + b"/" + name, depth + 1)
        finally:
            for fd in inner:
                if fd >= 0:
                    os.close(fd)

    def _differ(self, new: os.stat_result, old: os.stat_result) -> bool:
        if new is old:
            return False
        owner = (new.st_uid, new.st_gid) if self._shift is None else self._shift.owner(new.st_uid, new.st_gid)
        if (new.st_mode, *owner, new.st_rdev) != (old.st_mode, old.st_uid, old.st_gid, old.st_rdev):
            return True
        return not stat.S_ISDIR(new.st_mode) and (new.st_mtime_ns, new.st_size) != (old.st_mtime_ns, old.st_size)

    def _tell(self, prefix: bytes, name: bytes, kind: int) -> None:
        self._found.append(Change((prefix + b"/" + name).decode("utf-8", "replace"), kind))


def _like_target(status: os.stat_result, target: os.stat_result) -> bool:
    """Whether it is the empty file, the link or the directory that the engine made."""
    return stat.S_IFMT(status.st_mode) == stat.S_IFMT(target.st_mode) and (
        stat.S_ISDIR(status.st_mode) or status.st_size == target.st_size
    )


def _names(fd: int) -> set[bytes]:
    return {os.fsencode(entry) for entry in os.listdir(fd)} if fd >= 0 else set()


def _stat(fd: int, name: bytes) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=fd, follow_symlinks=False) if fd >= 0 else None
    except FileNotFoundError:
        return None


def _open(fd: int, name: bytes) -> int:
    """-1 where it is no directory."""
    try:
        return os.open(name, _DIRECTORY, dir_fd=fd) if fd >= 0 else -1
    except OSError:
        return -1
