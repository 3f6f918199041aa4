"""``changes`` and ``export``: a container's file system, looked at from outside, running or not.

Volumes and what else is mounted are not part of it, as in Docker.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from berth.base.errors import Conflict
from berth.engine.containers.deps import Deps, publish
from berth.engine.containers.record import Container
from berth.engine.outflow import outflow
from berth.snapshots.archive import write_rootfs
from berth.spec.api.containers import FilesystemChange


async def changes(deps: Deps, ref: str) -> list[FilesystemChange]:
    """Raises: NotFound."""
    found = await asyncio.to_thread(deps.images.changes, deps.containers.get(ref).id)
    return [{"Path": change.path, "Kind": change.kind} for change in found]


async def export(deps: Deps, ref: str) -> AsyncIterator[bytes]:
    """A tar of the whole root filesystem. Raises: NotFound, Conflict (being removed) before the first bytes."""
    container = deps.containers.get(ref)
    if container.row.phase in ("removing", "dead"):
        raise Conflict(f"You cannot export container {container.id} which is being removed")
    upper, lowers = _layers(deps, container)
    publish(deps, container, "export")
    worn = deps.images.worn(container.id)
    return outflow(None, lambda write: write_rootfs([upper, *lowers], write, worn.reverse if worn else None))


def _layers(deps: Deps, container: Container) -> tuple[str, list[str]]:
    rootfs = deps.images.rootfs(container.id)
    return rootfs["upper"], list(rootfs["lower"])
