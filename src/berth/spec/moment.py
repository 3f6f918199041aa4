"""Points in time as filters give them: seconds since the epoch, RFC 3339, or a duration back from now."""

from __future__ import annotations

import re
import time
from calendar import timegm
from contextlib import suppress
from datetime import UTC, datetime

from berth.base.errors import InvalidArgument

_DATE = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?(Z|[+-]\d\d:\d\d)?", re.IGNORECASE
)
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNIT_NS = {"ns": 1, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9}


def parse_moment_ns(text: str) -> int:
    """Units: nanoseconds since the epoch. Raises: InvalidArgument, with Docker's sentence."""
    if re.fullmatch(r"-?\d+(\.\d+)?", text):
        whole, _, fraction = text.partition(".")
        return int(whole) * 1_000_000_000 + int((fraction + "0" * 9)[:9])
    match = _DATE.fullmatch(text)
    if match:
        with suppress(ValueError):  # a month of 13
            return _date_ns(*match.groups())
    parts = _PART.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return time.time_ns() - int(sum(float(number) * _UNIT_NS[unit] for number, unit in parts))
    raise InvalidArgument(f'failed to parse value as time or duration: "{text}"')


def _date_ns(
    year: str, month: str, day: str, hour: str, minute: str, second: str, fraction: str | None, zone: str | None
) -> int:
    when = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=UTC)
    moment = timegm(when.timetuple())
    if zone and zone.upper() != "Z":
        offset = int(zone[1:3]) * 3600 + int(zone[4:6]) * 60
        moment += -offset if zone[0] == "+" else offset
    return moment * 1_000_000_000 + int(((fraction or "") + "0" * 9)[:9])
