"""The collaborators every verb gets, built once by ``daemon/wiring.py``."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, NamedTuple

from berth.base.layout import Layout
from berth.base.locks import KeyedLocks
from berth.content.trash import Trash
from berth.db.database import Database
from berth.engine.containers.index import ContainerIndex
from berth.engine.containers.record import Container, encode_row
from berth.engine.containers.runtime_spec import HostFacts
from berth.engine.events import EventBus
from berth.engine.runtimes import Runtimes
from berth.networks.records import save_endpoints

if TYPE_CHECKING:
    from berth.engine.containers.execs import Execs
    from berth.engine.images.service import ImageService
    from berth.networks.service import NetworkService
    from berth.shim_client import ShimPool
    from berth.volumes.store import VolumeStore

log = logging.getLogger("berth.containers")


class Settings(NamedTuple):
    """What of the daemon's settings the verbs need."""

    log_driver: str
    log_opts: dict[str, str]
    stop_timeout_s: int
    dns: tuple[str, ...]
    dns_search: tuple[str, ...]
    dns_options: tuple[str, ...]
    cgroup_parent: str
    host_gateways: tuple[str, ...] = ()  # what host-gateway means; () is the address of the bridge
    init: bool = False
    systemd_slice: str = ""  # of containers that name none; "" with the cgroupfs driver
    instance_id: str = ""
    storage_size_bytes: int = 0  # --storage-opt overlay2.size: of containers that name none


class Defaults:
    """What a container gets that asks for nothing. A reload of the daemon's settings changes them."""

    def __init__(self, shm_size_bytes: int, ipc_mode: str, cgroupns_mode: str) -> None:
        self.set(shm_size_bytes, ipc_mode, cgroupns_mode)

    def set(self, shm_size_bytes: int, ipc_mode: str, cgroupns_mode: str) -> None:
        self.shm_size_bytes, self.ipc_mode, self.cgroupns_mode = shm_size_bytes, ipc_mode, cgroupns_mode


class Deps(NamedTuple):
    layout: Layout
    db: Database
    containers: ContainerIndex
    images: ImageService
    networks: NetworkService
    volumes: VolumeStore
    pool: ShimPool
    events: EventBus
    locks: KeyedLocks
    host: HostFacts
    settings: Settings
    defaults: Defaults
    tasks: Tasks
    trash: Trash
    execs: Execs
    runtimes: Runtimes


class Tasks:
    """Background work of the engine that must end: kept by reference, its failure is always reported."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self.draining = False  # the daemon ends: nothing new is begun

    def start(self, work: Coroutine[Any, Any, Any], what: str) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work, name=what)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def run(self, work: Coroutine[Any, Any, Any], what: str) -> Any:
        """Run a mutation to its end even when whoever asked goes away."""
        task = asyncio.get_running_loop().create_task(work, name=what)
        self._tasks.add(task)
        task.add_done_callback(self._forget)  # its failure is the asker's to tell
        return await asyncio.shield(task)

    async def drain(self, timeout_s: float | None) -> None:
        """Wait for what runs, at most so long."""
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=timeout_s)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (err := task.exception()) is not None:
            log.error("%s failed: %s", task.get_name(), err, exc_info=err if not hasattr(err, "kind") else None)


def save(deps: Deps, container: Container) -> None:
    """Write the row behind the caller's back, in order with other writes; a failure is logged."""
    container.changed()
    deps.tasks.start(persist(deps, container), f"save container {container.id[:12]}")


async def persist(deps: Deps, container: Container, *, durable: bool = False) -> None:
    """Write the row and its endpoints now. Raises: ResourceExhausted (disk full)."""
    container.changed()
    row = container.row
    doc = encode_row(row).decode()
    endpoints = container.endpoints

    def update(conn: sqlite3.Connection) -> None:
        conn.execute("UPDATE containers SET name = ?, doc = ? WHERE id = ?", (row.name, doc, row.id))
        save_endpoints(conn, row.id, endpoints)

    await deps.db.write(update, durable=durable)


def publish(deps: Deps, container: Container, action: str, **attributes: str) -> None:
    deps.events.publish("container", action, container.id, container.event_attributes(**attributes))
