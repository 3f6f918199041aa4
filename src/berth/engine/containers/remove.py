"""``remove`` and ``prune``: the row, the name, the filesystem, the log, anonymous volumes, in an order that a crash
between any two leaves either a container that can be removed again or nothing.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from berth.base.errors import Conflict, InvalidArgument
from berth.engine.containers.deps import Deps, publish
from berth.engine.containers.filters import prune_fits, prune_until_ns
from berth.engine.containers.network_files import remove_network_files
from berth.engine.containers.record import Container
from berth.engine.containers.start import cancel_restart, drop_pending


async def remove(deps: Deps, ref: str, *, force: bool, volumes: bool, link: bool) -> None:
    """Remove a container; a running one only with ``force`` (it is killed).

    Raises: NotFound, Conflict (running, or being removed), InvalidArgument.
    """
    container = deps.containers.get(ref)
    if link:
        raise Conflict("Conflict, cannot remove the default link name of the container")
    if container.removal is not None:
        raise Conflict(f"removal of container {container.id} is already in progress")
    while deps.containers.find(container.id) is not None:  # else --rm did it, or somebody else
        if _is_up(container):
            if not force:
                raise Conflict(_refusal(container))
            await _force_down(deps, container)
        async with deps.locks.hold(container.id):
            if deps.containers.find(container.id) is not None and not _is_up(container):  # a start may have come before
                await remove_locked(deps, container, volumes=volumes)


def _is_up(container: Container) -> bool:
    return container.running or container.row.phase == "restarting"


def _refusal(container: Container) -> str:
    if container.row.phase == "paused":
        hint = "container is paused and must be unpaused first"
    elif container.row.phase == "restarting":
        hint = "container is restarting: stop the container before removing or force remove"
    else:
        hint = "container is running: stop the container before removing or force remove"
    return f'cannot remove container "{container.name}": {hint}'


async def _force_down(deps: Deps, container: Container) -> None:
    from berth.engine.containers.stop import kill

    async with deps.locks.hold(container.id):
        container.row.stopped_by_user = True
        cancel_restart(container)
        if container.row.phase == "restarting":
            container.row.phase = "exited"
    if container.running:
        try:
            await kill(deps, container.id, signal="KILL")
        except Conflict:
            pass  # it ended by itself


async def remove_locked(deps: Deps, container: Container, *, volumes: bool) -> None:
    """Locks: the container's is held. Raises: ResourceExhausted."""
    removal: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    container.removal = removal
    row = container.row
    row.phase = "removing"
    container.changed()
    drop_pending(container)
    try:
        drop_snapshot = deps.images.remove_rootfs(row.id)

        def delete(conn: Any) -> None:
            drop_snapshot(conn)
            conn.execute("DELETE FROM endpoints WHERE container_id = ?", (row.id,))
            conn.execute("DELETE FROM containers WHERE id = ?", (row.id,))

        await deps.db.write(delete)
        remove_network_files(deps, container)
        deps.trash.put(deps.layout.container_dir(row.id))
        deps.trash.empty_soon()
    except BaseException:
        container.removal = None
        row.phase = "dead"
        raise
    deps.containers.discard(container)
    deps.execs.forget(container.execs)
    publish(deps, container, "destroy")
    container.wake("removed", row.exit_code, None)
    container.wake("not-running", row.exit_code, None)
    container.wake("next-exit", row.exit_code, None)
    removal.set_result(None)
    if volumes:
        for mount in row.mounts:
            if mount.type == "volume" and mount.anonymous:
                await deps.volumes.remove(mount.name, partial(users_of_volume, deps, mount.name))


def users_of_volume(deps: Deps, name: str) -> list[str]:
    """Ids of the containers that mount a volume, of those that are being created too."""
    known = [c.id for c in deps.containers if any(m.type == "volume" and m.name == name for m in c.row.mounts)]
    return known + sorted(deps.volumes.claims(name) - set(known))


async def prune(deps: Deps, filters: dict[str, list[str]]) -> dict[str, Any]:
    """Remove every container that does not run and that the filters (until, label) let through.

    Raises: InvalidArgument for a filter that prune does not have: it must not remove what it was meant to spare.
    """
    for name in filters:
        if name not in ("label", "label!", "until"):
            raise InvalidArgument(f"invalid filter '{name}'")
    until = prune_until_ns(filters)
    removed: list[str] = []
    reclaimed = 0
    for container in deps.containers:
        if container.row.phase not in ("created", "exited", "dead") or not prune_fits(container, filters, until):
            continue
        size, _ = await deps.images.rootfs_usage(container.id)
        try:
            await remove(deps, container.id, force=False, volumes=False, link=False)
        except Conflict:
            continue
        removed.append(container.id)
        reclaimed += size
    return {"ContainersDeleted": removed or None, "SpaceReclaimed": reclaimed}
