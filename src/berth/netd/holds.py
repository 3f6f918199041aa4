"""The held ports: a bound socket each (listening, for TCP: a bound one alone doesn't keep others out), some of them carried.

SCTP is not carried: who comes to its socket, by ``::1``, is refused.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable, Sequence

from berth.netd import tcp, udp
from berth.netd.clients import Clients
from berth.netd.loop import Loop
from berth.netd.protocol import BOTH, Hold, Place

_KINDS = {
    "tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    "udp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    "sctp": (socket.SOCK_STREAM, 132),
}
_NO_SUCH_PROTOCOL = (errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT)
_BACKLOG = 512


class HoldRefused(Exception):
    """A port could not be held: which of those asked for, and why."""

    def __init__(self, index: int, code: int, message: str) -> None:
        super().__init__(message)
        self.index = index
        self.errno = code


class _Held:
    __slots__ = ("carriers", "hold", "socks")

    def __init__(self, hold: Hold, socks: list[socket.socket]) -> None:
        self.hold = hold
        self.socks = socks
        self.carriers: list[tcp.Carrier | udp.Carrier] = []


class Holds:
    """Every held port, by place."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._held: dict[Place, _Held] = {}

    def __len__(self) -> int:
        return len(self._held)

    def list_(self) -> list[Hold]:
        return [held.hold for held in self._held.values()]

    def hold(self, holds: Sequence[Hold]) -> None:
        """Hold all of them, or none and raise HoldRefused. One that is held so already stays as it is."""
        made: list[_Held] = []
        try:
            for index, hold in enumerate(holds):
                held = self._one(index, hold)
                if held is not None:
                    made.append(held)
                    self._held[hold.place] = held
        except HoldRefused:
            for held in made:
                del self._held[held.hold.place]
                _close(held)
            raise
        for held in made:
            self._carry(held)

    def release(self, places: Iterable[Place]) -> int:
        """Give back these ports and cut what was carried over them; returns how many were held."""
        count = 0
        for place in places:
            held = self._held.pop(place, None)
            if held is not None:
                _close(held)
                count += 1
        return count

    def _one(self, index: int, hold: Hold) -> _Held | None:
        there = self._held.get(hold.place)
        if there is not None:
            if there.hold == hold:
                return None
            raise HoldRefused(index, errno.EADDRINUSE, "held for another endpoint")
        socks: list[socket.socket] = []
        try:
            for number in range(hold.size):
                socks.append(_bind(hold, hold.port + number))
        except OSError as err:
            for sock in socks:
                sock.close()
            raise HoldRefused(index, err.errno or errno.EIO, str(err.strerror or err)) from err
        return _Held(hold, socks)

    def _carry(self, held: _Held) -> None:
        hold = held.hold
        if not hold.carried or (hold.proto == "udp" and not _over_ipv6(hold)):
            return
        for number, sock in enumerate(held.socks):
            target = (hold.target_ip, hold.target_port + number)
            if hold.proto == "tcp":
                held.carriers.append(tcp.Carrier(self._loop, sock, target, Clients(hold.source)))
            elif hold.proto == "udp":
                held.carriers.append(udp.Carrier(self._loop, sock, target, Clients(hold.source)))


def _over_ipv6(hold: Hold) -> bool:
    """UDP is carried from IPv6 sockets alone: answers need the address that the client spoke to."""
    return hold.host_ip == BOTH or ":" in hold.host_ip


def _bind(hold: Hold, port: int) -> socket.socket:
    """The socket that keeps others out. Raises: OSError (EPROTONOSUPPORT: this kernel does not speak the protocol)."""
    both = hold.host_ip == BOTH
    family = socket.AF_INET6 if both or ":" in hold.host_ip else socket.AF_INET
    kind, number = _KINDS[hold.proto]
    try:
        sock = socket.socket(family, kind | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, number)
    except OSError as err:
        if err.errno in _NO_SUCH_PROTOCOL:
            raise OSError(errno.EPROTONOSUPPORT, os.strerror(errno.EPROTONOSUPPORT)) from err
        raise
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(not both))
        if hold.proto == "tcp":  # a connection carried before may linger in TIME_WAIT
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("::" if both else hold.host_ip, port))
        if hold.proto == "tcp":
            sock.listen(_BACKLOG if hold.carried else 1)
    except OSError:
        sock.close()
        raise
    return sock


def _close(held: _Held) -> None:
    for carrier in held.carriers:
        carrier.close()
    for sock in held.socks:
        sock.close()
