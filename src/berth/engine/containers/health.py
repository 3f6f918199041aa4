"""The monitor of one container's health: a task that probes by exec while the container runs and is not paused.

start ── begin ──▶ probe, judge, event on change … ── pause: suspend, unpause: resume ── exit: end (unhealthy, as Docker shows)

A probe is an exec like any other: its process lives in the container's shim, its events are told, its output is read here.
"""

from __future__ import annotations

import asyncio
from typing import Any

from berth.base.clock import now_ns, rfc3339
from berth.base.errors import BerthError
from berth.engine import health
from berth.engine.containers.deps import Deps, publish, save
from berth.engine.containers.execs import run_captured
from berth.engine.containers.record import Container


def begin(deps: Deps, container: Container) -> None:
    """The container was started: its health starts anew."""
    check = health.parse_check(container.row.config)
    if check is None:
        container.row.health = None
        return
    container.row.health = health.begun(container.row.health)
    resume(deps, container)


def resume(deps: Deps, container: Container) -> None:
    """Probe on (after a pause, or when the daemon took the container over)."""
    suspend(container)
    check = health.parse_check(container.row.config)
    if check is not None and container.row.health is not None:
        container.health_task = deps.tasks.start(
            _monitor(deps, container, check), f"health of container {container.id[:12]}"
        )


def suspend(container: Container) -> None:
    """No more probes for now."""
    task, container.health_task = container.health_task, None
    if task is not None:
        task.cancel()


def end(container: Container) -> None:
    """The container does not run any more."""
    suspend(container)
    if container.row.health is not None:
        container.row.health = {**container.row.health, "Status": health.UNHEALTHY}


async def _monitor(deps: Deps, container: Container, check: health.Check) -> None:
    while container.row.health is not None:
        await asyncio.sleep(health.delay_s(check, container.row.health["Status"], _ran_for_s(container, now_ns())))
        begun_ns = now_ns()
        entry = await _probe(deps, container, check, begun_ns)
        if not container.running:
            return
        _record(deps, container, check, entry, begun_ns)


def _ran_for_s(container: Container, at_ns: int) -> float:
    return (at_ns - container.row.started_ns) / 1e9


async def _probe(deps: Deps, container: Container, check: health.Check, begun_ns: int) -> dict[str, Any]:
    """One entry of ``State.Health.Log``; -1 for a probe that could not be run to its end."""
    try:
        code, output = await run_captured(deps, container, check.argv, check.timeout_s, health.OUTPUT_MAX_BYTES)
        text = output.decode(errors="replace")
    except TimeoutError as err:
        code, output = -1, err.args[0] if err.args else b""
        text = f"Health check exceeded timeout ({_go_duration(check.timeout_s)})"
        text += f": {output.decode(errors='replace')}" if output else ""
    except BerthError as err:
        code, text = -1, err.message
    return {"Start": rfc3339(begun_ns), "End": rfc3339(now_ns()), "ExitCode": code, "Output": text}


def _go_duration(seconds: float) -> str:
    """As Go prints a span: 30s, 1m30s, 500ms."""
    if seconds < 1:
        return f"{seconds * 1000:g}ms"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{rest:g}s"


def _record(deps: Deps, container: Container, check: health.Check, entry: dict[str, Any], begun_ns: int) -> None:
    before = container.row.health
    if before is None:
        return
    after = health.judge(check, before, entry, _ran_for_s(container, begun_ns))
    container.row.health = after
    save(deps, container)
    if after["Status"] != before["Status"]:
        publish(deps, container, f"health_status: {after['Status']}")
