"""Sizes and time spans in words, as Docker's tools write and read them."""

from __future__ import annotations

from berth.base.errors import InvalidArgument

_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_FACTORS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}


def _size(value: float, base: float, units: tuple[str, ...], digits: int) -> str:
    at = 0
    while value >= base and at < len(units) - 1:
        value /= base
        at += 1
    return f"{value:.{digits}g}{units[at]}"


def human_size(value: float, digits: int = 4) -> str:
    """1000-based: ``1.234MB``."""
    text = _size(value, 1000.0, _DECIMAL, digits)
    return _plain(value, text, 1000.0, _DECIMAL, digits)


def bytes_size(value: float) -> str:
    """1024-based: ``64MiB``."""
    return _plain(value, _size(value, 1024.0, _BINARY, 4), 1024.0, _BINARY, 4)


def _plain(value: float, text: str, base: float, units: tuple[str, ...], digits: int) -> str:
    """Without an exponent, as Go's %g prints numbers below 10^21."""
    if "e" not in text:
        return text
    at = 0
    while value >= base and at < len(units) - 1:
        value /= base
        at += 1
    return f"{value:.0f}{units[at]}"


def parse_bytes(text: str, option: str) -> int:
    """``64m`` → bytes, binary units. Raises: InvalidArgument."""
    word = text.strip().lower()
    number = word.rstrip("bikmgtp ")
    unit = word[len(number) :].strip().replace("ib", "").rstrip("b")
    try:
        if unit not in _FACTORS:
            raise ValueError
        value = float(number)
        if value < 0 and value != -1:
            raise ValueError
        return int(value * _FACTORS[unit])
    except ValueError:
        raise InvalidArgument(f'invalid argument "{text}" for "{option}" flag: invalid size: \'{text}\'') from None


def parse_duration_ns(text: str, option: str) -> int:
    """``1m30s`` → nanoseconds. Raises: InvalidArgument."""
    import re

    units = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
    parts = re.findall(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)", text)
    if text == "0":
        return 0
    if not parts or "".join(n + u for n, u in parts) != text:
        raise InvalidArgument(f'invalid argument "{text}" for "{option}" flag: time: invalid duration "{text}"')
    return int(sum(float(n) * units[u] for n, u in parts))


def human_duration(seconds: float) -> str:
    """``3 minutes``, ``About an hour``: Docker's rounding."""
    s = int(seconds)
    if s < 1:
        return "Less than a second"
    if s == 1:
        return "1 second"
    if s < 60:
        return f"{s} seconds"
    minutes = s // 60
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    hours = int(seconds / 3600 + 0.5)
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    for limit, length, word in (
        (24 * 7 * 2, 24, "days"),
        (24 * 30 * 2, 24 * 7, "weeks"),
        (24 * 365 * 2, 24 * 30, "months"),
    ):
        if hours < limit:
            return f"{hours // length} {word}"
    return f"{hours // 24 // 365} years"
