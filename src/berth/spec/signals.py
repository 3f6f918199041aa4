"""Signals by Docker's spellings: ``9``, ``KILL``, ``SIGKILL``, ``RTMIN+3``."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable

from berth.base.errors import InvalidArgument
from berth.spec import messages

_NAMES = {s.name.removeprefix("SIG"): int(s) for s in signal.Signals}
_NAMES.update(CLD=int(signal.SIGCHLD), POLL=int(signal.SIGIO), IOT=int(signal.SIGABRT))
_NUMBER = re.compile(r"-?[0-9]{1,18}", re.ASCII)


def parse_signal(text: str, *, beyond: Callable[[str], str] = messages.invalid_signal) -> int:
    """The number. ``beyond``: the sentence for a number that Linux has no signal for.

    Raises: InvalidArgument ("invalid signal: X").
    """
    if _NUMBER.fullmatch(text):
        number = int(text)
        if 0 < number <= 64:
            return number
        raise InvalidArgument(beyond(text) if number else messages.invalid_signal(text))
    name = text.upper().removeprefix("SIG")
    base, sign, offset = name.partition("+") if "+" in name else name.partition("-")
    number = _NAMES.get(base, 0)
    if number and sign and base in ("RTMIN", "RTMAX") and offset.isdecimal() and len(offset) < 10:
        number = number + int(offset) if sign == "+" else number - int(offset)
        sign = ""
    if not number or sign:
        raise InvalidArgument(messages.invalid_signal(text))
    return number
