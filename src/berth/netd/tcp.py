"""Carrying TCP: a listener (over IPv6, mostly), and for each connection one to the container, with half-close.

client ══ Side ⇄ Side ══ container     each Side holds at most one read's worth of bytes that its socket didn't take yet
"""

from __future__ import annotations

import errno
import os
import socket

from berth.netd.clients import Clients
from berth.netd.loop import GONE, READ, WRITE, Loop

_CHUNK = 64 << 10
_FORGOTTEN = -1
_CONNECTING = (errno.EINPROGRESS, errno.EAGAIN)
_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)


class Side:
    """One socket of a carried connection: ``pending`` is what it must still send, ``ended`` that the other side closed."""

    __slots__ = ("connecting", "ended", "other", "pending", "sent_end", "sock", "watched")

    def __init__(self, sock: socket.socket, *, connecting: bool) -> None:
        self.sock = sock
        self.connecting = connecting
        self.pending = b""
        self.ended = False  # nothing more will be given to this socket
        self.sent_end = False  # and it was told so
        self.watched = 0
        self.other: Side = self


class _Spare:
    """One descriptor kept back for all carriers, to be given up for a moment when there are no others."""

    def __init__(self) -> None:
        self._users = 0
        self._fd = -1

    def take(self) -> None:
        self._users += 1
        self.reclaim()

    def give(self) -> None:
        self._users -= 1
        if not self._users:
            self.lend()

    def lend(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def reclaim(self) -> None:
        if self._fd < 0:
            self._fd = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)


_spare = _Spare()


class Carrier:
    """One listener and its connections."""

    def __init__(self, loop: Loop, listener: socket.socket, target: tuple[str, int], clients: Clients) -> None:
        self._loop = loop
        self._clients = clients
        self._listener = listener
        self._target = target
        self._sides: set[Side] = set()
        _spare.take()
        loop.watch(listener.fileno(), READ, self._accept)

    def close(self) -> None:
        """Cut every connection and stop listening; the listener itself stays the holder's."""
        self._loop.forget(self._listener.fileno())
        for side in list(self._sides):
            self._cut(side)
        _spare.give()

    def _accept(self, _events: int) -> None:
        try:
            client, address = self._listener.accept()
        except OSError as err:
            if err.errno in _NO_DESCRIPTORS:
                self._turn_away()
            return
        if address[0] not in self._clients:
            client.close()
            return
        try:
            family = socket.AF_INET6 if ":" in self._target[0] else socket.AF_INET
            upstream = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        except OSError:
            client.close()
            return
        client.setblocking(False)
        for sock in (client, upstream):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        failed = upstream.connect_ex(self._target)
        if failed and failed not in _CONNECTING:
            client.close()
            upstream.close()
            return
        self._join(Side(client, connecting=False), Side(upstream, connecting=bool(failed)))

    def _turn_away(self) -> None:
        """Out of descriptors: accept with the spare one and close, or the listener stays ready and we spin."""
        _spare.lend()
        try:
            self._listener.accept()[0].close()
        except OSError:
            pass
        _spare.reclaim()

    def _join(self, client: Side, upstream: Side) -> None:
        client.other, upstream.other = upstream, client
        for side in (client, upstream):
            self._sides.add(side)
            side.watched = self._wanted(side)
            self._loop.watch(side.sock.fileno(), side.watched, lambda events, side=side: self._ready(side, events))  # type: ignore[misc]

    def _wanted(self, side: Side) -> int:
        """Read only while the other side can take it, write only while there is something to send."""
        if side.connecting:
            return WRITE
        read = READ if not side.other.ended and not side.other.pending and not side.other.connecting else 0
        return read | (WRITE if side.pending else 0)

    def _ready(self, side: Side, events: int) -> None:
        try:
            if side.connecting:
                self._connected(side)
            if events & WRITE and side.pending:
                self._flush(side)
            if events & (READ | GONE) and self._wanted(side) & READ:
                self._read(side)
            elif events & GONE and not side.watched:
                self._gone(side)
        except OSError:
            self._cut(side)
            return
        if side.sent_end and side.other.sent_end:
            self._cut(side)
            return
        self._rewatch(side)
        self._rewatch(side.other)

    def _gone(self, side: Side) -> None:
        """A hang-up is reported for ever, asked for or not. Closed both ways: stop looking, the other side may still drain.

        Raises: ConnectionResetError when it was no orderly end.
        """
        if not (side.sent_end and side.other.ended):
            raise ConnectionResetError
        side.watched = _FORGOTTEN
        self._loop.forget(side.sock.fileno())

    def _connected(self, side: Side) -> None:
        failed = side.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed:
            raise OSError(failed, os.strerror(failed))
        side.connecting = False

    def _read(self, side: Side) -> None:
        try:
            chunk = side.sock.recv(_CHUNK)
        except BlockingIOError:
            return
        if chunk:
            side.other.pending = chunk
        else:
            side.other.ended = True
        self._flush(side.other)

    def _flush(self, side: Side) -> None:
        if side.pending:
            try:
                side.pending = side.pending[side.sock.send(side.pending) :]
            except BlockingIOError:
                return
        if side.ended and not side.pending and not side.sent_end:
            side.sent_end = True
            side.sock.shutdown(socket.SHUT_WR)

    def _rewatch(self, side: Side) -> None:
        wanted = self._wanted(side)
        if side.watched not in (wanted, _FORGOTTEN):
            side.watched = wanted
            self._loop.change(side.sock.fileno(), wanted)

    def _cut(self, side: Side) -> None:
        for each in (side, side.other):
            if each in self._sides:
                self._sides.discard(each)
                self._loop.forget(each.sock.fileno())
                each.sock.close()
