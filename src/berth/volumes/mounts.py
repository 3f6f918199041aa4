"""Volumes with options stand mounted while somebody uses them.

    take       the first user: mount(2) onto the volume's directory
    give_back  the last user: umount
    sweep      after a daemon's death: what stands mounted for nobody

A user is a container's id, or a name for somebody who looks at one. Whether a directory is mounted is asked of the kernel:
a mount outlives the daemon, and the next one finds it.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os

from berth.base.errors import BerthError, Internal, Unsupported
from berth.base.locks import KeyedLocks
from berth.kernel import mount as m
from berth.kernel import mountinfo
from berth.volumes.options import MountPlan, plan_mount

log = logging.getLogger("berth.volumes")


class VolumeMounts:
    """Keys are the volumes' directories."""

    def __init__(self) -> None:
        self._locks = KeyedLocks()
        self._users: dict[str, set[str]] = {}

    async def take(self, path: str, options: dict[str, str], user: str) -> None:
        """After: it is mounted.

        Raises: Internal, Unsupported (the kernel lacks the filesystem), InvalidArgument, Unavailable (no such address).
        """
        async with self._locks.hold(path):
            if path not in self._users:
                await asyncio.to_thread(_mount, path, options)
            self._users.setdefault(path, set()).add(user)

    async def give_back(self, path: str, user: str) -> None:
        """Nothing happens when ``user`` has not taken it."""
        async with self._locks.hold(path):
            users = self._users.get(path, set())
            if user not in users:
                return
            users.remove(user)
            if not users:
                del self._users[path]
                await self._release(path)

    async def sweep(self, paths: list[str]) -> None:
        """Unmount those that nobody uses."""
        for path in paths:
            async with self._locks.hold(path):
                if path not in self._users:
                    await self._release(path)

    async def _release(self, path: str) -> None:
        try:
            await asyncio.to_thread(unmount, path)
        except OSError as err:
            log.warning("unmount volume %s: %s", path, err)


def unmount(path: str) -> None:
    """All that is mounted on ``path``. Raises: OSError."""
    while is_mounted(path):
        m.umount2(path, m.MNT_DETACH | m.UMOUNT_NOFOLLOW)


def is_mounted(path: str) -> bool:
    real = os.path.realpath(path)
    return any(mount.place == real for mount in mountinfo.read())


def _mount(path: str, options: dict[str, str]) -> None:
    if is_mounted(path):
        return
    try:
        plan = plan_mount(options)
        _execute(plan, path)
    except BerthError as err:
        raise type(err)(f"error while mounting volume '{path}': {err.message}") from err
    except OSError as err:
        raise _in_words(plan, path, err) from err


def _execute(plan: MountPlan, path: str) -> None:
    m.mount(plan.device, path, plan.fstype, plan.flags, plan.data)
    try:
        if plan.flags & m.MS_BIND and plan.flags & ~(
            m.MS_BIND | m.MS_REC
        ):  # a bind takes its attributes in a second call
            m.mount("", path, "", plan.flags & ~m.MS_REC | m.MS_REMOUNT)
        if plan.propagation:
            m.mount("", path, "", plan.propagation)
    except OSError:
        m.umount2(path, m.MNT_DETACH)
        raise


def _in_words(plan: MountPlan, path: str, err: OSError) -> BerthError:
    why = os.strerror(err.errno or 0).lower()
    text = (
        f"error while mounting volume '{path}': failed to mount local volume: mount {plan.device}:{path}{plan}: {why}"
    )
    if err.errno == errno.ENODEV:
        return Unsupported(f'{text} (this kernel has no file system "{plan.fstype}")')
    return Internal(text)
