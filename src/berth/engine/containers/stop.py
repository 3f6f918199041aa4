"""``stop``, ``kill`` and ``restart``."""

from __future__ import annotations

import asyncio
import signal as signals
import time

from berth.base.clock import now_ns
from berth.base.errors import BerthError, Conflict, InvalidArgument, NotFound, NotModified
from berth.engine.containers import health
from berth.engine.containers.deps import Deps, publish, save
from berth.engine.containers.execs import exec_kill
from berth.engine.containers.record import Container
from berth.engine.containers.start import cancel_restart, start_locked
from berth.spec import messages
from berth.spec.signals import parse_signal

AFTER_KILL_S = 10.0
SETTLED_S = 1.0
"""How old a process must be to be believed that it has no handler: a younger one may be about to install it."""


def stop_signal_of(container: Container) -> int:
    return parse_signal(str(container.row.config.get("StopSignal") or "SIGTERM"))


async def stop(deps: Deps, ref: str, *, timeout_s: int | None, signal: str | None) -> None:
    """Ask the container to end, insist after ``timeout_s`` (-1 waits for ever).

    Raises: NotFound, NotModified (it does not run), InvalidArgument (signal).
    """
    container = deps.containers.get(ref)
    number = parse_signal(signal) if signal else stop_signal_of(container)
    if container.row.phase == "restarting":
        await _stop_restarting(deps, container)
        return
    if not container.running:
        raise NotModified("container is not running")
    await stop_running(deps, container, timeout_s=timeout_s, number=number)
    publish(deps, container, "stop")


async def _stop_restarting(deps: Deps, container: Container) -> None:
    async with deps.locks.hold(container.id):
        container.row.stopped_by_user = True
        if container.row.phase == "restarting":
            cancel_restart(container)
            container.row.phase = "exited"
            save(deps, container)
            return
    if container.running:
        await stop_running(deps, container, timeout_s=None, number=stop_signal_of(container))


async def stop_running(deps: Deps, container: Container, *, timeout_s: int | None, number: int) -> None:
    """Send ``number``, wait, then SIGKILL, until the exit was handled."""
    container.row.stopped_by_user = True  # before anything is waited for: an end by itself meanwhile is not restarted
    save(deps, container)
    configured = container.row.config.get("StopTimeout")
    asked = timeout_s if timeout_s is not None else None if configured is None else int(configured)
    limit_s = deps.settings.stop_timeout_s if asked is None else asked
    begin = time.monotonic()
    deaf = await _stays_deaf(container, number, limit_s)
    left_s = 0 if deaf and asked is None else None if limit_s < 0 else max(0.0, begin + limit_s - time.monotonic())
    exited = container.exited
    if container.row.phase == "paused":
        await unpause_for_kill(deps, container)
    await _signal(deps, container, number)
    try:
        await asyncio.wait_for(exited.wait(), left_s)
    except TimeoutError:
        await _signal(deps, container, signals.SIGKILL)
        try:
            await asyncio.wait_for(exited.wait(), AFTER_KILL_S)
        except TimeoutError:
            raise Conflict(
                f"cannot stop container: {container.id}: it did not end within {AFTER_KILL_S:.0f} s of SIGKILL"
            ) from None
    async with deps.locks.hold(container.id):
        pass  # the exit's own handling has ended


_NOT_DEADLY = frozenset((
    signals.SIGCHLD, signals.SIGCONT, signals.SIGURG, signals.SIGWINCH, signals.SIGSTOP, signals.SIGTSTP,
    signals.SIGTTIN, signals.SIGTTOU, signals.SIGKILL,
))  # fmt: skip


async def _stays_deaf(container: Container, number: int, limit_s: float) -> bool:
    """``is_deaf``, and old enough for that to be its last word, or ``limit_s`` is over (negative: never).

    The signal is sent after this: sent earlier it is lost.
    """
    begin = time.monotonic()
    while is_deaf(container, number):
        if now_ns() - container.row.started_ns > SETTLED_S * 1e9 or 0 <= limit_s <= time.monotonic() - begin:
            return True
        await asyncio.sleep(0.02)
    return False


def is_deaf(container: Container, number: int) -> bool:
    """Whether the kernel throws the signal away: a pid namespace's first process is spared from what it has no handler for.

    Anywhere else the signal would have ended that process at once, and so do we, unless somebody asked for time (--stop-timeout,
    -t). A process that ignores, blocks or handles the signal is left its time.
    """
    if number in _NOT_DEADLY or container.row.host_config.get("PidMode"):
        return False
    try:
        with open(f"/proc/{container.row.pid}/status", encoding="ascii", errors="replace") as file:
            fields = dict(line.split(":", 1) for line in file if line.startswith("Sig"))
        heard = sum(
            int(fields[key], 16) for key in ("SigBlk", "SigIgn", "SigCgt") if int(fields[key], 16) >> (number - 1) & 1
        )
    except (OSError, KeyError, ValueError):
        return False
    return heard == 0


