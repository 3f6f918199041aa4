"""Health checks as pure decisions: what a probe's result makes of a container's health, and when the next probe is due.

    starting ──ok──▶ healthy ◀──ok── unhealthy
        └── retries failures after the start period ──▶ unhealthy (from healthy too)

Spec: Engine API, HealthConfig and Health; Docker's defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

STARTING, HEALTHY, UNHEALTHY = "starting", "healthy", "unhealthy"
LOG_MAX = 5
OUTPUT_MAX_BYTES = 4096
DEFAULT_SHELL = ["/bin/sh", "-c"]
_SECOND_NS = 1_000_000_000


class Check(NamedTuple):
    """``Config.Healthcheck``, decoded. Times in seconds."""

    argv: list[str]
    interval_s: float
    timeout_s: float
    start_period_s: float
    start_interval_s: float
    retries: int


def parse_check(config: Mapping[str, Any]) -> Check | None:
    """None where nothing is probed: no check, ``NONE``, or one whose words are not understood."""
    check = config.get("Healthcheck") or {}
    test = list(check.get("Test") or [])
    if len(test) < 2:
        return None
    if test[0] == "CMD":
        argv = [str(word) for word in test[1:]]
    elif test[0] == "CMD-SHELL":
        argv = [*(config.get("Shell") or DEFAULT_SHELL), str(test[1])]
    else:
        return None

    def seconds(key: str, default: float) -> float:
        return int(check.get(key) or 0) / _SECOND_NS or default

    return Check(
        argv, seconds("Interval", 30.0), seconds("Timeout", 30.0), seconds("StartPeriod", 0.0),
        seconds("StartInterval", 5.0), int(check.get("Retries") or 0) or 3,
    )  # fmt: skip


def begun(before: Mapping[str, Any] | None) -> dict[str, Any]:
    """The health of a container that was just started; its log stays."""
    return {"Status": STARTING, "FailingStreak": 0, "Log": list((before or {}).get("Log") or [])}


def delay_s(check: Check, status: str, ran_for_s: float) -> float:
    """How long until the next probe."""
    if ran_for_s < check.start_period_s and status == STARTING:
        return check.start_interval_s
    return check.interval_s


def judge(check: Check, health: Mapping[str, Any], entry: Mapping[str, Any], started_after_s: float) -> dict[str, Any]:
    """The health after a probe. ``started_after_s``: how long the container had run when the probe began."""
    status, streak = str(health["Status"]), int(health["FailingStreak"])
    log = [*health["Log"], dict(entry)][-LOG_MAX:]
    if entry["ExitCode"] == 0:
        return {"Status": HEALTHY, "FailingStreak": 0, "Log": log}
    if status != STARTING or started_after_s >= check.start_period_s:
        streak += 1
        if streak >= check.retries:
            status = UNHEALTHY
    return {"Status": status, "FailingStreak": streak, "Log": log}
