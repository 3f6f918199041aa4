"""What a group has used: every counter that Engine's ``stats`` shows, from v1 and v2 files in one shape.

A file that this kernel lacks, or that vanishes with the group, counts as zero or empty: a container may end at any moment.
Units: nanoseconds, bytes.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from berth.kernel.cgroups import Cgroup
from berth.kernel.cgroups.v1 import CgroupV1
from berth.kernel.cgroups.v2 import CgroupV2

_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


class BlockEntry(NamedTuple):
    """One device's counter; ``op`` as the kernel writes it."""

    major: int
    minor: int
    op: str
    value: int


class Usage(NamedTuple):
    """``memory_limit`` 0: none. ``memory_max`` and ``memory_failures`` are v1's, None on v2; so is ``percpu_ns``."""

    cpu_total_ns: int
    cpu_user_ns: int
    cpu_system_ns: int
    percpu_ns: list[int] | None
    periods: int
    throttled_periods: int
    throttled_ns: int
    memory_bytes: int
    memory_max: int | None
    memory_failures: int | None
    memory_limit: int
    memory: dict[str, int]
    pids: int
    pids_limit: int
    io_bytes: list[BlockEntry]
    io_operations: list[BlockEntry] | None


def read_usage(group: Cgroup) -> Usage:
    """The counters now."""
    if isinstance(group, CgroupV1):
        return _v1(group)
    assert isinstance(group, CgroupV2)
    return _v2(group)


def system_cpu() -> tuple[int, int]:
    """(nanoseconds that all processors have spent in anything, how many processors are on line). Spec: proc_stat(5)."""
    total, online = 0, 0
    with open("/proc/stat", encoding="ascii", errors="replace") as file:
        for line in file:
            if not line.startswith("cpu"):
                break
            fields = line.split()
            if fields[0] == "cpu":
                total = sum(int(f) for f in fields[1:8]) * _TICK_NS
            else:
                online += 1
    return total, online


def _v1(group: CgroupV1) -> Usage:
    def text(controller: str, name: str) -> str:
        path = group._file(controller, name)
        return _text(path) if path is not None else ""

    cpu, stat = _pairs(text("cpu", "cpu.stat")), _pairs(text("cpuacct", "cpuacct.stat"))
    limit = _number(text("memory", "memory.limit_in_bytes"))
    return Usage(
        cpu_total_ns=_number(text("cpuacct", "cpuacct.usage")),
        cpu_user_ns=stat.get("user", 0) * _TICK_NS, cpu_system_ns=stat.get("system", 0) * _TICK_NS,
        percpu_ns=[int(n) for n in text("cpuacct", "cpuacct.usage_percpu").split()],
        periods=cpu.get("nr_periods", 0), throttled_periods=cpu.get("nr_throttled", 0),
        throttled_ns=cpu.get("throttled_time", 0),
        memory_bytes=_number(text("memory", "memory.usage_in_bytes")),
        memory_max=_number(text("memory", "memory.max_usage_in_bytes")),
        memory_failures=_number(text("memory", "memory.failcnt")), memory_limit=limit if limit < 1 << 62 else 0,
        memory=_pairs(text("memory", "memory.stat")),
        pids=_number(text("pids", "pids.current")), pids_limit=_number(text("pids", "pids.max")),
        io_bytes=_v1_blocks(text("blkio", "blkio.throttle.io_service_bytes_recursive")),
        io_operations=_v1_blocks(text("blkio", "blkio.throttle.io_serviced_recursive")),
    )  # fmt: skip


def _v1_blocks(text: str) -> list[BlockEntry]:
    """Lines such as ``8:0 Read 4096``; the sum at the end has no device."""
    found = []
    for line in text.splitlines():
        device, _, rest = line.partition(" ")
        op, _, value = rest.partition(" ")
        if ":" in device and value.isdecimal():
            major, _, minor = device.partition(":")
            found.append(BlockEntry(int(major), int(minor), op, int(value)))
    return found


def _v2(group: CgroupV2) -> Usage:
    def text(name: str) -> str:
        return _text(f"{group.path}/{name}")

    cpu = _pairs(text("cpu.stat"))
    return Usage(
        cpu_total_ns=cpu.get("usage_usec", 0) * 1000, cpu_user_ns=cpu.get("user_usec", 0) * 1000,
        cpu_system_ns=cpu.get("system_usec", 0) * 1000, percpu_ns=None, periods=cpu.get("nr_periods", 0),
        throttled_periods=cpu.get("nr_throttled", 0), throttled_ns=cpu.get("throttled_usec", 0) * 1000,
        memory_bytes=_number(text("memory.current")), memory_max=None, memory_failures=None,
        memory_limit=_number(text("memory.max")), memory=_pairs(text("memory.stat")),
        pids=_number(text("pids.current")), pids_limit=_number(text("pids.max")), io_bytes=_v2_blocks(text("io.stat")),
        io_operations=None,
    )  # fmt: skip


def _v2_blocks(text: str) -> list[BlockEntry]:
    """Lines such as ``8:0 rbytes=4096 wbytes=0 rios=1 ...``."""
    found = []
    for line in text.splitlines():
        device, *fields = line.split()
        major, _, minor = device.partition(":")
        values = dict(field.split("=", 1) for field in fields if "=" in field)
        if major.isdecimal() and minor.isdecimal():
            for op, key in (("read", "rbytes"), ("write", "wbytes")):
                found.append(BlockEntry(int(major), int(minor), op, _number(values.get(key, ""))))
    return found


def _text(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _number(text: str) -> int:
    """0 for "max" and for what is not there."""
    word = text.strip()
    return int(word) if word.isdecimal() else 0


def _pairs(text: str) -> dict[str, int]:
    return {
        key: int(value) for key, _, value in (line.partition(" ") for line in text.splitlines()) if value.isdecimal()
    }
