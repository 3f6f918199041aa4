"""The figures of a container as ``events --stats`` tells them, in runc's shape, from cgroup v1 or v2."""

from __future__ import annotations

import os
from typing import Any

from berth.kernel.cgroups import Cgroup


def stats_of(group: Cgroup) -> dict[str, Any]:
    paths = group.paths()
    return _v2(paths[""]) if "" in paths else _v1(paths)


def _v1(paths: dict[str, str]) -> dict[str, Any]:
    def at(controller: str, name: str) -> str:
        return os.path.join(paths.get(controller, "/nonexistent"), name)

    ticks = {k: v * 10_000_000 for k, v in _pairs(at("cpuacct", "cpuacct.stat")).items()}  # USER_HZ is 100
    throttling = _pairs(at("cpu", "cpu.stat"))
    memory = _pairs(at("memory", "memory.stat"))
    return {
        "cpu": {
            "usage": {
                "total": _number(at("cpuacct", "cpuacct.usage")), "kernel": ticks.get("system", 0), "user": ticks.get("user", 0),
                "percpu": [int(n) for n in _text(at("cpuacct", "cpuacct.usage_percpu")).split()],
            },
            "throttling": _throttling(throttling.get("nr_periods", 0), throttling.get("nr_throttled", 0),
                                      throttling.get("throttled_time", 0)),
        },
        "memory": {
            "cache": memory.get("cache", 0), "raw": memory,
            "usage": {"limit": _number(at("memory", "memory.limit_in_bytes")),
                      "usage": _number(at("memory", "memory.usage_in_bytes")),
                      "max": _number(at("memory", "memory.max_usage_in_bytes")),
                      "failcnt": _number(at("memory", "memory.failcnt"))},
        },
        "pids": {"current": _number(at("pids", "pids.current")), "limit": _limit(at("pids", "pids.max"))},
        "blkio": {
            "ioServiceBytesRecursive": _block(at("blkio", "blkio.throttle.io_service_bytes_recursive")),
            "ioServicedRecursive": _block(at("blkio", "blkio.throttle.io_serviced_recursive")),
        },
    }  # fmt: skip


def _v2(path: str) -> dict[str, Any]:
    cpu, memory = _pairs(f"{path}/cpu.stat"), _pairs(f"{path}/memory.stat")
    return {
        "cpu": {
            "usage": {"total": cpu.get("usage_usec", 0) * 1000, "kernel": cpu.get("system_usec", 0) * 1000,
                      "user": cpu.get("user_usec", 0) * 1000, "percpu": []},
            "throttling": _throttling(cpu.get("nr_periods", 0), cpu.get("nr_throttled", 0),
                                      cpu.get("throttled_usec", 0) * 1000),
        },
        "memory": {
            "cache": memory.get("file", 0), "raw": memory,
            "usage": {"limit": _limit(f"{path}/memory.max"), "usage": _number(f"{path}/memory.current"),
                      "max": _number(f"{path}/memory.peak"),
                      "failcnt": _pairs(f"{path}/memory.events").get("max", 0)},
        },
        "pids": {"current": _number(f"{path}/pids.current"), "limit": _limit(f"{path}/pids.max")},
        "blkio": {"ioServiceBytesRecursive": _io(f"{path}/io.stat")},
    }  # fmt: skip


def _throttling(periods: int, throttled: int, time_ns: int) -> dict[str, int]:
    return {"periods": periods, "throttledPeriods": throttled, "throttledTime": time_ns}


def _text(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except OSError:
        return ""


def _number(path: str) -> int:
    text = _text(path).strip()
    return int(text) if text.isdigit() else 0


def _limit(path: str) -> int:
    """0: none."""
    return _number(path)


def _pairs(path: str) -> dict[str, int]:
    found = {}
    for line in _text(path).splitlines():
        key, _, value = line.partition(" ")
        if value.isdigit():
            found[key] = int(value)
    return found


def _block(path: str) -> list[dict[str, Any]]:
    """``8:0 Read 4096``."""
    found = []
    for line in _text(path).splitlines():
        parts = line.split()
        if len(parts) == 3 and ":" in parts[0]:
            major, _, minor = parts[0].partition(":")
            found.append({"major": int(major), "minor": int(minor), "op": parts[1], "value": int(parts[2])})
    return found


def _io(path: str) -> list[dict[str, Any]]:
    """``8:0 rbytes=4096 wbytes=0 …``."""
    found = []
    for line in _text(path).splitlines():
        device, *words = line.split()
        major, _, minor = device.partition(":")
        for word in words:
            key, _, value = word.partition("=")
            if key in ("rbytes", "wbytes") and value.isdigit():
                op = "Read" if key == "rbytes" else "Write"
                found.append({"major": int(major), "minor": int(minor), "op": op, "value": int(value)})
    return found
