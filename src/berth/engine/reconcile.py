"""After a start of the daemon: which containers live, which ended meanwhile, which are started again.

The decision is a pure function of three pictures (the row, what the run-root's shim says, what its exit record says);
``recover`` takes the pictures and does what was decided.

    row.phase          shim answers   exit record   decision
    running, paused    yes            –             adopt (the shim repeats an exit that nobody acknowledged)
    running, paused    no             yes           ended as recorded
    running, paused    no             no            ended, 137 (a reboot, or the shim was killed)
    restarting         –              –             restart now
    created, exited    yes            –             discard the shim: its start was never acknowledged
    removing, dead     –              –             remove
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from typing import Any, NamedTuple

from berth.base.clock import now_ns
from berth.base.errors import BerthError
from berth.engine import policy
from berth.engine.containers import health
from berth.engine.containers.deps import Deps, persist
from berth.engine.containers.endpoints import resolvers_of
from berth.engine.containers.exits import LOST_EXIT_CODE, handle_exit, on_shim_event, schedule_restart
from berth.engine.containers.links import remember_links
from berth.engine.containers.mounting import adopt_volumes
from berth.engine.containers.record import Container, decode_row
from berth.engine.containers.remove import remove_locked
from berth.engine.containers.start import start_locked
from berth.networks.records import Endpoint
from berth.networks.service import Living
from berth.shim_client import Shim, adopt
from berth.shim_client.lost import bury
from berth.shim_client.shim import read_exit

log = logging.getLogger("berth.reconcile")


class Decision(NamedTuple):
    """``verb``: adopt, ended, restart, discard, remove or nothing; ``record`` goes with ended."""

    verb: str
    record: dict[str, Any] | None = None


def decide(phase: str, shim_answers: bool, exit_record: dict[str, Any] | None) -> Decision:
    """The table above."""
    if phase in ("running", "paused"):
        if shim_answers:
            return Decision("adopt")
        return Decision("ended", exit_record or {
            "code": LOST_EXIT_CODE, "signal": 9, "oom_killed": False, "at_ns": now_ns(), "error": "",
        })  # fmt: skip
    if phase in ("removing", "dead"):
        return Decision("remove")
    if phase == "restarting":
        return Decision("restart")
    return Decision("discard" if shim_answers else "nothing")


async def recover(deps: Deps) -> None:
    """Load every row and make memory, run-root and kernel agree with it. After: stores, networks and pool are open."""
    rows = await deps.db.read(lambda conn: conn.execute("SELECT doc FROM containers ORDER BY created_ns").fetchall())
    containers = [Container(decode_row(doc)) for (doc,) in rows]
    for container in containers:
        deps.containers.add(container)
    for container in containers:
        remember_links(deps, container)
    shims = await asyncio.gather(*(adopt(deps.layout.shim_dir(c.id)) for c in containers))
    endpoints: dict[str, list[Endpoint]] = {}
    for endpoint in await deps.networks.saved():
        endpoints.setdefault(endpoint.container_id, []).append(endpoint)
    living: list[Living] = []
    taken: list[tuple[Container, Shim]] = []
    later: list[tuple[Container, Decision]] = []
    for container, shim in zip(containers, shims, strict=True):
        decision = decide(container.row.phase, shim is not None, read_exit(deps.layout.shim_dir(container.id)))
        if decision.verb == "adopt" and shim is not None:
            container.endpoints = endpoints.get(container.id, [])
            living.append(Living(container.id, resolvers_of(container), container.endpoints))
            if container.endpoints:
                exposed = container.row.config.get("ExposedPorts") or {}
                container.ports = deps.networks.port_map(container.endpoints, exposed)
            taken.append((container, shim))
        else:
            if shim is not None:
                await shim.discard()
            elif os.path.exists(deps.layout.shim_dir(container.id)):
                await asyncio.to_thread(bury, deps.layout.shim_dir(container.id))
            container.exited.set()
            container.log_finished.set()
            later.append((container, decision))
    await deps.networks.adopt(living, lambda ident: _pid_of(deps, ident))
    for container, _ in taken:
        await _adopt_volumes(deps, container)
    await deps.volumes.sweep()
    for (
        container,
        shim,
    ) in taken:  # not before: an end that is told now must find its endpoints adopted, to release them
        _take_over(deps, container, shim)
    _sweep_run_root(deps)
    _sweep_data_root(deps)
    for container, decision in later:
        await _settle(deps, container, decision)


def _pid_of(deps: Deps, container_id: str) -> int:
    """The init of a running container, 0 for one that has ended or is gone."""
    container = deps.containers.find(container_id)
    return container.row.pid if container is not None else 0


async def _adopt_volumes(deps: Deps, container: Container) -> None:
    """They stand mounted since its start, or again if somebody took them away."""
    try:
        await adopt_volumes(deps, container)
    except BerthError as err:
        log.error("container %s: %s", container.name, err)


def _take_over(deps: Deps, container: Container, shim: Shim) -> None:
    container.shim = shim
    shim.on_event = lambda event: on_shim_event(deps, container, event)
    shim.deliver_early()
    if container.running and container.row.phase != "paused":
        health.resume(deps, container)


async def _settle(deps: Deps, container: Container, decision: Decision) -> None:
    row = container.row
    try:
        if decision.verb == "ended" and decision.record is not None:
            was_stopped = row.stopped_by_user
            await handle_exit(deps, container, decision.record)
            if deps.containers.find(container.id) is None or row.phase == "restarting":
                return
            if policy.wants_start_at_boot(row.host_config.get("RestartPolicy"), was_running=True,
                                          stopped_by_user=was_stopped, exit_code=row.exit_code):  # fmt: skip
                await _start(deps, container)
        elif decision.verb == "remove" or (row.phase == "exited" and container.auto_remove):
            async with deps.locks.hold(container.id):
                await remove_locked(deps, container, volumes=container.auto_remove)
        elif decision.verb == "restart":
            schedule_restart(deps, container)
        elif row.phase == "exited" and policy.wants_start_at_boot(
            row.host_config.get("RestartPolicy"), was_running=False, stopped_by_user=row.stopped_by_user,
            exit_code=row.exit_code,
        ):  # fmt: skip
            await _start(deps, container)
    except BerthError as err:
        log.error("container %s: %s", row.name, err)
        await persist(deps, container)


async def _start(deps: Deps, container: Container) -> None:
    async with deps.locks.hold(container.id):
        await start_locked(deps, container)


def _sweep_run_root(deps: Deps) -> None:
    """Folders of containers that no row knows: their removal was cut off."""
    for entry in os.listdir(deps.layout.networks):
        if deps.containers.find(entry) is None:
            shutil.rmtree(deps.layout.network_files(entry), ignore_errors=True)
    known = {c.id[:32] for c in deps.containers}
    try:
        entries = os.listdir(deps.layout.shims)
    except FileNotFoundError:
        return
    for entry in entries:
        if entry not in known:
            deps.tasks.start(_sweep_one(os.path.join(deps.layout.shims, entry)), f"sweep {entry}")


def _sweep_data_root(deps: Deps) -> None:
    """Folders of containers that no row knows: their creation was cut off."""
    for entry in os.listdir(deps.layout.containers):
        if deps.containers.find(entry) is None:
            deps.trash.put(os.path.join(deps.layout.containers, entry))
            deps.trash.empty_soon()


async def _sweep_one(shim_dir: str) -> None:
    shim = await adopt(shim_dir)
    if shim is not None:
        await shim.discard()
    await asyncio.to_thread(bury, shim_dir)
    await asyncio.to_thread(shutil.rmtree, shim_dir, True)
