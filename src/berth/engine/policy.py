"""Restart policy as pure decisions.

A container that exits is started again after a delay that doubles from 100 ms to a minute, and falls back to 100 ms once
a run lasted ten seconds. A container that a person stopped stays stopped, until the daemon starts again under "always".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FIRST_DELAY_S = 0.1
MAX_DELAY_S = 60.0
STABLE_AFTER_S = 10.0


def restart_name(policy: Mapping[str, Any] | None) -> str:
    """``no``, ``always``, ``unless-stopped`` or ``on-failure``."""
    return str((policy or {}).get("Name") or "no")


def wants_restart(
    policy: Mapping[str, Any] | None, *, exit_code: int, stopped_by_user: bool, restart_count: int
) -> bool:
    """Whether an exit that the engine saw leads to another start."""
    name = restart_name(policy)
    if stopped_by_user or name == "no":
        return False
    if name == "on-failure":
        maximum = int((policy or {}).get("MaximumRetryCount") or 0)
        return exit_code != 0 and (maximum == 0 or restart_count < maximum)
    return name in ("always", "unless-stopped")


def wants_start_at_boot(
    policy: Mapping[str, Any] | None, *, was_running: bool, stopped_by_user: bool, exit_code: int
) -> bool:
    """Whether the daemon's own start brings a dead container up again."""
    name = restart_name(policy)
    if name == "always":
        return True
    if name == "unless-stopped":
        return not stopped_by_user
    return name == "on-failure" and was_running and exit_code != 0


def next_delay_s(previous_s: float, ran_for_s: float) -> float:
    """How long to wait before the next start; ``previous_s`` 0 when there was none."""
    if previous_s <= 0 or ran_for_s >= STABLE_AFTER_S:
        return FIRST_DELAY_S
    return min(previous_s * 2, MAX_DELAY_S)
