"""What an update may not change, given what the container has. The sentences are Docker's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from berth.base.errors import Conflict

_PROCESSORS = (
    ("NanoCpus", "CpuPeriod", "Nano CPUs", "CPU Period has"),
    ("NanoCpus", "CpuQuota", "Nano CPUs", "CPU Quota has"),
    ("CpuQuota", "NanoCpus", "CPU Quota", "NanoCPUs has"),
    ("CpuPeriod", "NanoCpus", "CPU Period", "NanoCPUs has"),
)


def check_update(ident: str, before: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
    """``before``: the HostConfig. Raises: Conflict."""
    for why in _conflicts(before, changes):
        raise Conflict(f"Cannot update container {ident}: {why}")


def _conflicts(before: Mapping[str, Any], changes: Mapping[str, Any]) -> list[str]:
    found = [
        f"Conflicting options: {name} cannot be updated as {other} already been set"
        for key, set_key, name, other in _PROCESSORS
        if int(changes.get(key) or 0) > 0 and int(before.get(set_key) or 0) > 0
    ]
    memory = int(changes.get("Memory") or 0)
    if memory > int(before.get("MemorySwap") or 0) and not changes.get("MemorySwap"):
        found.append(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"
        )
    policy = (changes.get("RestartPolicy") or {}).get("Name")
    if before.get("AutoRemove") and policy not in (None, "", "no"):
        found.append("Restart policy cannot be updated because AutoRemove is enabled for the container")
    return found
