"""What a shim reports: the exit of the container, of an exec, a detach, its own death.

exited ── row ── event "die" ── waiters not-running, next-exit ── network released ── shim told to go
   └── restart by policy, or removal (--rm), or nothing
"""

from __future__ import annotations

import asyncio
from typing import Any

from berth.base.clock import now_ns
from berth.base.errors import BerthError, NotModified
from berth.engine import policy
from berth.engine.containers import health
from berth.engine.containers.deps import Deps, log, persist, publish, save
from berth.engine.containers.endpoints import publish_network
from berth.engine.containers.mounting import give_volumes_back, publish_mounts
from berth.engine.containers.record import Container
from berth.shim_client.lost import bury

LOST_EXIT_CODE = 137


def on_shim_event(deps: Deps, container: Container, event: dict[str, Any]) -> None:
    """Called by ``shim_client`` on the event loop, in the order the shim spoke."""
    kind = event.get("event")
    if kind == "exited":
        deps.tasks.start(handle_exit(deps, container, event), f"exit of container {container.id[:12]}")
    elif kind == "exec_exited":
        deps.execs.ended(str(event["exec_id"]), int(event["code"]))
    elif kind == "detached":
        publish(deps, container, "detach")
    elif kind == "oom":
        publish(deps, container, "oom")
    elif kind == "lost":
        deps.tasks.start(handle_lost(deps, container, event), f"lost shim of container {container.id[:12]}")


async def handle_exit(deps: Deps, container: Container, record: dict[str, Any]) -> None:
    """The container's init ended as ``record`` (an ``ExitRecord``) says."""
    async with deps.locks.hold(container.id):
        if not container.running and container.shim is None:
            return  # told twice: by the event and by the record
        await _settle(deps, container, record)


async def handle_lost(deps: Deps, container: Container, event: dict[str, Any]) -> None:
    """The shim died. Its container dies with it (killed by cgroup); what the exit record says is believed."""
    record = event.get("record") or {
        "code": LOST_EXIT_CODE, "signal": 9, "oom_killed": False, "at_ns": now_ns(), "error": "the container's shim died",
    }  # fmt: skip
    await asyncio.to_thread(bury, deps.layout.shim_dir(container.id))
    await handle_exit(deps, container, record)


async def _settle(deps: Deps, container: Container, record: dict[str, Any]) -> None:
    row = container.row
    if row.mounts:
        await give_volumes_back(deps, container)
    shim, container.shim = container.shim, None
    endpoints, container.endpoints = container.endpoints, []
    container.ports = {}
    row.pid = 0
    health.end(container)
    row.exit_code = int(record["code"])
    row.oom_killed = bool(record.get("oom_killed"))
    row.finished_ns = int(record.get("at_ns") or now_ns())
    row.error = str(record.get("error") or "")
    restarting = policy.wants_restart(
        row.host_config.get("RestartPolicy"),
        exit_code=row.exit_code,
        stopped_by_user=row.stopped_by_user,
        restart_count=row.restart_count,
    )
    row.phase = "restarting" if restarting else "exited"
    container.changed()
    deps.execs.container_ended(container.id)
    for_s = max(0, (row.finished_ns - row.started_ns) // 1_000_000_000)
    publish(deps, container, "die", exitCode=str(row.exit_code), execDuration=str(for_s))
    container.exited.set()
    container.log_finished.set()
    container.wake("not-running", row.exit_code, None)
    container.wake("next-exit", row.exit_code, None)
    if row.mounts:
        publish_mounts(deps, container, "unmount")
    for endpoint in endpoints:
        publish_network(deps, "disconnect", endpoint)
    await deps.networks.release(endpoints)
    if container.auto_remove and not restarting:
        await _auto_remove(deps, container, shim)
        return
    try:
        await persist(deps, container)
    finally:
        if shim is not None:
            container.leaving = deps.tasks.start(shim.delete(), f"delete shim of {row.id[:12]}")  # a next start waits
    if restarting:
        schedule_restart(deps, container)


async def _auto_remove(deps: Deps, container: Container, shim: Any) -> None:
    from berth.engine.containers.remove import remove_locked

    if shim is not None:
        deps.tasks.start(shim.delete(), f"delete shim of {container.id[:12]}")
    try:
        await remove_locked(deps, container, volumes=True)
    except BerthError as err:
        container.row.phase = "dead"
        container.row.error = err.message
        save(deps, container)
        container.wake("removed", container.row.exit_code, err.message)


def schedule_restart(deps: Deps, container: Container) -> None:
    """Start it again after the policy's delay."""
    if deps.tasks.draining:
        return
    container.delay_s = policy.next_delay_s(container.delay_s, container.ran_for_s())
    container.restart_task = deps.tasks.start(
        _restart_later(deps, container, container.delay_s), f"restart of container {container.id[:12]}"
    )


async def _restart_later(deps: Deps, container: Container, delay_s: float) -> None:
    from berth.engine.containers.start import start_locked

    await asyncio.sleep(delay_s)
    async with deps.locks.hold(container.id):
        if container.row.phase != "restarting":
            return
        container.row.restart_count += 1
        try:
            await start_locked(deps, container)
        except NotModified:
            return
        except BerthError as err:
            log.warning("restart of container %s: %s", container.name, err)
            row = container.row
            if policy.wants_restart(row.host_config.get("RestartPolicy"), exit_code=row.exit_code or 1,
                                    stopped_by_user=row.stopped_by_user, restart_count=row.restart_count):  # fmt: skip
                row.phase = "restarting"
                schedule_restart(deps, container)
