"""Progress of pulls, pushes and loads: a line a layer that is redrawn in a terminal, plain lines otherwise.

5a2f6e0c6d4b: Downloading [=====>              ] 12.3MB/45.1MB 31.0MB/s
9c27e219663c: Pull complete
"""

from __future__ import annotations

import os
import time

from berth.base.errors import Internal
from berth.client import quick_json
from berth.spec.units import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import IO, Any

_MAX_BAR = 50
_RATE_AFTER_S = 0.5


def show_progress(lines: Iterable[bytes], out: IO[str], *, quiet: bool) -> None:
    """Raises: Internal with the engine's sentence when the stream ends in an error."""
    show = shower(out, quiet=quiet)
    try:
        for raw in lines:
            message: dict[str, Any] = quick_json.loads(raw)
            failure = _failure(message)
            if failure is not None:
                raise failure
            show(message)
    finally:
        out.flush()


def shower(out: IO[str], *, quiet: bool) -> Callable[[dict[str, Any]], None]:
    """What shows one message of progress after another, as ``out`` can."""
    return _nothing if quiet else Bars(out).show if out.isatty() else _plain_lines(out)


def _nothing(message: dict[str, Any]) -> None:
    pass


def _failure(message: dict[str, Any]) -> Internal | None:
    if not (message.get("error") or message.get("errorDetail")):
        return None
    failure = Internal(_clean(str(message.get("error") or message["errorDetail"].get("message", ""))))
    failure.op = ""
    return failure


def _clean(text: str) -> str:
    """What strangers wrote, without what a terminal would obey."""
    return "".join(char if char.isprintable() or char == "\n" else " " for char in text)


def _plain_lines(out: IO[str]) -> Callable[[dict[str, Any]], None]:
    """A line for each thing that is over or begins; bars are nothing for a file."""

    def show(message: dict[str, Any]) -> None:
        if "stream" in message:
            out.write(str(message["stream"]))
            return
        status, ident = str(message.get("status") or ""), str(message.get("id") or "")
        detail = message.get("progressDetail") or {}
        if not status or detail.get("current") or status in ("Downloading", "Extracting", "Pushing"):
            return
        out.write(_clean(f"{ident}: {status}" if ident else status) + "\n")
        out.flush()

    return show


class Bars:
    """Lines by id, in the order in which they came. Those that have scrolled off the top are not reached any more."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self._rows: dict[str, int] = {}
        self._height = 0
        self._begun: dict[tuple[str, str], tuple[float, int]] = {}

    def show(self, message: dict[str, Any]) -> None:
        if "stream" in message:
            self._add(_clean(str(message["stream"]).rstrip("\n")))
            return
        status, ident = _clean(str(message.get("status") or "")), str(message.get("id") or "")
        if not status:
            return
        size = os.get_terminal_size(self._out.fileno())
        text = self._line(ident, status, message.get("progressDetail") or {}, max(40, size.columns))
        if ident in self._rows:
            self._redraw(ident, text, max(2, size.lines))
        else:
            self._add(text)
            if ident:
                self._rows[ident] = self._height - 1

    def _add(self, text: str) -> None:
        self._out.write(text + "\n")
        self._height += 1
        self._out.flush()

    def _redraw(self, ident: str, text: str, lines: int) -> None:
        up = self._height - self._rows[ident]
        if up < lines:
            self._out.write(f"\x1b[{up}A\r\x1b[2K{text}\r\x1b[{up}B")
            self._out.flush()

    def _line(self, ident: str, status: str, detail: dict[str, Any], width: int) -> str:
        text = f"{ident}: {status}" if ident else status
        current, total = int(detail.get("current") or 0), int(detail.get("total") or 0)
        if not current:
            return text[: width - 1]
        tail = human_size(current) + (f"/{human_size(total)}" if total else "") + self._rate(ident, status, current)
        bar = _bar(current, total, min(_MAX_BAR, width - len(text) - len(tail) - 6)) if total else ""
        return f"{text} {bar}{tail}"[: width - 1]

    def _rate(self, ident: str, status: str, current: int) -> str:
        """Bytes a second since this step began, once that says something."""
        now = time.monotonic()
        begun_s, begun_at = self._begun.setdefault((ident, status), (now, current))
        passed_s = now - begun_s
        return f" {human_size((current - begun_at) / passed_s, 3)}/s" if passed_s >= _RATE_AFTER_S else ""


def _bar(current: int, total: int, space: int) -> str:
    if space < 5:
        return ""
    filled = min(space, current * space // total)
    return f"[{'=' * max(0, filled - 1)}{'>' if filled else ''}{' ' * (space - filled)}] "
