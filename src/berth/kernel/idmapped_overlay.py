"""An overlay for a user namespace whose layers stay on disk as they are: every layer is an id-mapped mount.

    on disk        through the layers' mounts      in the container
    uid 0      →   the map's first host id    →    uid 0

So images and what containers write keep the ids of the image, and whoever reads the layers (commit, diff, cp) need not know of
any map. Overlayfs works with the identity of who mounted it: that must be one that the map holds, or it could not even make its
work folder; so the mount is made as the container's root. Needs Linux 5.19 and a filesystem with FS_ALLOW_IDMAP.
Spec: mount_setattr(2) "ID-mapped mounts"; Documentation/filesystems/overlayfs.rst.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from berth.kernel import mount as m
from berth.kernel import process as p
from berth.kernel.idmap import Mappings, host_id, namespace_for
from berth.kernel.libc import syscall


def overlay(
    lower: Sequence[str],
    upper: str,
    work: str,
    *,
    uid_mappings: Mappings,
    gid_mappings: Mappings,
    volatile: bool = False,
) -> int:
    """A detached overlay mount. Raises: OSError (EINVAL where the filesystem takes no map, EPERM before Linux 5.19)."""
    userns_fd = namespace_for(uid_mappings, gid_mappings)
    opened: list[int] = []
    try:
        names = [_mapped(path, userns_fd, opened) for path in lower]
        folder = os.path.dirname(upper)
        # upper and work folder must lie in one mount
        top = _mapped(folder, userns_fd, opened) if os.path.dirname(work) == folder else _mapped("/", userns_fd, opened)
        upper_in, work_in = (f"{top}/{os.path.relpath(path, folder)}" for path in (upper, work))
        with identity(host_id(uid_mappings, 0), host_id(gid_mappings, 0)):
            return m.overlay(names, upper_in, work_in, volatile=volatile)
    finally:
        for fd in (userns_fd, *opened):
            os.close(fd)


def overlay_readonly(lower: Sequence[str], userns_fd: int) -> int:
    """The layers as one read-only tree that is seen through the map of a user namespace. Raises: OSError as ``overlay``."""
    opened: list[int] = []
    try:
        names = [_mapped(path, userns_fd, opened) for path in lower]
        return opened.pop() if len(lower) == 1 else m.overlay(names, "", "")
    finally:
        for fd in opened:
            os.close(fd)


def mapped_tree(path: str, *, uid_mappings: Mappings, gid_mappings: Mappings) -> int:
    """A detached mount of one folder seen through the map. Raises: OSError as ``overlay``."""
    userns_fd = namespace_for(uid_mappings, gid_mappings)
    try:
        fd = m.open_tree(m.AT_FDCWD, path, m.OPEN_TREE_CLONE)
        try:
            m.mount_setattr(fd, m.ATTR_IDMAP, userns_fd=userns_fd)
        except BaseException:
            os.close(fd)
            raise
        return fd
    finally:
        os.close(userns_fd)


def _mapped(path: str, userns_fd: int, opened: list[int]) -> str:
    """A name for ``path`` seen through the map, good while its descriptor (added to ``opened``) is open."""
    fd = m.open_tree(m.AT_FDCWD, path, m.OPEN_TREE_CLONE)
    opened.append(fd)
    m.mount_setattr(fd, m.ATTR_IDMAP, userns_fd=userns_fd)
    return f"/proc/self/fd/{fd}"


@contextmanager
def identity(uid: int, gid: int) -> Iterator[None]:
    """Another filesystem identity of this thread with all powers kept: the kernel drops some when a root's fsuid becomes
    another. Whoever makes files on such an overlay needs one that the map holds."""
    effective, permitted, inheritable = p.capget()
    syscall("setfsgid", gid)
    syscall("setfsuid", uid)
    try:
        p.capset(permitted, permitted, inheritable)
        yield
    finally:
        syscall("setfsuid", 0)
        syscall("setfsgid", 0)
        p.capset(effective, permitted, inheritable)
