"""What another runtime is to find by path: the root, and sources that have no path of their own.

They stand in the shim's own mount namespace, which the host does not see and which goes with the shim.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from berth.base.errors import from_oserror
from berth.base.undo import Undo
from berth.kernel import cgroups, mountinfo
from berth.kernel import mount as m
from berth.kernel import process as p
from berth.oci import mounts
from berth.oci.rootfs import open_root
from berth.spec.shim import OverlayRootfs


def own_namespace() -> None:
    """What is mounted from here on the host does not see; what the host mounts still comes in. Raises: OSError."""
    p.unshare(p.CLONE_NEWNS)
    m.mount("", "/", "", m.MS_SLAVE | m.MS_REC)
    _hide_second_tree()


def _hide_second_tree() -> None:
    """crun refuses a hybrid host whose v2 tree has a controller, though it would use none of it: it does not see that tree."""
    hierarchies = cgroups.detect()
    if hierarchies.version != 1:
        return
    for mount in mountinfo.read():
        if mount.fstype == "cgroup2":
            m.umount2(mount.place, m.MNT_DETACH)


def place_root(spec: Mapping[str, Any], rootfs: OverlayRootfs | None, folder: str, undo: Undo) -> str:
    """The root filesystem at ``<folder>/rootfs``. Raises: NotFound, Internal, …"""
    path = os.path.join(folder, "rootfs")
    os.mkdir(path, 0o755)  # the folder stays: runc stands in it at every exec
    _place(open_root(spec, rootfs), path)
    undo.push("unmount the root", m.umount2, path, m.MNT_DETACH)
    return path


def place_sources(spec: Mapping[str, Any], folder: str, undo: Undo) -> dict[int, str]:
    """Sources below a path, in layers, in another mount namespace: by their mount's index, where they stand now."""
    placed: dict[int, str] = {}
    for at, entry in enumerate(mounts.entries_of(spec)):
        where = entry.where
        if not entry.bind or not (where.subpath or where.layers or where.mntns):
            continue
        path = os.path.join(folder, f"source{at}")
        try:
            fd = mounts.open_bind(entry)
        except OSError as err:
            text = f'error mounting "{entry.source}" to rootfs at "{entry.place}"'
            raise from_oserror(err, text, op="mount", path=entry.place) from err
        if mounts.is_directory(fd):
            os.mkdir(path, 0o700)
            undo.push("remove a source's folder", os.rmdir, path)
        else:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            undo.push("remove a source's file", os.unlink, path)
        _place(fd, path)
        undo.push("unmount a source", m.umount2, path, m.MNT_DETACH)
        placed[at] = path
    return placed


def _place(fd: int, path: str) -> None:
    """Move a detached mount to ``path``; the descriptor is closed."""
    try:
        target = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            m.move_mount(fd, target)
        finally:
            os.close(target)
    except OSError as err:
        raise from_oserror(err, "mount the root filesystem", op="mount", path=path) from err
    finally:
        os.close(fd)
