"""A container's file system as the container sees it, opened from outside: mounts included, running or not.

    running     /proc/<pid>/root: paths below that descriptor go through the mounts of the container's own namespace
    else        a mount namespace made for this, with the root filesystem, volumes and binds in it, and nothing of the host

Whoever uses the descriptor resolves below it (openat2, RESOLVE_IN_ROOT): no link leads out, and no path of the host's is
walked for the container. The thread that makes the namespace ends before anything of the container's is read.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

from berth.base.errors import Conflict, Internal, from_oserror
from berth.base.ids import new_id
from berth.engine.apart import apart
from berth.engine.containers import network_files
from berth.engine.containers.deps import Deps
from berth.engine.containers.mounting import volumes_of
from berth.engine.containers.record import Container
from berth.engine.containers.remapping import lives_mapped, names_to_map, shift_for, with_shifted_images
from berth.engine.containers.runtime_spec import render_mount
from berth.engine.userns import IdMap, map_of
from berth.kernel import mount as m
from berth.kernel import process as p
from berth.kernel.files import ensure_in_root, openat2_in_root
from berth.oci.mounts import Entry, entries_of, is_directory, open_bind
from berth.oci.rootfs import open_root
from berth.spec.shim import OverlayRootfs

_EXIT_S = 10.0


class Place(NamedTuple):
    """A mount. ``unmap_fd``: a user namespace through which owners are seen as the container sees them, -1 for none."""

    entry: Entry
    unmap_fd: int

    def open(self) -> int:
        """Raises: OSError. Through the map where the filesystem takes one."""
        if self.unmap_fd >= 0:
            try:
                return open_bind(self.entry, userns_fd=self.unmap_fd)
            except OSError as err:
                if err.errno not in (errno.EINVAL, errno.EPERM):
                    raise
        return open_bind(self.entry)


class View(NamedTuple):
    """``id_map``: what files are owned by here is the host's; None where it is what the container sees."""

    root_fd: int
    namespace_fd: int
    id_map: IdMap | None

    @property
    def live(self) -> bool:
        return self.namespace_fd < 0

    def close(self) -> None:
        os.close(self.root_fd)
        if self.namespace_fd >= 0:
            os.close(self.namespace_fd)


@asynccontextmanager
async def viewing(deps: Deps, container: Container, *, write: bool) -> AsyncIterator[View]:
    """A view for the length of the block. Where it writes to a container that does not run, the container's lock is held:
    nothing starts it on the same layers meanwhile.

    Raises: Conflict (being removed), Internal.
    """
    async with AsyncExitStack() as held:
        while True:
            async with AsyncExitStack() as locked:
                await locked.enter_async_context(deps.locks.hold(container.id))
                view = await open_view(deps, container, write=write)
                if view is not None:
                    held.callback(view.close)
                    if write and not view.live:
                        held.push_async_exit(locked.pop_all())
                    break
            await _news_of_exit(container)  # without the lock: who brings them takes it
        yield view


async def _news_of_exit(container: Container) -> None:
    """Raises: Internal when none come."""
    try:
        async with asyncio.timeout(_EXIT_S):
            await container.exited.wait()
    except TimeoutError as err:
        raise Internal(f"container {container.name} has ended, but its shim does not say so") from err


async def open_view(deps: Deps, container: Container, *, write: bool) -> View | None:
    """None where its init has ended this moment, and the news is under way.

    Locks: the container's is held. After: the caller closes it. Raises: Conflict, Internal.
    """
    if container.row.phase in ("removing", "dead"):
        raise Conflict(f"container {container.id} is being removed")
    try:
        if container.running:
            root_fd = await asyncio.to_thread(_open_running, container.row.pid, container.id)
            id_map = deps.host.id_map if lives_mapped(deps, container.row) else None
            return View(root_fd, -1, id_map) if root_fd >= 0 else None
        return await _open_stopped(deps, container, write)
    except OSError as err:
        raise from_oserror(err, f"open the file system of container {container.name}") from err


