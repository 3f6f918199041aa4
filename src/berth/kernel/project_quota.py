"""Project quotas: a limit on the bytes below a directory, kept by ext4 and XFS that are mounted with ``prjquota``.

A directory's project id is handed down to what is made in it, and the limit is the id's. Ids are taken from a random place on,
where nothing has one yet: other engines and programs may use the same filesystem.

Spec: quotactl(2), ioctl_fsxattr(2), linux/quota.h, linux/dqblk_xfs.h.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import random
import struct
import threading

from berth.kernel.libc import syscall

_GET_XATTR, _SET_XATTR = 0x801C581F, 0x401C5820  # FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR
_XATTR = struct.Struct("<IIIII8x")  # fsx_xflags, fsx_extsize, fsx_nextents, fsx_projid, fsx_cowextsize
_INHERIT = 0x200  # FS_XFLAG_PROJINHERIT
_PROJECTS = 2  # PRJQUOTA
_GET, _SET, _STATE = 0x800007, 0x800008, (ord("X") << 8) + 5  # Q_GETQUOTA, Q_SETQUOTA, Q_XGETQSTAT
_ENFORCED = 1 << 5  # FS_QUOTA_PDQ_ENFD
_LIMITS = struct.Struct("<8QI4x")
"""struct if_dqblk: bytes hard, soft (in KiB), bytes in use, inodes hard, soft, in use, two times, what of it is meant."""
_BYTES = 1  # QIF_BLIMITS

_lock = threading.Lock()
_next = random.randrange(1 << 24, 1 << 31)


def supported(directory: str) -> bool:
    """Whether limits below ``directory`` are kept: filesystem, its mount and kernel (5.14) have project quotas."""
    state = ctypes.create_string_buffer(512)
    try:
        _quotactl(directory, _STATE, 0, state)
    except OSError:
        return False
    return bool(struct.unpack_from("<H", state, 2)[0] & _ENFORCED)


def limit(directory: str, size_bytes: int) -> None:
    """What is made in ``directory``, which is empty, may have ``size_bytes`` in all. Raises: OSError."""
    with _lock:
        project = _unused(directory)
        _set_project(directory, project)
        _set_limit(directory, project, size_bytes)


def release(directory: str) -> None:
    """The limit goes, so that its id is free once the files are gone. Without one: nothing."""
    try:
        project = _read(directory)[3]
        if project:
            _set_limit(directory, project, 0)
    except OSError:
        pass  # the directory is gone, or its filesystem has none


def _unused(directory: str) -> int:
    global _next
    while True:
        _next = _next + 1 if _next < (1 << 32) - 2 else 1 << 24
        found = ctypes.create_string_buffer(_LIMITS.size)
        try:
            _quotactl(directory, _GET, _next, found)
        except OSError as err:
            if err.errno in (errno.ENOENT, errno.ESRCH):  # XFS knows of none
                return _next
            raise
        hard, soft, in_use, _, _, inodes, *_ = _LIMITS.unpack(found.raw)
        if not (hard or soft or in_use or inodes):
            return _next


def _set_limit(directory: str, project: int, size_bytes: int) -> None:
    hard = -(-size_bytes // 1024)
    _quotactl(directory, _SET, project, ctypes.create_string_buffer(_LIMITS.pack(hard, hard, 0, 0, 0, 0, 0, 0, _BYTES)))


def _read(directory: str) -> tuple[int, ...]:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return _XATTR.unpack(fcntl.ioctl(fd, _GET_XATTR, bytes(_XATTR.size)))
    finally:
        os.close(fd)


def _set_project(directory: str, project: int) -> None:
    flags, extent, _, _, cow = _read(directory)
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, _SET_XATTR, _XATTR.pack(flags | _INHERIT, extent, 0, project, cow))
    finally:
        os.close(fd)


def _quotactl(directory: str, command: int, project: int, argument: ctypes.Array[ctypes.c_char]) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        syscall(
            "quotactl_fd",
            ctypes.c_uint(fd),
            ctypes.c_uint((command << 8) | _PROJECTS),
            ctypes.c_uint(project),
            argument,
        )
    finally:
        os.close(fd)
