"""The daemon's connections to a shim: frames in, answers and events out.

An event stays until it is acknowledged; a new daemon that says hello gets all that are left, in their order.
"""

from __future__ import annotations

import array
import os
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

from berth.oci import channel
from berth.spec.shim import MAX_FRAME

_ANCILLARY = socket.CMSG_SPACE(32 * 4)
_SOL_SOCKET, _SCM_RIGHTS, _CLOEXEC = int(socket.SOL_SOCKET), int(socket.SCM_RIGHTS), int(socket.MSG_CMSG_CLOEXEC)
MAX_BACKLOG = 4 << 20


class Conn:
    """One connection. ``on_request(conn, message, fds)`` is called for each frame, ``on_gone(conn)`` once at its end."""

    def __init__(
        self, sock: socket.socket, on_request: Callable[[Conn, dict[str, Any], list[int]], None],
        on_gone: Callable[[Conn], None],
    ) -> None:  # fmt: skip
        sock.setblocking(False)
        self.sock = sock
        self.fd = sock.fileno()
        self._on_request = on_request
        self._on_gone = on_gone
        self._in = b""
        self._fds: deque[int] = deque()
        self._out = bytearray()
        self.greeted = False
        self.watched_for_write = False
        self.closed = False

    @property
    def wants_write(self) -> bool:
        return bool(self._out)

    def readable(self) -> None:
        try:
            data, ancillary, _, _ = self.sock.recvmsg(65536, _ANCILLARY, _CLOEXEC)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        for level, kind, raw in ancillary:
            if level == _SOL_SOCKET and kind == _SCM_RIGHTS:
                numbers = array.array("i")
                numbers.frombytes(raw[: len(raw) - len(raw) % numbers.itemsize])
                self._fds.extend(numbers)
        if not data:
            self.close()
            return
        self._in = self._take(self._in + data if self._in else data)

    def _take(self, data: bytes) -> bytes:
        """Hand on every whole frame; returns what is left of ``data``."""
        at = 0
        while len(data) - at >= 4 and not self.closed:
            end = at + 4 + int.from_bytes(data[at : at + 4], "big")
            if end - at - 4 > MAX_FRAME:
                self.close()
                break
            if len(data) < end:
                break
            message = channel.parse(data, at + 4, end)
            at = end
            fds = [self._fds.popleft() for _ in range(min(int(message.get("fds") or 0), len(self._fds)))]
            self._on_request(self, message, fds)
        return data[at:] if at < len(data) else b""

    def send(self, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
        if self.closed:
            return
        frame = b"".join(channel.frame_of(message))
        if fds:
            ancillary = [(_SOL_SOCKET, _SCM_RIGHTS, array.array("i", fds))]
            try:
                sent = self.sock.sendmsg([frame], ancillary)
            except OSError:
                self.close()
                return
            self._out += frame[sent:]
            return
        self._out += frame
        self.flush()

    def flush(self) -> None:
        while self._out:
            try:
                sent = self.sock.send(self._out)
            except BlockingIOError:
                if len(self._out) > MAX_BACKLOG:
                    self.close()
                return
            except OSError:
                self.close()
                return
            del self._out[:sent]

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()
        self._on_gone(self)
        self.sock.close()