def _open_running(pid: int, ident: str) -> int:
    """-1 when ``pid`` is no process of the container's (any more): the number may be somebody else's by now."""
    try:
        process_fd = os.open(f"/proc/{pid}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1
    root_fd = -1
    try:
        root_fd = os.open("root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=process_fd)
        with open(os.open("cgroup", os.O_RDONLY | os.O_CLOEXEC, dir_fd=process_fd), encoding="utf-8") as file:
            if ident in file.read():
                return root_fd
    except (FileNotFoundError, ProcessLookupError):
        pass
    finally:
        os.close(process_fd)
    if root_fd >= 0:
        os.close(root_fd)
    return -1


async def _open_stopped(deps: Deps, container: Container, write: bool) -> View:
    shift = shift_for(deps, container.row)
    await deps.images.wear(container.id, shift)  # layers and volumes alike, as a start would: one map counts for all
    rootfs = deps.images.rootfs(container.id, volatile=container.auto_remove)
    async with deps.volumes.taken(volumes_of(container), f"view {new_id()}", shift):  # the view's own mounts keep them
        unmap_fd = deps.host.unmap_fd if lives_mapped(deps, container.row) else -1
        places = [Place(entry, -1 if own else unmap_fd) for entry, own in await _entries(deps, container)]
        return await _open_places(rootfs, places, write, map_of(shift) if shift else None)


async def _open_places(rootfs: OverlayRootfs, entries: list[Place], write: bool, id_map: IdMap | None) -> View:
    if not write:
        if await asyncio.to_thread(_lacks_places, rootfs, entries):
            (await apart(lambda: _enter(rootfs, entries))).close()  # makes them
        rootfs = _readonly(rootfs)
    return (await apart(lambda: _enter(rootfs, entries)))._replace(id_map=id_map)


def _readonly(rootfs: OverlayRootfs) -> OverlayRootfs:
    """The same files, on layers that a start may take meanwhile."""
    if not rootfs["lower"]:
        return rootfs
    return {"lower": [rootfs["upper"], *rootfs["lower"]], "upper": "", "work": "", "volatile": False}


async def _entries(deps: Deps, container: Container) -> list[tuple[Entry, bool]]:
    """The container's binds, volumes and network files, as far as their sources are there. A tmpfs is empty by now.

    Beside each: whether its owners are those that the container sees.
    """
    row = await with_shifted_images(deps, container.row)
    points = sorted(row.mounts, key=lambda point: (point.destination.count("/"), point.destination))
    mapped = await names_to_map(deps, row)
    own = {point.destination for point in points if point.type in ("volume", "image") and point.name in mapped}
    mounts = [render_mount(point) for point in points if point.type != "tmpfs"]
    files = network_files.paths(deps, container)
    of_network = {"/etc/hostname": files.hostname, "/etc/hosts": files.hosts, "/etc/resolv.conf": files.resolv}
    asked = {mount["destination"] for mount in mounts}
    mounts[:0] = [
        {"destination": place, "type": "bind", "source": source, "options": ["rbind", "rprivate"]}
        for place, source in of_network.items()
        if place not in asked
    ]
    found = entries_of({"mounts": mounts})
    return [(entry, entry.place in own) for entry in found if not entry.source or os.path.exists(entry.source)]


def _lacks_places(rootfs: OverlayRootfs, entries: Sequence[Place]) -> bool:
    """Whether a mount has nowhere to stand yet: the container was never started."""
    root_fd = open_root({}, _readonly(rootfs))
    try:
        for entry in entries:
            os.close(openat2_in_root(root_fd, entry.entry.place, os.O_PATH))
    except FileNotFoundError:
        return True
    finally:
        os.close(root_fd)
    return False


def _enter(rootfs: OverlayRootfs, entries: Sequence[Place]) -> View:
    """On this thread: a mount namespace that holds the container's file system and nothing else."""
    p.unshare(p.CLONE_NEWNS)
    m.mount("", "/", "", m.MS_REC | m.MS_SLAVE)
    opened: list[int] = []
    try:
        opened.append(os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC))
        opened.append(open_root({}, rootfs))
        place_fd = os.open(rootfs["upper"] or rootfs["lower"][0], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            m.move_mount(opened[1], place_fd)
        finally:
            os.close(place_fd)
        for entry in entries:
            _put(opened[1], entry)
        _leave_host(opened[1])
    except BaseException:
        for fd in opened:
            os.close(fd)
        raise
    return View(opened[1], opened[0], None)


def _put(root_fd: int, place: Place) -> None:
    entry, fd = place.entry, place.open()
    try:
        try:
            target_fd = ensure_in_root(root_fd, entry.place, directory=is_directory(fd))
        except OSError as err:
            if err.errno not in (errno.EROFS, errno.ENOTDIR, errno.EISDIR):
                raise
            return  # on layers that are read only there is no place for it, or the container put something else there
        try:
            m.move_mount(fd, target_fd)
        finally:
            os.close(target_fd)
    finally:
        os.close(fd)


def _leave_host(root_fd: int) -> None:
    """The container's root becomes the namespace's: the host's mounts are not kept busy by it."""
    os.fchdir(root_fd)
    try:
        m.pivot_root(".", ".")
    except OSError as err:
        if err.errno != errno.EINVAL:  # the host's root is a ramfs, which cannot be left
            raise
        return
    m.umount2(".", m.MNT_DETACH)
