"""Requests, answers and events over one stream socket, with descriptors beside, on the event loop."""

from __future__ import annotations

import array
import asyncio
import json
import os
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from berth.base.errors import BerthError, Unavailable, from_wire
from berth.oci import channel

_ANCILLARY = socket.CMSG_SPACE(8 * 4)


class Link:
    """One connection. ``on_event(message, fds)`` for what is no answer, ``on_end()`` once when the peer is gone."""

    def __init__(
        self, sock: socket.socket, on_event: Callable[[dict[str, Any], list[int]], None], on_end: Callable[[], None]
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._on_event = on_event
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._in = bytearray()
        self._fds: list[int] = []
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._out: deque[tuple[bytes, Sequence[int]]] = deque()
        self._seq = 0
        self.closed = False
        self._loop.add_reader(sock.fileno(), self._readable)

    async def ask(self, op: str, args: dict[str, Any], fds: Sequence[int] = (), tail: bytes = b"") -> dict[str, Any]:
        """Send a request and wait for its answer. The descriptors stay the caller's.

        Raises: what the peer answered, Unavailable when it is gone.
        """
        if self.closed:
            raise Unavailable(f"{op}: the peer process is gone")
        self._seq += 1
        seq = self._seq
        future: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        self._waiting[seq] = future
        self._send({"op": op, "seq": seq, "args": args, "fds": len(fds)}, [os.dup(fd) for fd in fds], tail)
        try:
            return await future
        finally:
            self._waiting.pop(seq, None)

    def tell(self, op: str, args: dict[str, Any]) -> None:
        """Send a request that has no answer."""
        if not self.closed:
            self._send({"op": op, "seq": 0, "args": args}, ())

    def _send(self, message: dict[str, Any], fds: Sequence[int], tail: bytes = b"") -> None:
        self._out.append((b"".join(channel.frame_of(message, tail)), fds))
        self._flush()

    def _flush(self) -> None:
        while self._out:
            frame, fds = self._out[0]
            try:
                if fds:
                    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
                    sent = self._sock.sendmsg([frame], ancillary)
                else:
                    sent = self._sock.send(frame)
            except BlockingIOError:
                self._loop.add_writer(self._sock.fileno(), self._flush)
                return
            except OSError:
                self.close()
                return
            for fd in fds:
                os.close(fd)
            if sent < len(frame):
                self._out[0] = (frame[sent:], ())
                continue
            self._out.popleft()
        self._loop.remove_writer(self._sock.fileno())

    def _readable(self) -> None:
        try:
            data, ancillary, _, _ = self._sock.recvmsg(65536, _ANCILLARY, socket.MSG_CMSG_CLOEXEC)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data, ancillary = b"", []
        for level, kind, raw in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                numbers = array.array("i")
                numbers.frombytes(raw[: len(raw) - len(raw) % numbers.itemsize])
                self._fds.extend(numbers)
        if not data:
            self.close()
            return
        self._in += data
        while len(self._in) >= 4 and not self.closed:
            (length,) = struct.unpack_from(">I", self._in)
            if len(self._in) < 4 + length:
                return
            message = json.loads(bytes(self._in[4 : 4 + length]))
            del self._in[: 4 + length]
            self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        if "re" not in message:
            fds, self._fds = self._fds, []
            self._on_event(message, fds)
            return
        future = self._waiting.get(message["re"])
        if future is None or future.done():
            return
        if "error" in message:
            future.set_exception(from_wire(message["error"]))
        else:
            future.set_result(message["ok"])

    def close(self) -> None:
        """Let go of the connection; whoever waits gets Unavailable."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self._sock.fileno())
        self._loop.remove_writer(self._sock.fileno())
        self._sock.close()
        for _, fds in self._out:
            for fd in fds:
                os.close(fd)
        self._out.clear()
        gone: BerthError = Unavailable("the peer process went away before it answered")
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(gone)
        self._on_end()
