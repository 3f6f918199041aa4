"""Carrying UDP: datagrams that came over IPv6 go on over IPv4, one connected socket a client, until it falls silent.

Answers leave from the very address the client spoke to (IPV6_PKTINFO): a host has many, and clients drop what comes from
another.
"""

from __future__ import annotations

import socket
import time

from berth.netd.clients import Clients
from berth.netd.loop import READ, Loop

_SILENCE_S = 90.0
_FLOWS_MAX = 1024
_DATAGRAM = 65535
_BATCH = 64  # datagrams of one socket before the others get their turn

_Client = tuple[str, int, int, int]


class Flow:
    """One client's way to the container. ``local`` is the ancillary data that makes answers leave from where it spoke to."""

    __slots__ = ("client", "last", "local", "sock")

    def __init__(self, client: _Client, local: bytes, sock: socket.socket) -> None:
        self.client = client
        self.local = local
        self.sock = sock
        self.last = time.monotonic()


class Carrier:
    """One bound socket and its clients."""

    def __init__(self, loop: Loop, bound: socket.socket, target: tuple[str, int], clients: Clients) -> None:
        self._loop = loop
        self._clients = clients
        self._bound = bound
        self._target = target
        self._flows: dict[tuple[_Client, bytes], Flow] = {}
        bound.setblocking(False)
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        loop.watch(bound.fileno(), READ, self._from_client)
        loop.ticks.append(self._sweep)

    def close(self) -> None:
        """Forget every client; the bound socket itself stays the holder's."""
        self._loop.ticks.remove(self._sweep)
        self._loop.forget(self._bound.fileno())
        for key in list(self._flows):
            self._end(key)

    def _from_client(self, _events: int) -> None:
        for _ in range(_BATCH):
            try:
                payload, ancillary, _flags, client = self._bound.recvmsg(_DATAGRAM, 64)
            except OSError:  # nothing left, or an ICMP error of an earlier answer
                return
            if client[0] not in self._clients:
                continue
            local = next((bytes(raw) for _level, kind, raw in ancillary if kind == socket.IPV6_PKTINFO), b"")
            flow = self._flows.get((client, local)) or self._begin(client, local)
            if flow is not None:
                flow.last = time.monotonic()
                try:
                    flow.sock.send(payload)
                except OSError:
                    pass  # as a network would: lost

    def _begin(self, client: _Client, local: bytes) -> Flow | None:
        if len(self._flows) >= _FLOWS_MAX:
            return None
        family = socket.AF_INET6 if ":" in self._target[0] else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            sock.connect(self._target)
        except OSError:
            sock.close()
            return None
        flow = self._flows[(client, local)] = Flow(client, local, sock)
        self._loop.watch(sock.fileno(), READ, lambda _events: self._from_container(flow))
        return flow

    def _from_container(self, flow: Flow) -> None:
        ancillary = [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, flow.local)] if flow.local else []
        for _ in range(_BATCH):
            try:
                payload = flow.sock.recv(_DATAGRAM)
            except BlockingIOError:
                return
            except OSError:
                continue  # port unreachable: nobody listens in the container (yet); reading it clears it
            flow.last = time.monotonic()
            try:
                self._bound.sendmsg([payload], ancillary, 0, flow.client)
            except OSError:
                pass

    def _sweep(self) -> None:
        before = time.monotonic() - _SILENCE_S
        for key in [key for key, flow in self._flows.items() if flow.last < before]:
            self._end(key)

    def _end(self, key: tuple[_Client, bytes]) -> None:
        flow = self._flows.pop(key)
        self._loop.forget(flow.sock.fileno())
        flow.sock.close()
