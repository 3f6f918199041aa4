"""Whose ids a container's files have on the disk (``--userns-remap``).

in a user namespace, id-mapped mounts    the container's: the mounts show the host's
in a user namespace, without             the host's: layers are copied, writable layers and volumes moved
else                                     the container's, which are the host's
"""

from __future__ import annotations

import asyncio
import errno
import os

from msgspec.structs import replace

from berth.engine import userns
from berth.engine.containers.deps import Deps
from berth.engine.containers.record import ContainerRow
from berth.kernel import mount as m
from berth.snapshots.shift import Shift

_JOINS = ("NetworkMode", "IpcMode", "PidMode")
_CANNOT = (errno.EINVAL, errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP)


def lives_mapped(deps: Deps, row: ContainerRow) -> bool:
    """Who joins another container's namespaces is in its user namespace too: they belong to that."""
    seen: set[str] = set()
    while deps.host.id_map is not None and row.id not in seen:
        seen.add(row.id)
        hc = row.host_config
        modes = (str(hc.get(key) or "") for key in _JOINS)
        ref = next((mode.partition(":")[2] for mode in modes if mode.startswith("container:")), "")
        other = deps.containers.find(ref) if ref else None
        if other is None:
            return userns.remapped(deps.host.id_map, hc)
        row = other.row
    return False


def shift_for(deps: Deps, row: ContainerRow) -> Shift | None:
    """What owners on the disk must have gone through for a container; None: nothing, a mount shows them if need be."""
    return deps.host.shift if lives_mapped(deps, row) else None


async def names_to_map(deps: Deps, row: ContainerRow) -> frozenset[str]:
    """The volumes, and images, that a mount is to show through the map. After: they are mounted and have their owners."""
    if deps.host.userns_fd < 0 or not lives_mapped(deps, row):
        return frozenset()
    found = set()
    for point in row.mounts:
        if point.type == "image" or (point.type == "volume" and await can_map(deps, point.name)):
            found.add(point.name)
    return frozenset(found)


async def with_shifted_images(deps: Deps, row: ContainerRow) -> ContainerRow:
    """The row, in which images that are mounted have the owners of ``shift_for``. Raises: NotFound, ResourceExhausted."""
    shift = shift_for(deps, row)
    if shift is None or not any(point.type == "image" for point in row.mounts):
        return row
    mounts = []
    for point in row.mounts:
        if point.type == "image":
            lower = await deps.images.shifted_dirs(point.options["image"], shift)
            point = replace(point, options={**point.options, "lower": lower})
        mounts.append(point)
    return replace(row, mounts=mounts)


async def shift_of_volume(deps: Deps, row: ContainerRow, name: str) -> Shift | None:
    """What owners of new files in a volume must go through, so that a container has them as its image does."""
    worn = deps.volumes.worn(name)
    if worn is not None or deps.host.id_map is None or not lives_mapped(deps, row):
        return worn
    return None if await can_map(deps, name) else deps.host.id_map.shift


async def can_map(deps: Deps, name: str) -> bool:
    """Whether a volume's owners are the container's and its filesystem takes a map; one with options has a filesystem of
    its own (NFS takes none)."""
    if deps.host.userns_fd < 0 or deps.volumes.worn(name) is not None:
        return False
    return not deps.volumes.needs_mount(name) or await asyncio.to_thread(
        _takes_map, deps.volumes.path(name), deps.host.userns_fd
    )


def _takes_map(path: str, userns_fd: int) -> bool:
    fd = m.open_tree(m.AT_FDCWD, path, m.OPEN_TREE_CLONE)
    try:
        m.mount_setattr(fd, m.ATTR_IDMAP, userns_fd=userns_fd)
    except OSError as err:
        if err.errno not in _CANNOT:
            raise
        return False
    finally:
        os.close(fd)
    return True


def make_folders(deps: Deps, row: ContainerRow, path: str) -> None:
    """The directories of a bind's source that are not there, for the root of the container. Raises: OSError."""
    missing = []
    parent = path
    while not os.path.lexists(parent):
        missing.append(parent)
        parent = os.path.dirname(parent)
    os.makedirs(path, 0o755, exist_ok=True)
    if deps.host.id_map is not None and lives_mapped(deps, row):
        for made in missing:
            os.chown(made, *deps.host.id_map.root, follow_symlinks=False)
