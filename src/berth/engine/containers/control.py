"""``pause``, ``unpause``, ``rename``, ``update``, ``resize``, ``top``."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from berth.base import spawn
from berth.base.errors import AlreadyExists, Conflict, InvalidArgument
from berth.engine.containers import health, live_ports, names
from berth.engine.containers.checks.limits import check_limits
from berth.engine.containers.checks.updates import check_update
from berth.engine.containers.deps import Deps, persist, publish
from berth.engine.containers.options import check_host_config
from berth.engine.containers.runtime_spec import render_resources
from berth.spec import messages
from berth.spec.api.containers import ContainerTopResponse, ContainerUpdateResponse

UPDATABLE = (
    "BlkioWeight CpuPeriod CpuQuota CpuRealtimePeriod CpuRealtimeRuntime CpuShares CpusetCpus CpusetMems Memory "
    "MemoryReservation MemorySwap NanoCpus PidsLimit RestartPolicy"
).split()


async def pause(deps: Deps, ref: str) -> None:
    """Freeze every process. Raises: NotFound, Conflict."""
    container = deps.containers.get(ref)
    async with deps.locks.hold(container.id):
        if container.row.phase == "paused":
            raise Conflict(f"Container {container.id} is already paused")
        if container.row.phase != "running" or container.shim is None:
            raise Conflict(f"container {container.id} is not running")
        health.suspend(container)
        await container.shim.pause()
        container.row.phase = "paused"
        await persist(deps, container)
    publish(deps, container, "pause")


async def unpause(deps: Deps, ref: str) -> None:
    container = deps.containers.get(ref)
    async with deps.locks.hold(container.id):
        if container.row.phase != "paused" or container.shim is None:
            raise Conflict(f"Container {container.id} is not paused")
        await container.shim.resume()
        container.row.phase = "running"
        health.resume(deps, container)
        await persist(deps, container)
    publish(deps, container, "unpause")


async def rename(deps: Deps, ref: str, new_name: str) -> None:
    """Raises: InvalidArgument (an empty or bad name), AlreadyExists."""
    container = deps.containers.get(ref)
    if not new_name:
        raise InvalidArgument("Neither old nor new names may be empty")
    try:
        name = names.check("/" + new_name.removeprefix("/"))
    except InvalidArgument as err:
        raise InvalidArgument(f"Error when allocating new name: {err.message}") from err
    if name == container.name:
        raise InvalidArgument("Renaming a container with the same name as its current name")
    async with deps.locks.hold(container.id):
        try:
            deps.containers.reserve_name(name, container.id)
        except AlreadyExists as err:
            raise AlreadyExists(f"Error when allocating new name: {err.message}") from err
        old = container.row.name
        container.row.name = name
        try:
            await persist(deps, container, durable=True)
        except BaseException:
            container.row.name = old
            deps.containers.release_name(name, container.id)
            raise
        deps.containers.release_name(old, container.id)
    publish(deps, container, "rename", oldName="/" + old)


async def update(deps: Deps, ref: str, body: dict[str, Any]) -> ContainerUpdateResponse:
    """Change limits, restart policy and published ports, live where it runs. What fails leaves the ports as they were.

    Raises: InvalidArgument, Conflict, ResourceExhausted (a port of the host's is taken).
    """
    container = deps.containers.get(ref)
    changes = {k: v for k, v in body.items() if k in UPDATABLE and v not in (None, 0, "", {"Name": ""})}
    changes.pop("RestartPolicy", None) if not (body.get("RestartPolicy") or {}).get("Name") else None
    async with deps.locks.hold(container.id):
        if container.row.phase in ("removing", "dead"):
            raise Conflict(
                f'Cannot update container {container.id}: Container is marked for removal and cannot be "update".'
            )
        check_limits(deps.host, dict(changes), update=True)
        check_update(container.id, container.row.host_config, changes)
        whole = {**container.row.host_config, **changes}
        warnings = check_host_config(deps, container.row.config, whole, update=True)
        before = container.row.host_config, container.row.config
        add, remove = body.get("PublishAdd") or {}, body.get("PublishRemove") or {}
        try:
            if add or remove:
                await live_ports.change_ports(deps, container, add, remove)
            merged = {**container.row.host_config, **changes}
            if changes and container.running and container.shim is not None:
                resources = render_resources(merged)
                resources.pop("devices", None)
                if resources:
                    await container.shim.update(resources)
            container.row.host_config = merged
            await persist(deps, container, durable=True)
        except BaseException:
            container.row.host_config, container.row.config = before
            if add or remove:
                await live_ports.follow(deps, container)
            raise
    publish(deps, container, "update")
    return {"Warnings": warnings}


async def resize(deps: Deps, ref: str, *, rows: int, cols: int) -> None:
    """Raises: NotFound, Conflict (not running)."""
    container = deps.containers.get(ref)
    if not container.running:
        raise Conflict(messages.not_running(container.id))
    if container.shim is not None:
        await container.shim.resize(None, rows, cols)
    publish(deps, container, "resize", height=str(rows), width=str(cols))


async def top(deps: Deps, ref: str, ps_args: str) -> ContainerTopResponse:
    """The host's ``ps`` over the processes of the container's cgroup.

    Raises: Conflict (not running), InvalidArgument (ps refuses the arguments, or shows no PID column).
    """
    container = deps.containers.get(ref)
    if not container.running:
        raise Conflict(messages.not_running(container.id))
    args = (ps_args or "-ef").split()
    for arg in args:
        if re.match(r"-?[a-zA-Z]*[oO].*pid\s*=", arg):
            raise InvalidArgument("specifying PID= with a custom header is not supported")
    if container.shim is None:
        raise Conflict(f"container {container.id} is not running")
    pids = {str(p) for p in (await container.shim.state())["pids"]}
    result = await asyncio.to_thread(spawn.run, ["ps", *args])
    if result.returncode != 0:
        raise InvalidArgument(f"ps: {result.stderr.decode(errors='replace').strip()}")
    lines = result.stdout.decode(errors="replace").splitlines()
    titles = lines[0].split() if lines else []
    if "PID" not in titles:
        raise InvalidArgument("Couldn't find PID field in ps output")
    at = titles.index("PID")
    processes = []
    for line in lines[1:]:
        fields = line.split(None, len(titles) - 1)
        if len(fields) > at and fields[at] in pids:
            processes.append(fields)
    publish(deps, container, "top")
    return {"Titles": titles, "Processes": processes}
