"""Walking file systems of layers: one directory, or a stack of layers merged as overlayfs shows it, without a mount.

Directories come before what is in them, names in byte order, so that what is made from a walk is the same every time.
Every step goes by descriptor and follows no symlink: a container may be writing meanwhile, and what vanishes is left out.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from berth.snapshots.tree import OPAQUE, is_whiteout

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_DEPTH = 1024
"""Levels of directories that are entered: each holds descriptors."""


class Node(NamedTuple):
    """An entry. ``name`` is its path below the root; ``parent_fd`` and ``base`` say where it is, until the next step.

    ``layer`` counts from the top of the stack."""

    name: bytes
    parent_fd: int
    base: bytes
    status: os.stat_result
    layer: int


class _Level(NamedTuple):
    """The same directory in the layers that show through, top first: (descriptor, layer). ``pending``: names, last first."""

    name: bytes
    fds: list[tuple[int, int]]
    pending: list[bytes]


def walk(roots: Sequence[str], *, whiteouts: bool = False) -> Iterator[Node]:
    """Everything below the merged ``roots`` (top first), but the root itself.

    ``whiteouts``: also the marks of what is gone (character devices 0:0), for a differ; of one layer only.
    Raises: OSError for roots that cannot be opened.
    """
    top = _level(b"", [(os.open(root, _DIRECTORY), number) for number, root in enumerate(roots)])
    stack = [top]
    try:
        while stack:
            level = stack[-1]
            if not level.pending:
                _close(stack.pop())
                continue
            base = level.pending.pop()
            found = _find(level, base, whiteouts)
            if found is None:
                continue
            yield found
            if stat.S_ISDIR(found.status.st_mode) and len(stack) < _MAX_DEPTH:
                stack.append(_level(found.name, _open_all(level, base)))
    finally:
        for level in stack:
            _close(level)


def _find(level: _Level, base: bytes, whiteouts: bool) -> Node | None:
    """What the topmost layer that has ``base`` says of it."""
    name = level.name + b"/" + base if level.name else base
    for fd, number in level.fds:
        try:
            status = os.stat(base, dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:
            continue
        if is_whiteout(status) and not whiteouts:
            return None
        return Node(name, fd, base, status, number)
    return None


def _open_all(level: _Level, base: bytes) -> list[tuple[int, int]]:
    """The directory ``base`` in every layer down to the first where it is opaque, or no directory."""
    opened: list[tuple[int, int]] = []
    for fd, number in level.fds:
        try:
            inner = os.open(base, _DIRECTORY, dir_fd=fd)
        except FileNotFoundError:
            continue
        except OSError:
            break  # a file or a whiteout: what is below is hidden
        opened.append((inner, number))
        if is_opaque(inner):
            break
    return opened


def is_opaque(fd: int) -> bool:
    """Whether a directory hides those of its name in the layers below."""
    try:
        return os.getxattr(fd, OPAQUE) == b"y"
    except OSError:
        return False


def _level(name: bytes, fds: list[tuple[int, int]]) -> _Level:
    names: set[bytes] = set()
    for fd, _ in fds:
        try:
            names.update(os.fsencode(entry) for entry in os.listdir(fd))
        except OSError:
            continue
    return _Level(name, fds, sorted(names, reverse=True))


def _close(level: _Level) -> None:
    for fd, _ in level.fds:
        os.close(fd)
