"""``stats``: what a container uses, once or every second.

The counters are read from the cgroup's files by the daemon; the shim is not asked. A container that does not run has a
name and an id and nothing else, as in Docker. Two consecutive samples go into one message, so that clients compute rates.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from functools import cache
from typing import Any

from berth.base.clock import now_ns, rfc3339
from berth.base.errors import NotFound
from berth.engine.containers.deps import Deps
from berth.engine.containers.record import Container
from berth.kernel import cgroups
from berth.kernel.cgroups.usage import BlockEntry, Usage, read_usage, system_cpu
from berth.spec.api.container_stats import ContainerCPUStats, ContainerStatsResponse

INTERVAL_S = 1.0
NEVER = "0001-01-01T00:00:00Z"
_NET_COLUMNS = (
    ("rx_bytes", 0), ("rx_packets", 1), ("rx_errors", 2), ("rx_dropped", 3),
    ("tx_bytes", 8), ("tx_packets", 9), ("tx_errors", 10), ("tx_dropped", 11),
)  # fmt: skip


async def stats(deps: Deps, ref: str, *, stream: bool, one_shot: bool) -> AsyncIterator[ContainerStatsResponse]:
    """One message, or one every second until the container is gone. Raises: NotFound before the first message.

    Without ``stream`` and ``one_shot`` the message comes after a second, with both samples in it.
    """
    return _samples(deps, deps.containers.get(ref), stream, one_shot)


async def _samples(
    deps: Deps, container: Container, stream: bool, one_shot: bool
) -> AsyncIterator[ContainerStatsResponse]:
    before = await _sample(deps, container)
    if stream or one_shot or not container.running:
        yield _with_previous(before, None)
        if not stream:
            return
    while True:
        await asyncio.sleep(INTERVAL_S)
        try:
            deps.containers.get(container.id)
        except NotFound:
            return
        after = await _sample(deps, container)
        yield _with_previous(after, before)
        if not stream:
            return
        before = after


def _with_previous(sample: dict[str, Any], before: dict[str, Any] | None) -> ContainerStatsResponse:
    sample = dict(sample)
    sample["precpu_stats"] = before["cpu_stats"] if before else _no_cpu()
    sample["preread"] = before["read"] if before else NEVER
    return sample  # type: ignore[return-value]


async def _sample(deps: Deps, container: Container) -> dict[str, Any]:
    result: dict[str, Any] = {
        "name": "/" + container.name, "id": container.id, "read": NEVER, "num_procs": 0, "pids_stats": {},
        "cpu_stats": _no_cpu(), "memory_stats": {}, "storage_stats": {},
        "blkio_stats": _blocks([], []),
    }  # fmt: skip
    if container.running and container.shim is not None:
        parent, _, name = container.shim.cgroup.rpartition("/")
        group = _hierarchies().group(parent, name)
        result |= await asyncio.to_thread(_read, group, container.shim.init_pid, container.network_mode)
    return result


@cache
def _hierarchies() -> cgroups.Hierarchies:
    return cgroups.detect()


def _read(group: cgroups.Cgroup, pid: int, network_mode: str) -> dict[str, Any]:
    usage = read_usage(group)
    found = {
        "read": rfc3339(now_ns()), "pids_stats": _pids(usage), "cpu_stats": _cpu(usage), "memory_stats": _memory(usage),
        "blkio_stats": _blocks(usage.io_bytes, usage.io_operations),
    }  # fmt: skip
    if network_mode not in ("host", "none") and pid:
        found["networks"] = _networks(pid)
    return found


def _no_cpu() -> ContainerCPUStats:
    return {
        "cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
        "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
    }


def _cpu(usage: Usage) -> ContainerCPUStats:
    system_ns, online = system_cpu()
    found: ContainerCPUStats = {
        "cpu_usage": {
            "total_usage": usage.cpu_total_ns, "usage_in_kernelmode": usage.cpu_system_ns,
            "usage_in_usermode": usage.cpu_user_ns,
        },
        "system_cpu_usage": system_ns,
        "online_cpus": online,
        "throttling_data": {
            "periods": usage.periods, "throttled_periods": usage.throttled_periods, "throttled_time": usage.throttled_ns,
        },
    }  # fmt: skip
    if usage.percpu_ns is not None and found["cpu_usage"] is not None:
        found["cpu_usage"]["percpu_usage"] = usage.percpu_ns
    return found


def _memory(usage: Usage) -> dict[str, Any]:
    """Without a limit of its own the machine's memory is the limit."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    found: dict[str, Any] = {
        "usage": usage.memory_bytes, "limit": min(usage.memory_limit or machine, machine), "stats": usage.memory
    }  # fmt: skip
    if usage.memory_max is not None:
        found |= {"max_usage": usage.memory_max, "failcnt": usage.memory_failures}
    return found


def _pids(usage: Usage) -> dict[str, int]:
    return {"current": usage.pids, **({"limit": usage.pids_limit} if usage.pids_limit else {})}


def _blocks(sizes: list[BlockEntry], operations: list[BlockEntry] | None) -> dict[str, Any]:
    return {
        "io_service_bytes_recursive": [entry._asdict() for entry in sizes],
        "io_serviced_recursive": [entry._asdict() for entry in operations] if operations is not None else None,
        "io_queue_recursive": None, "io_service_time_recursive": None, "io_wait_time_recursive": None,
        "io_merged_recursive": None, "io_time_recursive": None, "sectors_recursive": None,
    }  # fmt: skip


def _networks(pid: int) -> dict[str, dict[str, int]]:
    """Counters of every interface in the container's network namespace but lo. Spec: proc_pid_net(5)."""
    found = {}
    try:
        with open(f"/proc/{pid}/net/dev", encoding="ascii", errors="replace") as file:
            for line in file.readlines()[2:]:
                name, _, rest = line.partition(":")
                numbers = rest.split()
                if name.strip() != "lo" and len(numbers) >= 12:
                    found[name.strip()] = {key: int(numbers[at]) for key, at in _NET_COLUMNS}
    except OSError:
        pass  # it ended just now
    return found
