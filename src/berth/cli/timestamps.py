"""``--since`` and ``--until``: times and spans as people write them → what the engine is asked with.

10m, 1h30m          before now, by this machine's clock
1700000000[.5]      seconds since the epoch, sent as they are
2026-01-02[T15:04[:05[.5]]][Z|+01:00]   a time; without a zone, this machine's own
"""

from __future__ import annotations

import time

from berth.base.errors import InvalidArgument


def timestamp(text: str, what: str = "") -> str:
    """``seconds[.nanoseconds]``; "" for "". Raises: InvalidArgument in docker's words."""
    if not text:
        return ""
    if _is_number(text):
        return text
    from berth.spec.units import parse_duration_ns

    try:
        ns = time.time_ns() - parse_duration_ns(text, "")
        return f"{ns // 10**9}.{ns % 10**9:09d}"
    except InvalidArgument:
        pass
    try:
        return _parse_time(text)
    except ValueError:
        said = f'failed to parse value as time or duration: "{text}"'
        raise InvalidArgument(f'invalid value for "{what}": {said}' if what else said) from None


def _is_number(text: str) -> bool:
    seconds, dot, fraction = text.partition(".")
    return seconds.isdigit() and (not dot or fraction.isdigit())


def _parse_time(text: str) -> str:
    from datetime import datetime

    whole = text[:-1] + "+00:00" if text.endswith("Z") else text
    head, dot, tail = whole.partition(".")
    fraction, zone = tail, ""
    for sign in "+-":
        if dot and sign in tail:
            fraction, _, zone = tail.partition(sign)
            zone = sign + zone
    moment = datetime.fromisoformat(head + zone)
    if dot and not fraction.isdigit():
        raise ValueError(text)
    seconds = int(moment.timestamp())
    return f"{seconds}.{fraction[:9].ljust(9, '0')}"
