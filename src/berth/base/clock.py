"""Time as the engine writes it: nanoseconds since the epoch inside, RFC 3339 with nanoseconds at the doors."""

from __future__ import annotations

import time

ZERO = "0001-01-01T00:00:00Z"
"""What Docker prints for a time that has not come yet."""


def now_ns() -> int:
    """Wall-clock nanoseconds since the epoch."""
    return time.time_ns()


def rfc3339(ns: int | None) -> str:
    """``2026-01-02T03:04:05.000000001Z`` (trailing zeros dropped, as Go prints it); ``ZERO`` for None or 0."""
    if not ns:
        return ZERO
    secs, frac = divmod(ns, 1_000_000_000)
    t = time.gmtime(secs)
    head = f"{t[0]:04d}-{t[1]:02d}-{t[2]:02d}T{t[3]:02d}:{t[4]:02d}:{t[5]:02d}"
    if not frac:
        return head + "Z"
    return f"{head}.{frac:09d}".rstrip("0") + "Z"
