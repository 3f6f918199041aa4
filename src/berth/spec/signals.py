"""Signals by Docker's spellings: ``9``, ``KILL``, ``SIGKILL``, ``RTMIN+3``."""

from __future__ import annotations

import signal

from berth.base.errors import InvalidArgument

_NAMES = {s.name.removeprefix("SIG"): int(s) for s in signal.Signals}
_NAMES.update(CLD=int(signal.SIGCHLD), POLL=int(signal.SIGIO), IOT=int(signal.SIGABRT))


def parse_signal(text: str) -> int:
    """The number. Raises: InvalidArgument ("invalid signal: X")."""
    if text.isdecimal():
        number = int(text) if len(text) < 10 else 0
        if 0 < number <= 64:
            return number
        raise InvalidArgument(f"invalid signal: {text}")
    name = text.upper().removeprefix("SIG")
    base, sign, offset = name.partition("+") if "+" in name else name.partition("-")
    number = _NAMES.get(base, 0)
    if number and sign and base in ("RTMIN", "RTMAX") and offset.isdecimal() and len(offset) < 10:
        number = number + int(offset) if sign == "+" else number - int(offset)
        sign = ""
    if not number or sign:
        raise InvalidArgument(f"invalid signal: {text}")
    return number
