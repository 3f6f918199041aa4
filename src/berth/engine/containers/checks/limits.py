"""Memory, processors, processes and block I/O."""

from __future__ import annotations

import re
from typing import Any

from berth.base.errors import InvalidArgument
from berth.engine.containers.runtime_spec import HostFacts

MIN_MEMORY_BYTES = 6 << 20
MAX_CPU_NUMBER = 8192
_LIST = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*")


def check_limits(host: HostFacts, hc: dict[str, Any], *, update: bool = False) -> list[str]:
    """Returns warnings; what this kernel lacks is set back in ``hc``. Raises: InvalidArgument."""
    warnings: list[str] = []
    _check_memory(hc, warnings, update=update)
    _check_processors(host, hc)
    _check_sets(host, hc)
    _check_block_io(host, hc, warnings)
    if int(hc.get("CpuPercent") or 0) > 0:
        warnings.append("linux does not support CPU percent. Percent discarded.")
        hc["CpuPercent"] = 0
    if int(hc.get("PidsLimit") or 0) <= 0 and not update:
        hc.pop("PidsLimit", None)  # "no limit" is what there is without one
    return warnings


def _check_memory(hc: dict[str, Any], warnings: list[str], *, update: bool) -> None:
    memory, swap = int(hc.get("Memory") or 0), int(hc.get("MemorySwap") or 0)
    if memory and memory < MIN_MEMORY_BYTES:
        raise InvalidArgument("Minimum memory limit allowed is 6MB")
    if memory > 0 and swap > 0 and swap < memory:
        raise InvalidArgument("Minimum memoryswap limit should be larger than memory limit, see usage")
    if memory == 0 and swap > 0 and not update:
        raise InvalidArgument("You should always set the Memory limit when using Memoryswap limit, see usage")
    swappiness = hc.get("MemorySwappiness")
    if swappiness is not None and not -1 <= int(swappiness) <= 100:
        raise InvalidArgument(f"Invalid value: {swappiness}, valid memory swappiness range is 0-100")
    if swappiness == -1:
        hc["MemorySwappiness"] = None
    reservation = int(hc.get("MemoryReservation") or 0)
    if 0 < reservation < MIN_MEMORY_BYTES:
        raise InvalidArgument("Minimum memory reservation allowed is 6MB")
    if memory and reservation > memory:
        raise InvalidArgument("Minimum memory limit can not be less than memory reservation limit, see usage")
    if hc.get("OomKillDisable") and not memory:
        warnings.append(
            "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running "
            "out of resources."
        )


def _check_processors(host: HostFacts, hc: dict[str, Any]) -> None:
    nano = int(hc.get("NanoCpus") or 0)
    for key, word in (("CpuPeriod", "CPU Period"), ("CpuQuota", "CPU Quota")):
        if nano and hc.get(key):
            raise InvalidArgument(f"Conflicting options: Nano CPUs and {word} cannot both be set")
    if nano < 0 or nano > host.cpus * 1_000_000_000:
        raise InvalidArgument(
            f"range of CPUs is from 0.01 to {host.cpus}.00, as there are only {host.cpus} CPUs available"
        )
    shares = int(hc.get("CpuShares") or 0)
    if shares < 0:
        raise InvalidArgument(f"invalid CPU shares ({shares}): value must be a positive integer")
    period = int(hc.get("CpuPeriod") or 0)
    if period and not 1000 <= period <= 1_000_000:
        raise InvalidArgument("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
    if 0 < int(hc.get("CpuQuota") or 0) < 1000:
        raise InvalidArgument("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    rt_period, rt_runtime = int(hc.get("CpuRealtimePeriod") or 0), int(hc.get("CpuRealtimeRuntime") or 0)
    if rt_runtime and rt_period and rt_runtime > rt_period:
        raise InvalidArgument("cpu real-time runtime cannot be higher than cpu real-time period")


def _check_sets(host: HostFacts, hc: dict[str, Any]) -> None:
    wanted = _members(str(hc.get("CpusetCpus") or ""), "cpuset cpus")
    if wanted and max(wanted) >= host.cpus:
        raise InvalidArgument(
            f"Requested CPUs are not available - requested {hc['CpusetCpus']}, available: {_span(host.cpus)}"
        )
    wanted = _members(str(hc.get("CpusetMems") or ""), "cpuset mems")
    if wanted and max(wanted) >= host.memory_nodes:
        raise InvalidArgument(
            f"Requested memory nodes are not available - requested {hc['CpusetMems']}, "
            f"available: {_span(host.memory_nodes)}"
        )


def _span(count: int) -> str:
    return "0" if count == 1 else f"0-{count - 1}"


def _members(text: str, what: str) -> set[int]:
    """``0-2,4`` → its numbers. Raises: InvalidArgument."""
    if not text:
        return set()
    if not _LIST.fullmatch(text):
        raise InvalidArgument(f"Invalid value {text} for {what}: invalid format: {text}")
    found: set[int] = set()
    for part in text.split(","):
        low, _, high = part.partition("-")
        first, last = int(low), int(high or low)
        if last < first:
            raise InvalidArgument(f"Invalid value {text} for {what}: invalid format: {text}")
        if last >= MAX_CPU_NUMBER:
            raise InvalidArgument(f"Invalid value {text} for {what}: value of out range, maximum is {MAX_CPU_NUMBER}")
        found.update(range(first, last + 1))
    return found


def _check_block_io(host: HostFacts, hc: dict[str, Any], warnings: list[str]) -> None:
    weight = int(hc.get("BlkioWeight") or 0)
    if not 0 <= weight <= 0xFFFF:
        raise InvalidArgument(f"invalid JSON: BlkioWeight {weight} is no number from 0 to 65535")
    if weight and "blkio_weight" in host.lacks:
        warnings.append("Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.")
        hc["BlkioWeight"] = weight = 0
    if weight and not 10 <= weight <= 1000:
        raise InvalidArgument("Range of blkio weight is from 10 to 1000")
    if hc.get("IOMaximumBandwidth"):
        raise InvalidArgument("invalid option: QoS maximum bandwidth configuration is not supported on linux")
    if hc.get("IOMaximumIOps"):
        raise InvalidArgument("invalid option: QoS maximum IOPs configuration is not supported on linux")
    if hc.get("BlkioWeightDevice") and "blkio_weight_device" in host.lacks:
        warnings.append(
            "Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded."
        )
        hc["BlkioWeightDevice"] = []
