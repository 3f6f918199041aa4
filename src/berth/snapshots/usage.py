"""How many bytes a tree holds, while somebody may go on writing it."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from typing import NamedTuple

_BLOCK = 512
_MAX_DEPTH = 256
"""Levels that are looked into: each costs a descriptor, and a container may nest directories without end."""


class Usage(NamedTuple):
    """Units: bytes. ``size``: contents of files and symbolic links; ``disk``: blocks of everything, directories included, as
    ``du`` counts."""

    size: int
    disk: int


def disk_of(path: str) -> int:
    """Bytes that one inode takes on the disk; 0 for what is not there."""
    try:
        return os.lstat(path).st_blocks * _BLOCK
    except OSError:
        return 0


def rest_usage(root: str, known: Collection[str]) -> int:
    """Bytes on the disk at and below ``root`` in what is at or below none of the paths ``known``.

    For folders of the engine's own, which nobody swaps for links while it looks; shallow, so it goes by paths.
    """
    total = disk_of(root)
    try:
        with os.scandir(root) as entries:
            for entry in entries:
                if entry.path not in known:
                    is_folder = entry.is_dir(follow_symlinks=False)
                    total += rest_usage(entry.path, known) if is_folder else disk_of(entry.path)
    except OSError:
        pass
    return total


def tree_usage(root: str) -> Usage:
    """What lies at and below ``root``, each inode once; what vanishes meanwhile counts nothing.

    Walks by descriptors and follows no symlink: the container may swap directories for links at any moment.
    """
    seen: set[int] = set()
    size = disk = 0
    try:
        stack = [_Level(os.open(root, _FLAGS))]
    except OSError:
        return Usage(0, 0)
    try:
        while stack:
            entry = next(stack[-1].entries, None)
            if entry is None:
                disk += os.fstat(stack[-1].fd).st_blocks * _BLOCK
                stack.pop().close()
                continue
            try:
                if entry.is_dir(follow_symlinks=False):
                    if len(stack) < _MAX_DEPTH:
                        stack.append(_Level(os.open(entry.name, _FLAGS, dir_fd=stack[-1].fd)))
                    continue
                status = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if status.st_ino in seen:
                continue
            if status.st_nlink > 1:
                seen.add(status.st_ino)
            disk += status.st_blocks * _BLOCK
            if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
                size += status.st_size
    finally:
        for level in stack:
            level.close()
    return Usage(size, disk)


_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _Level:
    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._scan = os.scandir(fd)
        self.entries: Iterator[os.DirEntry[str]] = iter(self._scan)

    def close(self) -> None:
        self._scan.close()
        os.close(self.fd)
