"""A question to resolvers outside: each server in turn, one socket a try: every question has a port and an id of its own.

``done`` is called once, with the answer under the asker's id, or with None when nobody answered. A server that refuses,
fails or is not there is passed over; its answer counts when nobody has a better one.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

from berth.netd.dns import message
from berth.netd.dns.message import Question
from berth.netd.loop import READ, WRITE, Loop, Timer

_TRY_S = 3.0
_WORSE = (message.SERVFAIL, message.REFUSED, message.NOTIMP)

Done = Callable[[bytes | None], None]


class Server(NamedTuple):
    """A resolver, and whether it is asked from inside the container's namespace."""

    address: str
    inside: bool
    port: int = 53


class Forward:
    """One question on its way."""

    def __init__(
        self, loop: Loop, servers: Sequence[Server], question: Question, packet: bytes, *, tcp: bool,
        stand: Callable[[], AbstractContextManager[None]], done: Done,
    ) -> None:  # fmt: skip
        self._loop = loop
        self._servers = list(servers)
        self._question = question
        self._id = int.from_bytes(os.urandom(2), "big")
        self._packet = message.with_id(packet, self._id)
        self._tcp = tcp
        self._stand = stand
        self._done: Done | None = done
        self._sock: socket.socket | None = None
        self._timer: Timer | None = None
        self._worse: bytes | None = None
        self._out = b""
        self._in = b""
        self._next()

    @property
    def ended(self) -> bool:
        """``done`` was called, or it was cancelled."""
        return self._done is None

    def cancel(self) -> None:
        """Nobody waits any more."""
        self._done = None
        self._drop()

    def _next(self) -> None:
        self._drop()
        while self._servers:
            server = self._servers.pop(0)
            try:
                self._begin(server)
            except OSError:
                continue  # no route from there, no such family
            self._timer = self._loop.after(_TRY_S, self._next)
            return
        self._finish(self._worse)

    def _begin(self, server: Server) -> None:
        family = socket.AF_INET6 if ":" in server.address else socket.AF_INET
        kind = (socket.SOCK_STREAM if self._tcp else socket.SOCK_DGRAM) | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        if server.inside:
            with self._stand():
                sock = socket.socket(family, kind)
        else:
            sock = socket.socket(family, kind)
        try:
            failed = sock.connect_ex((server.address, server.port))
            if failed not in (0, errno.EINPROGRESS):
                raise OSError(failed, os.strerror(failed))
            if not self._tcp:
                sock.send(self._packet)
        except OSError:
            sock.close()
            raise
        self._sock = sock
        self._in, self._out = b"", len(self._packet).to_bytes(2, "big") + self._packet if self._tcp else b""
        self._loop.watch(sock.fileno(), WRITE if self._tcp else READ, self._ready)

    def _ready(self, events: int) -> None:
        assert self._sock is not None
        try:
            if self._tcp:
                self._stream(events)
            else:
                self._take(self._sock.recv(65535))
        except BlockingIOError:
            return
        except OSError:  # nobody listens there, or no way to it
            self._next()

    def _stream(self, events: int) -> None:
        assert self._sock is not None
        if self._out:
            failed = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if failed:
                raise OSError(failed, os.strerror(failed))
            self._out = self._out[self._sock.send(self._out) :]
            if not self._out:
                self._loop.change(self._sock.fileno(), READ)
            return
        chunk = self._sock.recv(65535)
        if not chunk:
            raise ConnectionResetError
        self._in += chunk
        if len(self._in) >= 2 and len(self._in) >= 2 + int.from_bytes(self._in[:2], "big"):
            self._take(self._in[2 : 2 + int.from_bytes(self._in[:2], "big")])

    def _take(self, packet: bytes) -> None:
        if not message.answers_it(packet, self._id, self._question):
            return  # somebody guesses
        packet = message.with_id(packet, self._question.id)
        if message.rcode_of(packet) in _WORSE and self._servers:
            self._worse = packet
            self._next()
        else:
            self._finish(packet)

    def _finish(self, packet: bytes | None) -> None:
        self._drop()
        done, self._done = self._done, None
        if done is not None:
            done(packet)

    def _drop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._sock is not None:
            self._loop.forget(self._sock.fileno())
            self._sock.close()
            self._sock = None
