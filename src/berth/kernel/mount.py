"""Mounts: mount(2) and the mount API of descriptors (Linux 5.2, mount_setattr 5.12).

A descriptor of ``fsmount`` or ``open_tree`` is a mount that stands nowhere yet; ``move_mount`` places it. Placing onto an
opened directory (never a path) is what keeps a container's symbolic links from choosing where a mount lands.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Sequence

from berth.kernel.libc import call, syscall

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_SYNCHRONOUS = 16
MS_REMOUNT = 32
MS_MANDLOCK = 64
MS_DIRSYNC = 128
MS_NOATIME = 1024
MS_NODIRATIME = 2048
MS_BIND = 4096
MS_MOVE = 8192
MS_REC = 16384
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MS_RELATIME = 1 << 21
MS_STRICTATIME = 1 << 24
MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8

OPEN_TREE_CLONE = 1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
AT_FDCWD = -100
MOVE_MOUNT_F_EMPTY_PATH = 0x04
MOVE_MOUNT_T_EMPTY_PATH = 0x40

FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_CMD_CREATE = 6
FSOPEN_CLOEXEC = 1
FSMOUNT_CLOEXEC = 1

ATTR_RDONLY = 0x01
ATTR_NOSUID = 0x02
ATTR_NODEV = 0x04
ATTR_NOEXEC = 0x08
ATTR_ATIME_MASK = 0x70
ATTR_RELATIME = 0x00
ATTR_NOATIME = 0x10
ATTR_STRICTATIME = 0x20
ATTR_NODIRATIME = 0x80
ATTR_IDMAP = 0x00100000
ATTR_NOSYMFOLLOW = 0x00200000

_PAGE = 4096


def mount(source: str, target: str, fstype: str, flags: int = 0, data: str = "") -> None:
    call(
        "mount", os.fsencode(source), os.fsencode(target), fstype.encode() or None, flags,
        data.encode() or None, path=target,
    )  # fmt: skip


def umount2(target: str, flags: int = 0) -> None:
    call("umount2", os.fsencode(target), flags, path=target)


def pivot_root(new_root: str, put_old: str) -> None:
    syscall("pivot_root", os.fsencode(new_root), os.fsencode(put_old))


def open_tree(dirfd: int, path: str, flags: int) -> int:
    """A descriptor of a mount; with OPEN_TREE_CLONE of a detached copy (a bind that stands nowhere yet)."""
    try:
        return syscall("open_tree", dirfd, os.fsencode(path), flags | OPEN_TREE_CLOEXEC)
    except OSError as err:
        raise OSError(err.errno, err.strerror, path) from None


def move_mount(from_fd: int, to_fd: int) -> None:
    """Place the detached mount ``from_fd`` onto the directory or file that ``to_fd`` has open."""
    syscall(
        "move_mount", from_fd, b"", to_fd, b"",
        MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH,
    )  # fmt: skip


def mount_setattr(
    fd: int, attr_set: int, attr_clear: int = 0, propagation: int = 0, *, recursive: bool = False, userns_fd: int = 0
) -> None:
    """Change attributes of the mount that ``fd`` has open; ``userns_fd`` goes with ATTR_IDMAP."""
    attr = struct.pack("QQQQ", attr_set, attr_clear, propagation, userns_fd)
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    syscall("mount_setattr", fd, b"", flags, attr, len(attr))


def fsopen(fstype: str) -> int:
    return syscall("fsopen", fstype.encode(), FSOPEN_CLOEXEC)


def fsconfig_string(fd: int, key: str, value: str) -> None:
    syscall("fsconfig", fd, FSCONFIG_SET_STRING, key.encode(), os.fsencode(value), 0)


def fsconfig_flag(fd: int, key: str) -> None:
    syscall("fsconfig", fd, FSCONFIG_SET_FLAG, key.encode(), None, 0)


def fsmount(fd: int, attributes: int = 0) -> int:
    """Create the filesystem that was configured and return its detached mount."""
    syscall("fsconfig", fd, FSCONFIG_CMD_CREATE, None, None, 0)
    return syscall("fsmount", fd, FSMOUNT_CLOEXEC, attributes)


def new_filesystem(fstype: str, options: Sequence[str] = (), attributes: int = 0, source: str = "") -> int:
    """A detached mount of a fresh filesystem; options are ``key=value`` or flags. ``source``: what df shows; its type."""
    fd = fsopen(fstype)
    try:
        fsconfig_string(fd, "source", source or fstype)
        for option in options:
            key, eq, value = option.partition("=")
            if eq:
                fsconfig_string(fd, key, value)
            else:
                fsconfig_flag(fd, key)
        return fsmount(fd, attributes)
    finally:
        os.close(fd)


def overlay(lower: Sequence[str], upper: str, work: str, *, volatile: bool = False) -> int:
    """A detached overlay mount. ``lower`` is top first.

    ``lowerdir+`` (Linux 6.7) takes any number of layers; before that, one option string of at most a page.
    """
    try:
        return _overlay_by_parts(lower, upper, work, volatile)
    except OSError as err:
        if err.errno != errno.EINVAL:
            raise
    return _overlay_by_string(lower, upper, work, volatile)


def _overlay_by_parts(lower: Sequence[str], upper: str, work: str, volatile: bool) -> int:
    fd = fsopen("overlay")
    try:
        fsconfig_string(fd, "source", "overlay")
        for path in lower:
            fsconfig_string(fd, "lowerdir+", path)
        if upper:
            fsconfig_string(fd, "upperdir", upper)
            fsconfig_string(fd, "workdir", work)
        if volatile:
            fsconfig_flag(fd, "volatile")
        return fsmount(fd)
    finally:
        os.close(fd)


def _overlay_by_string(lower: Sequence[str], upper: str, work: str, volatile: bool) -> int:
    """By mount(2), for fsconfig(2) takes no value above 255 bytes; layers by a descriptor's short name, so that 150 fit.

    The mount stands on one of its own directories for the moment that it takes to clone it.
    """
    top = os.path.commonpath([*lower, upper or lower[0]])
    top_fd = os.open(top, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        short = [
            _escape(f"/proc/self/fd/{top_fd}/{os.path.relpath(path, top)}") for path in (*lower, upper, work) if path
        ]
        options = "lowerdir=" + ":".join(short[: len(lower)])
        if upper:
            options += f",upperdir={short[-2]},workdir={short[-1]}"
        if volatile:
            options += ",volatile"
        place = upper or f"{top}/.view-{os.urandom(8).hex()}"  # a layer may be in use by others at the same moment
        if not upper:
            os.mkdir(place, 0o700)
        try:
            mount("overlay", place, "overlay", 0, options)
            try:
                return open_tree(AT_FDCWD, place, OPEN_TREE_CLONE)
            finally:
                umount2(place, MNT_DETACH)
        finally:
            if not upper:
                os.rmdir(place)
    finally:
        os.close(top_fd)


def _escape(path: str) -> str:
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


def overlay_readonly(lower: Sequence[str]) -> int:
    """The layers as one read-only tree that is mounted nowhere: a descriptor to open paths below."""
    if len(lower) == 1:
        return open_tree(AT_FDCWD, lower[0], OPEN_TREE_CLONE)
    return overlay(lower, "", "")


OPTION_FLAGS: dict[str, tuple[int, int]] = {  # option → (attributes to set, attributes to clear)
    "ro": (ATTR_RDONLY, 0), "rw": (0, ATTR_RDONLY), "nosuid": (ATTR_NOSUID, 0), "suid": (0, ATTR_NOSUID),
    "nodev": (ATTR_NODEV, 0), "dev": (0, ATTR_NODEV), "noexec": (ATTR_NOEXEC, 0), "exec": (0, ATTR_NOEXEC),
    "noatime": (ATTR_NOATIME, ATTR_ATIME_MASK), "relatime": (0, ATTR_ATIME_MASK), "atime": (0, ATTR_ATIME_MASK),
    "strictatime": (ATTR_STRICTATIME, ATTR_ATIME_MASK), "nostrictatime": (0, ATTR_ATIME_MASK),
    "norelatime": (0, ATTR_ATIME_MASK), "nodiratime": (ATTR_NODIRATIME, 0), "diratime": (0, ATTR_NODIRATIME),
    "nosymfollow": (ATTR_NOSYMFOLLOW, 0), "symfollow": (0, ATTR_NOSYMFOLLOW),
}  # fmt: skip
RECURSIVE_FLAGS = {f"r{name}": bits for name, bits in OPTION_FLAGS.items()}
PROPAGATION = {
    "private": MS_PRIVATE, "rprivate": MS_PRIVATE | MS_REC, "shared": MS_SHARED, "rshared": MS_SHARED | MS_REC,
    "slave": MS_SLAVE, "rslave": MS_SLAVE | MS_REC, "unbindable": MS_UNBINDABLE,
    "runbindable": MS_UNBINDABLE | MS_REC,
}  # fmt: skip
