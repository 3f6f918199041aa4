"""``tmpcopyup``: what lies in the image below a tmpfs is copied into it before it is mounted there.

Both ends are opened directories and no link is followed: what the image holds cannot lead the copy outside.
"""

from __future__ import annotations

import os
import stat

_CHUNK = 1 << 20


def copy_tree(from_fd: int, to_fd: int) -> None:
    """What is in it: files, folders, links and nodes with owner, mode and times. Raises: OSError."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    source, target = os.open(".", flags, dir_fd=from_fd), os.open(".", flags, dir_fd=to_fd)
    try:
        _copy_entries(source, target)
    finally:
        os.close(source)
        os.close(target)


def _copy_entries(source: int, target: int) -> None:
    with os.scandir(source) as entries:
        for entry in entries:
            _copy_one(source, target, entry.name, entry.stat(follow_symlinks=False))


def _copy_folder(source: int, target: int) -> None:
    info = os.fstat(source)
    os.fchown(target, info.st_uid, info.st_gid)
    os.fchmod(target, stat.S_IMODE(info.st_mode))
    _copy_entries(source, target)
    os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns))


def _copy_one(source: int, target: int, name: str, info: os.stat_result) -> None:
    kind = stat.S_IFMT(info.st_mode)
    if kind == stat.S_IFDIR:
        os.mkdir(name, 0o700, dir_fd=target)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        from_fd, to_fd = os.open(name, flags, dir_fd=source), os.open(name, flags, dir_fd=target)
        try:
            _copy_folder(from_fd, to_fd)
        finally:
            os.close(from_fd)
            os.close(to_fd)
    elif kind == stat.S_IFREG:
        _copy_file(source, target, name, info)
    elif kind == stat.S_IFLNK:
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        os.chown(name, info.st_uid, info.st_gid, dir_fd=target, follow_symlinks=False)
    else:
        os.mknod(name, info.st_mode, info.st_rdev, dir_fd=target)
        os.chown(name, info.st_uid, info.st_gid, dir_fd=target, follow_symlinks=False)


def _copy_file(source: int, target: int, name: str, info: os.stat_result) -> None:
    from_fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
    try:
        to_fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=target)
        try:
            while chunk := os.read(from_fd, _CHUNK):
                os.write(to_fd, chunk)
            os.fchown(to_fd, info.st_uid, info.st_gid)
            os.fchmod(to_fd, stat.S_IMODE(info.st_mode))
            os.utime(to_fd, ns=(info.st_atime_ns, info.st_mtime_ns))
        finally:
            os.close(to_fd)
    finally:
        os.close(from_fd)
