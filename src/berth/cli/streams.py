"""Attached streams: the raw terminal, demultiplexing, copying both ways with half-close."""

from __future__ import annotations

import os
import select
import sys
from _socket import SHUT_WR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from berth.client.dial import Stream

STEP = 65536


class Demux:
    """The 8-byte framing → stdout and stderr. ``raw``: everything is stdout (a terminal)."""

    def __init__(self, *, raw: bool, out: int = 1, err: int = 2) -> None:
        self._raw = raw
        self._fds = {0: out, 1: out, 2: err, 3: err}
        self._head = b""
        self._left = 0
        self._fd = out

    def feed(self, data: bytes) -> None:
        if self._raw:
            write_all(self._fd, data)
            return
        while data:
            if not self._left:
                need = 8 - len(self._head)
                self._head += data[:need]
                data = data[need:]
                if len(self._head) < 8:
                    return
                self._fd = self._fds.get(self._head[0], 1)
                self._left = int.from_bytes(self._head[4:8], "big")
                self._head = b""
                continue
            chunk = data[: self._left]
            write_all(self._fd, chunk)
            self._left -= len(chunk)
            data = data[len(chunk) :]


def write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            sent = os.write(fd, view)
        except BlockingIOError:
            select.select([], [fd], [])
            continue
        view = view[sent:]


class RawTerminal:
    """Standard input in raw mode while a container's terminal is attached."""

    def __init__(self, on: bool) -> None:
        self._on = on and os.isatty(0)
        self._before: list[object] | None = None

    def __enter__(self) -> RawTerminal:
        if self._on:
            import termios
            import tty

            self._before = termios.tcgetattr(0)
            tty.setraw(0, termios.TCSANOW)  # what was typed ahead is kept
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            import termios

            termios.tcsetattr(0, termios.TCSANOW, self._before)  # type: ignore[arg-type]


def window_size() -> tuple[int, int]:
    """Rows and columns of the terminal; (0, 0) when there is none."""
    try:
        size = os.get_terminal_size(1 if os.isatty(1) else 0)
    except OSError:
        return 0, 0
    return size.lines, size.columns


def pump(
    sock: Stream, rest: bytes, demux: Demux, *, stdin: bool, on_first: Callable[[], None] | None = None,
    wake_fd: int = -1, on_wake: Callable[[], None] | None = None,
) -> None:  # fmt: skip
    """Copy output to ours and our input to it, until its output ends. Our input's end half-closes the socket."""
    if rest:
        demux.feed(rest)
    sock.setblocking(True)
    reading: list[int] = [sock.fileno()]
    if stdin:
        reading.append(0)
    if wake_fd >= 0:
        reading.append(wake_fd)
    if on_first is not None:
        on_first()
    while True:
        ready, _, _ = select.select(reading, [], [])
        if wake_fd in ready:
            try:
                os.read(wake_fd, 512)
            except BlockingIOError:
                pass
            if on_wake is not None:
                on_wake()
        if sock.fileno() in ready:
            try:
                data = sock.recv(STEP)
            except ConnectionResetError:
                data = b""
            if not data:
                return
            demux.feed(data)
        if stdin and 0 in ready:
            try:
                data = os.read(0, STEP)
            except OSError:
                data = b""
            try:
                if data:
                    sock.sendall(data)
                else:
                    reading.remove(0)
                    sock.shutdown(SHUT_WR)
            except OSError:
                if 0 in reading:
                    reading.remove(0)


def flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
