"""Opening paths inside a container's root, and checking what was opened.

Spec: openat2(2). RESOLVE_IN_ROOT treats the directory as "/" for absolute links and "..", and magic links are refused: a path
that the container controls never leads outside.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import stat
import struct

from berth.kernel.libc import call, syscall

RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_IN_ROOT = 0x10

PROC_SUPER_MAGIC = 0x9FA0
_GET_FLAGS, _SET_FLAGS = 0x80086601, 0x40086602  # FS_IOC_GETFLAGS, FS_IOC_SETFLAGS
TOP_DIRECTORY = 0x20000  # FS_TOPDIR_FL
_EAGAIN_TRIES = 32
_O_TMPFILE = getattr(os, "O_TMPFILE", 0)


def openat2(dirfd: int, path: str, flags: int, mode: int = 0, resolve: int = 0) -> int:
    """Raises: OSError (EXDEV when it would leave, ELOOP for a refused link)."""
    how = struct.pack("QQQ", flags | os.O_CLOEXEC, mode, resolve)
    raw = os.fsencode(path)
    for attempt in range(_EAGAIN_TRIES):
        try:
            return syscall("openat2", dirfd, raw, how, len(how))
        except OSError as err:
            if err.errno != 11 or attempt == _EAGAIN_TRIES - 1:  # a rename raced with "..": try again
                raise OSError(err.errno, err.strerror, path) from None
    raise AssertionError("unreachable")


def openat2_in_root(root_fd: int, path: str, flags: int, mode: int = 0) -> int:
    """Open ``path`` as a process chrooted into ``root_fd`` would."""
    return openat2(root_fd, path.lstrip("/") or ".", flags, mode, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)


def syncfs(path: str) -> None:
    """Write back everything of the file system that ``path`` is on. Raises: OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        call("syncfs", fd, path=path)
    finally:
        os.close(fd)


def spread_below(path: str) -> None:
    """Tell the file system that the directories in this one have nothing to do with each other, if it has a word for that.

    ext4 gives an inode that was deleted in the last minute to nobody, and looks at all of them, one by one, each time that it
    makes one beside them. With this each of the directories begins in a group of blocks of its own.

    Spec: chattr(1), T.
    """
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            (flags,) = struct.unpack("I", fcntl.ioctl(fd, _GET_FLAGS, bytes(4)))
            if not flags & TOP_DIRECTORY:
                fcntl.ioctl(fd, _SET_FLAGS, struct.pack("I", flags | TOP_DIRECTORY))
    finally:
        os.close(fd)


def ensure_in_root(root_fd: int, path: str, *, directory: bool, mode: int = 0o755) -> int:
    """An O_PATH descriptor of ``path`` inside the root; what is missing is made, each parent resolved inside.

    Raises: OSError (ENOTDIR, or EISDIR/ENOTDIR when the kind of what is there does not fit ``directory``).
    """
    try:
        fd = openat2_in_root(root_fd, path, os.O_PATH)
    except FileNotFoundError:
        fd = _create_in_root(root_fd, path, directory, mode)
    is_dir = stat.S_ISDIR(os.fstat(fd).st_mode)
    if is_dir != directory:
        os.close(fd)
        number = 20 if directory else 21
        raise OSError(number, os.strerror(number), path)
    return fd


def _create_in_root(root_fd: int, path: str, directory: bool, mode: int) -> int:
    parts = [p for p in path.split("/") if p]
    prefix = ""
    for at, name in enumerate(parts):
        parent = prefix
        prefix = f"{prefix}/{name}"
        last = at == len(parts) - 1
        try:
            os.close(openat2_in_root(root_fd, prefix, os.O_PATH))
            continue
        except FileNotFoundError:
            pass
        parent_fd = openat2_in_root(root_fd, parent or "/", os.O_PATH | os.O_DIRECTORY)
        try:
            if last and not directory:
                os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=parent_fd))
            else:
                os.mkdir(name, mode, dir_fd=parent_fd)
        except FileExistsError:
            pass  # a dangling link stands there: the open below refuses it
        finally:
            os.close(parent_fd)
    return openat2_in_root(root_fd, path, os.O_PATH)


_STATFS_BYTES = 120


def fstype_magic(fd: int) -> int:
    """``f_type`` of the filesystem that ``fd`` is on (fstatfs(2))."""
    buffer = ctypes.create_string_buffer(_STATFS_BYTES)
    call("fstatfs", fd, buffer)
    return int(struct.unpack_from("l", buffer.raw)[0])


def write_proc(proc_fd: int, path: str, value: str) -> None:
    """Write a file below a procfs directory that is verified to be one (CVE-2019-16884, CVE-2025-52881).

    Raises: OSError.
    """
    fd = openat2(proc_fd, path, os.O_WRONLY, 0, RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)
    try:
        if fstype_magic(fd) != PROC_SUPER_MAGIC:
            raise OSError(22, "not on procfs", path)
        os.write(fd, value.encode())
    finally:
        os.close(fd)
