"""Copy-up: a new, empty volume over a directory of the image starts with what the image has there.

The image is mounted read-only and detached (it appears in no mount namespace), and its paths are resolved inside it
(openat2, RESOLVE_IN_ROOT): a symbolic link in the image never leads to the host. CVE-2022-23648 is this class.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import stat

from berth.base.errors import BerthError, from_oserror
from berth.engine.containers.deps import Deps
from berth.engine.containers.record import ContainerRow, MountPoint
from berth.engine.containers.remapping import shift_for, shift_of_volume
from berth.engine.images.record import ImageRecord
from berth.kernel import mount as mounts
from berth.kernel.files import openat2_in_root
from berth.snapshots.shift import Shift


async def copy_up(deps: Deps, image: ImageRecord, point: MountPoint, row: ContainerRow) -> None:
    """Fill ``point.source`` from ``point.destination`` in the image; nothing when the volume holds something.

    A volume with options is mounted for it, where the image has such a directory.
    Raises: ResourceExhausted (disk full); Internal and others (it cannot be mounted).
    """
    lower, user = deps.images.lower_dirs(image), f"populate {row.id}"
    if deps.volumes.needs_mount(point.name) and not await asyncio.to_thread(_has, lower, point.destination):
        return
    try:
        await deps.volumes.take(point.name, user, shift_for(deps, row))
    except BerthError as err:
        raise type(err)(f"failed to populate volume: {err.message}") from err
    try:
        if not os.listdir(point.source):
            shift = await shift_of_volume(deps, row, point.name)
            await asyncio.to_thread(_copy, lower, point.destination, point.source, shift)
    except OSError as err:
        raise from_oserror(err, f"copy the image's {point.destination} into the volume {point.name}") from err
    finally:
        await deps.volumes.give_back(point.name, user)


def _copy(lower: list[str], inside: str, target: str, shift: Shift | None) -> None:
    source_fd = _open(lower, inside)
    if source_fd >= 0:
        try:
            _copy_tree(source_fd, target, shift)
        finally:
            os.close(source_fd)


def _has(lower: list[str], inside: str) -> bool:
    fd = _open(lower, inside)
    if fd >= 0:
        os.close(fd)
    return fd >= 0


def _open(lower: list[str], inside: str) -> int:
    """The image's directory, -1 where it has none."""
    root_fd = mounts.overlay_readonly(lower)
    try:
        return openat2_in_root(root_fd, inside, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return -1
    finally:
        os.close(root_fd)


def _copy_tree(source_fd: int, target: str, shift: Shift | None) -> None:
    """Everything below ``source_fd`` with owners (moved through ``shift``), modes, times and links."""
    _copy_owner(os.fstat(source_fd), target, shift)
    for name in os.listdir(source_fd):
        info = os.stat(name, dir_fd=source_fd, follow_symlinks=False)
        to = os.path.join(target, name)
        if stat.S_ISDIR(info.st_mode):
            os.mkdir(to)
            child_fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source_fd)
            try:
                _copy_tree(child_fd, to, shift)
            finally:
                os.close(child_fd)
        elif stat.S_ISLNK(info.st_mode):
            os.symlink(os.readlink(name, dir_fd=source_fd), to)
            os.chown(to, *_owner(info, shift), follow_symlinks=False)
            continue
        elif stat.S_ISREG(info.st_mode):
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source_fd)
            with os.fdopen(fd, "rb") as reader, open(to, "xb") as writer:
                shutil.copyfileobj(reader, writer, 1 << 20)
        else:
            os.mknod(to, info.st_mode, info.st_rdev)
        _copy_owner(info, to, shift)


def _owner(info: os.stat_result, shift: Shift | None) -> tuple[int, int]:
    return (info.st_uid, info.st_gid) if shift is None else shift.owner(info.st_uid, info.st_gid)


def _copy_owner(info: os.stat_result, path: str, shift: Shift | None) -> None:
    os.chown(path, *_owner(info, shift))
    os.chmod(path, stat.S_IMODE(info.st_mode))
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
