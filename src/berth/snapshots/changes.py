"""What a writable overlay layer changed over the layers below it, for ``docker diff``.

A directory that overlayfs copied up only because something in it changed counts as modified, as in Docker.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from typing import NamedTuple

from berth.snapshots.tree import is_whiteout
from berth.snapshots.walk import is_opaque

MODIFIED, ADDED, DELETED = 0, 1, 2

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_DEPTH = 512


class Change(NamedTuple):
    """``path`` from the root of the container, ``kind`` one of Docker's three numbers."""

    path: str
    kind: int


def find_changes(upper: str, lowers: Sequence[str]) -> list[Change]:
    """Sorted by path. ``lowers``: top first. Blocking; what vanishes meanwhile is passed over."""
    found: list[Change] = []
    fds = [os.open(path, _DIRECTORY) for path in (upper, *lowers)]
    try:
        _compare(fds[0], fds[1:], b"", found, 0)
    finally:
        for fd in fds:
            os.close(fd)
    return sorted(found)


def _compare(upper_fd: int, lower_fds: list[int], prefix: bytes, found: list[Change], depth: int) -> None:
    names = {os.fsencode(entry) for entry in os.listdir(upper_fd)}
    if is_opaque(upper_fd):
        found += [Change(_show(prefix, name), DELETED) for name in _visible(lower_fds) - names]
    for name in names:
        try:
            status = os.stat(name, dir_fd=upper_fd, follow_symlinks=False)
            below = _lookup(lower_fds, name)
            if is_whiteout(status):
                if below is not None:
                    found.append(Change(_show(prefix, name), DELETED))
            elif stat.S_ISDIR(status.st_mode) and below is not None and stat.S_ISDIR(below.st_mode):
                _compare_directory(upper_fd, lower_fds, prefix, name, (status, below), found, depth)
            else:
                found.append(Change(_show(prefix, name), ADDED if below is None else MODIFIED))
                if stat.S_ISDIR(status.st_mode):
                    _compare_inner(upper_fd, [], prefix, name, found, depth)
        except FileNotFoundError:
            continue


def _compare_directory(
    upper_fd: int, lower_fds: list[int], prefix: bytes, name: bytes, pair: tuple[os.stat_result, os.stat_result],
    found: list[Change], depth: int,
) -> None:  # fmt: skip
    before = len(found)
    _compare_inner(upper_fd, lower_fds, prefix, name, found, depth)
    if len(found) > before or _dress(pair[0]) != _dress(pair[1]):
        found.append(Change(_show(prefix, name), MODIFIED))


def _compare_inner(
    upper_fd: int, lower_fds: list[int], prefix: bytes, name: bytes, found: list[Change], depth: int
) -> None:
    """Go into the directory ``name``."""
    if depth >= _MAX_DEPTH:
        return
    fds = [os.open(name, _DIRECTORY, dir_fd=upper_fd)]
    try:
        fds += _open_lowers(lower_fds, name)
        _compare(fds[0], fds[1:], prefix + b"/" + name, found, depth + 1)
    finally:
        for fd in fds:
            os.close(fd)


def _open_lowers(lower_fds: list[int], name: bytes) -> list[int]:
    """The directory in the layers below, down to where it is opaque or no directory."""
    opened: list[int] = []
    for fd in lower_fds:
        try:
            inner = os.open(name, _DIRECTORY, dir_fd=fd)
        except FileNotFoundError:
            continue
        except OSError:
            break
        opened.append(inner)
        if is_opaque(inner):
            break
    return opened


def _lookup(lower_fds: list[int], name: bytes) -> os.stat_result | None:
    for fd in lower_fds:
        try:
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:
            continue
        return None if is_whiteout(status) else status
    return None


def _visible(lower_fds: list[int]) -> set[bytes]:
    names = {os.fsencode(entry) for fd in lower_fds for entry in os.listdir(fd)}
    return {name for name in names if _lookup(lower_fds, name) is not None}


def _dress(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns


def _show(prefix: bytes, name: bytes) -> str:
    return (prefix + b"/" + name).decode("utf-8", "replace")
