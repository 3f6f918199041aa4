"""What changed between two whole trees, as a layer's tar: for snapshotters whose layers are copies.

    apply(diff(a, b), a) == b      owners, modes, contents, links, devices, attributes; times to the second

A group of hard links is told whole as soon as one of its names differs, since a link to a name that the layer does not have
would be no link.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from berth.base.errors import InvalidArgument
from berth.snapshots.archive import WHITEOUT, read_xattrs, shifted_writer
from berth.snapshots.shift import Shift
from berth.snapshots.tar_write import Write
from berth.snapshots.tree import show
from berth.snapshots.walk import Node, walk

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CHUNK = 1 << 20


def write_diff(before: str, after: str, write: Write, shift: Shift | None = None) -> None:
    """The layer that makes ``after`` of ``before``; blocking. ``shift``: what owners of ``after`` become.

    Raises: InvalidArgument for names that mean whiteouts.
    """
    before_fd = os.open(before, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        changed = _changed(before_fd, after, _link_groups(before), _link_groups(after), shift)
    finally:
        os.close(before_fd)
    removed = list(_removed(before, after))
    changed |= {parent for name in (*changed, *removed) for parent in _parents(name)}
    writer = shifted_writer(write, shift)
    for node in walk([after]):
        if node.name in changed:
            if node.base.startswith(WHITEOUT):
                raise InvalidArgument(f"{show(node.name)}: a layer cannot hold a name that begins with .wh.")
            writer.add(node)
    for name in removed:
        writer.add_whiteout(name)
    writer.finish()


Groups = dict[bytes, frozenset[bytes]]
"""Name → every name of the same file, for files with more than one."""


def _link_groups(root: str) -> Groups:
    names: dict[int, set[bytes]] = {}
    for node in walk([root]):
        if node.status.st_nlink > 1 and stat.S_ISREG(node.status.st_mode):
            names.setdefault(node.status.st_ino, set()).add(node.name)
    return {name: frozenset(group) for group in names.values() for name in group if len(group) > 1}


def _changed(before_fd: int, after: str, old: Groups, new: Groups, shift: Shift | None) -> set[bytes]:
    """Names that differ, with the whole group of each that is a hard link."""
    changed: set[bytes] = set()
    for node in walk([after]):
        if old.get(node.name) != new.get(node.name) or _differs(before_fd, node, shift):
            changed.add(node.name)
            changed |= new.get(node.name, frozenset())
    return changed


def _parents(name: bytes) -> Iterator[bytes]:
    """Every directory above a name: what changes in a directory changes its times, so it is told as well."""
    while b"/" in name:
        name = name.rpartition(b"/")[0]
        yield name


def _removed(before: str, after: str) -> Iterator[bytes]:
    """Names of ``before`` that ``after`` lacks; nothing below one that goes as a whole."""
    after_fd = os.open(after, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    gone = b""
    try:
        for node in walk([before]):
            if gone and node.name.startswith(gone):
                continue
            status = _stat(after_fd, node.name)
            is_directory = stat.S_ISDIR(node.status.st_mode)
            if is_directory and (status is None or not stat.S_ISDIR(status.st_mode)):
                gone = node.name + b"/"  # what took its place hides what was in it
            if status is None:
                yield node.name
    finally:
        os.close(after_fd)


def _stat(root_fd: int, name: bytes) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=root_fd, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _differs(before_fd: int, node: Node, shift: Shift | None) -> bool:
    old, new = _stat(before_fd, node.name), node.status
    if old is None:
        return True
    owner = shift.owner(new.st_uid, new.st_gid) if shift else (new.st_uid, new.st_gid)
    if (old.st_mode, old.st_uid, old.st_gid, old.st_rdev) != (new.st_mode, *owner, new.st_rdev):
        return True
    if old.st_mtime_ns // 10**9 != new.st_mtime_ns // 10**9:
        return True
    if stat.S_ISLNK(new.st_mode):
        return os.readlink(node.name, dir_fd=before_fd) != os.readlink(node.base, dir_fd=node.parent_fd)
    if stat.S_ISREG(new.st_mode) or stat.S_ISDIR(new.st_mode):
        return _opened_differ(before_fd, node, old.st_size != new.st_size and stat.S_ISREG(new.st_mode), shift)
    return False


def _opened_differ(before_fd: int, node: Node, sizes_differ: bool, shift: Shift | None) -> bool:
    if sizes_differ:
        return True
    old_fd = os.open(node.name, _READ, dir_fd=before_fd)
    try:
        new_fd = os.open(node.base, _READ, dir_fd=node.parent_fd)
        try:
            found = read_xattrs(new_fd) or {}
            if (read_xattrs(old_fd) or {}) != {k: shift.xattr(k, v) if shift else v for k, v in found.items()}:
                return True
            return stat.S_ISREG(node.status.st_mode) and _contents_differ(old_fd, new_fd)
        finally:
            os.close(new_fd)
    finally:
        os.close(old_fd)


def _contents_differ(old_fd: int, new_fd: int) -> bool:
    at = 0
    while True:
        old, new = os.pread(old_fd, _CHUNK, at), os.pread(new_fd, _CHUNK, at)
        if old != new:
            return True
        if not old:
            return False
        at += len(old)
