"""``Config.Healthcheck``."""

from __future__ import annotations

from typing import Any

from berth.base.errors import InvalidArgument

LEAST_NS = 1_000_000
_SPANS = ("Interval", "Timeout", "StartPeriod", "StartInterval")


def check_health(check: dict[str, Any]) -> None:
    """Raises: InvalidArgument for a span that is neither 0 (the default) nor a millisecond at least."""
    for key in _SPANS[:2]:
        _check_span(check, key)
    if int(check.get("Retries") or 0) < 0:
        raise InvalidArgument("Retries in Healthcheck cannot be negative")
    for key in _SPANS[2:]:
        _check_span(check, key)


def _check_span(check: dict[str, Any], key: str) -> None:
    value = int(check.get(key) or 0)
    if value != 0 and value < LEAST_NS:
        raise InvalidArgument(f"{key} in Healthcheck cannot be less than 1ms")