async def unpause_for_kill(deps: Deps, container: Container) -> None:
    if container.shim is not None:
        await container.shim.resume()
        container.row.phase = "running"


async def _signal(deps: Deps, container: Container, number: int) -> None:
    shim = container.shim
    if shim is None:
        return
    try:
        await shim.kill(number)
    except NotFound:
        return  # it ended meanwhile
    publish(deps, container, "kill", signal=str(number))


async def kill(deps: Deps, ref: str, *, signal: str | None) -> None:
    """Send a signal (SIGKILL unless told otherwise); for SIGKILL wait until the exit was handled.

    Raises: NotFound, Conflict (not running), InvalidArgument (signal).
    """
    try:
        number = parse_signal(signal, beyond=messages.signal_not_supported) if signal else int(signals.SIGKILL)
    except InvalidArgument as err:
        raise InvalidArgument(f"cannot kill container: {ref}: {err.message}") from err
    container = deps.containers.find(ref)
    if container is None and deps.execs.find(ref) is not None:
        await exec_kill(deps, ref, number)  # an exec's id: the stock CLI has no other word for it
        return
    if container is None:
        raise NotFound(f"cannot kill container: {ref}: {messages.no_such_container(ref)}")
    if not container.running:
        raise Conflict(f"cannot kill container: {ref}: {messages.not_running(container.id)}")
    if number in (signals.SIGKILL, stop_signal_of(container)):
        container.row.stopped_by_user = True
        save(deps, container)
    if container.row.phase == "paused" and number == signals.SIGKILL:
        await unpause_for_kill(deps, container)
    await _signal(deps, container, number)
    if number == signals.SIGKILL:
        try:
            await asyncio.wait_for(container.exited.wait(), AFTER_KILL_S)
        except TimeoutError:
            return
        async with deps.locks.hold(container.id):
            pass


async def restart(deps: Deps, ref: str, *, timeout_s: int | None, signal: str | None) -> None:
    """Stop when it runs, then start. A container with --rm survives its restart, as in Docker."""
    container = deps.containers.get(ref)
    number = parse_signal(signal) if signal else stop_signal_of(container)
    kept = container.row.host_config.get("AutoRemove")
    if container.running:
        container.row.host_config["AutoRemove"] = False
        try:
            await stop_running(deps, container, timeout_s=timeout_s, number=number)
            publish(deps, container, "stop")
        finally:
            container.row.host_config["AutoRemove"] = kept
    async with deps.locks.hold(container.id):
        if container.running:
            return
        if container.row.phase in ("removing", "dead"):
            raise Conflict("container is marked for removal and cannot be started")
        cancel_restart(container)
        container.row.stopped_by_user = False
        await start_locked(deps, container)
    publish(deps, container, "restart")


async def finish(deps: Deps, timeout_s: float | None) -> None:
    """The daemon ends: what was begun is finished, and nothing is started again."""
    deps.tasks.draining = True

    async def forget(container: Container) -> None:
        async with deps.locks.hold(container.id):  # a start is not cut in two
            cancel_restart(container)

    delayed = [asyncio.ensure_future(forget(c)) for c in deps.containers if c.restart_task is not None]
    if delayed:
        await asyncio.wait(delayed, timeout=timeout_s)
    await deps.tasks.drain(timeout_s)


async def let_go(deps: Deps, timeout_s: float | None) -> None:
    """What becomes of the containers from here on the next daemon hears. After: ``finish``."""
    await deps.tasks.drain(timeout_s)
    for container in deps.containers:
        health.suspend(container)
        if container.shim is not None:
            container.shim.close()  # an end that nobody acknowledged is told again
    await deps.tasks.drain(timeout_s)  # ends that were told before


async def stop_all(deps: Deps, timeout_s: float | None) -> None:
    """Stop every running container side by side (the daemon's own stop without live-restore).

    ``stopped_by_user`` stays what it was, so that policies bring them back at the next start.
    """

    async def one(container: Container) -> None:
        before = container.row.stopped_by_user
        try:
            await stop_running(deps, container, timeout_s=None, number=stop_signal_of(container))
        except BerthError:
            pass
        container.row.stopped_by_user = before
        save(deps, container)

    work = [one(c) for c in deps.containers if c.running]
    if work:
        await asyncio.wait([asyncio.ensure_future(w) for w in work], timeout=timeout_s)
