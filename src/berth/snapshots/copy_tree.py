"""A copy of a whole tree: owners, modes, times, attributes, links and devices; contents shared where the file system can."""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from berth.snapshots.archive import read_xattrs
from berth.snapshots.shift import Shift
from berth.snapshots.tree import OPAQUE
from berth.snapshots.walk import Node, is_opaque, walk

_FICLONE = 0x40049409
_CHUNK = 1 << 26
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def copy_tree(source: str, target: str, *, shift: Shift | None = None) -> None:
    """Everything in ``source`` into the existing, empty directory ``target``; its root's looks as well. Blocking.

    ``shift``: what owners become; ``source`` is one overlay layer then, and its marks of what is gone are copied too.
    Raises: OSError (a full disk).
    """
    target_fd = os.open(target, _DIRECTORY)
    try:
        copier = _Copier(target_fd, shift)
        for node in walk([source], whiteouts=shift is not None):
            copier.copy(node)
        copier.finish()
        source_fd = os.open(source, _DIRECTORY)
        try:
            copier.dress(target_fd, os.fstat(source_fd), source_fd)
        finally:
            os.close(source_fd)
    finally:
        os.close(target_fd)


class _Copier:
    """Names are below ``root_fd``; nobody else writes there."""

    def __init__(self, root_fd: int, shift: Shift | None) -> None:
        self._root_fd = root_fd
        self._shift = shift
        self._first_names: dict[int, bytes] = {}
        self._times: list[tuple[bytes, os.stat_result]] = []

    def copy(self, node: Node) -> None:
        status = node.status
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFREG:
            self._copy_file(node)
        elif kind == stat.S_IFDIR:
            os.mkdir(node.name, 0o700, dir_fd=self._root_fd)
            self._dress_copy(node, _DIRECTORY)
            self._times.append((node.name, status))
        elif kind == stat.S_IFLNK:
            os.symlink(os.readlink(node.base, dir_fd=node.parent_fd), node.name, dir_fd=self._root_fd)
            os.chown(node.name, *self._owner(status), dir_fd=self._root_fd, follow_symlinks=False)
            self._touch(node.name, status)
        elif kind != stat.S_IFSOCK:
            os.mknod(node.name, status.st_mode, status.st_rdev, dir_fd=self._root_fd)
            os.chown(node.name, *self._owner(status), dir_fd=self._root_fd, follow_symlinks=False)
            os.chmod(node.name, stat.S_IMODE(status.st_mode), dir_fd=self._root_fd)
            self._touch(node.name, status)

    def finish(self) -> None:
        """Times of directories, last: what is made in them changes them."""
        for name, status in reversed(self._times):
            self._touch(name, status)

    def _copy_file(self, node: Node) -> None:
        first = self._first_names.get(node.status.st_ino)
        if first is not None:
            os.link(first, node.name, src_dir_fd=self._root_fd, dst_dir_fd=self._root_fd, follow_symlinks=False)
            return
        if node.status.st_nlink > 1:
            self._first_names[node.status.st_ino] = node.name
        source_fd = os.open(node.base, _READ, dir_fd=node.parent_fd)
        try:
            made = os.open(node.name, _CREATE, 0o600, dir_fd=self._root_fd)
            try:
                _share(source_fd, made, node.status.st_size)
                self.dress(made, node.status, source_fd)
                os.utime(made, ns=(node.status.st_atime_ns, node.status.st_mtime_ns))
            finally:
                os.close(made)
        finally:
            os.close(source_fd)

    def _dress_copy(self, node: Node, flags: int) -> None:
        source_fd = os.open(node.base, flags, dir_fd=node.parent_fd)
        try:
            made = os.open(node.name, flags, dir_fd=self._root_fd)
            try:
                self.dress(made, node.status, source_fd)
            finally:
                os.close(made)
        finally:
            os.close(source_fd)

    def dress(self, fd: int, status: os.stat_result, source_fd: int) -> None:
        """Owner, mode and attributes."""
        os.fchown(fd, *self._owner(status))
        os.fchmod(fd, stat.S_IMODE(status.st_mode))
        for key, value in (read_xattrs(source_fd) or {}).items():
            try:
                os.setxattr(fd, key, value if self._shift is None else self._shift.xattr(key, value))
            except OSError as err:
                if err.errno not in (errno.ENOTSUP, errno.EPERM):
                    raise
        if self._shift is not None and is_opaque(source_fd):
            os.setxattr(fd, OPAQUE, b"y")

    def _owner(self, status: os.stat_result) -> tuple[int, int]:
        return (
            (status.st_uid, status.st_gid) if self._shift is None else self._shift.owner(status.st_uid, status.st_gid)
        )

    def _touch(self, name: bytes, status: os.stat_result) -> None:
        os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=self._root_fd, follow_symlinks=False)


def _share(source_fd: int, made: int, size: int) -> None:
    """The same blocks (btrfs, XFS, bcachefs), a copy inside the kernel, or a plain one."""
    if not size:
        return
    try:
        fcntl.ioctl(made, _FICLONE, source_fd)
        return
    except OSError:
        pass
    at = 0
    try:
        while at < size and (done := os.copy_file_range(source_fd, made, min(_CHUNK, size - at), at, at)):
            at += done
    except OSError as err:
        if err.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
    while at < size and (piece := os.pread(source_fd, 1 << 20, at)):
        at += os.pwrite(made, piece, at)
