"""What the daemon and netd say to each other: one JSON object a packet of a SOCK_SEQPACKET unix socket.

A request has ``op`` and ``seq``; its answer has ``re`` = that seq and either ``ok`` or ``error {errno, index, message}``.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from berth.netd.dns.names import Member
from berth.netd.dns.service import Settings

VERSION = 4
OLDEST = 4
"""A daemon speaks to netds of these versions and all between; any other is ended and started anew."""

MAX_PACKET = 128 << 10
HOLDS_PER_PACKET = 400
FDS_PER_PACKET = (
    3  # of serve: the UDP socket, the TCP socket, the namespace; of keep one, the socket that owns the firewall's table
)


Place = tuple[str, str, int]
"""What must be unique: protocol, address, port."""


BOTH = "*"
"""The ``host_ip`` of a port on every address of both IP versions: one socket."""


class Hold(NamedTuple):
    """Host ports (``size`` in a row) that belong to an endpoint, and where they lead.

    What the kernel cannot translate is carried: between IP versions, and to ``::1``, which can't be routed to a bridge.
    """

    proto: str
    host_ip: str
    port: int
    endpoint: str
    target_ip: str
    target_port: int
    size: int = 1
    source: str = ""  # only for clients of this subnet: they are carried, others cut

    @property
    def place(self) -> Place:
        return self.proto, self.host_ip, self.port

    @property
    def carried(self) -> bool:
        """netd carries bytes here: those of IPv6 (the kernel takes what it can), those to a container without IPv4."""
        return bool(self.target_ip) and (self.host_ip == BOTH or ":" in self.host_ip or ":" in self.target_ip)


def hold_from(row: list[Any]) -> Hold:
    """A hold that came as a JSON array. Raises: ValueError, TypeError."""
    proto, host_ip, port, endpoint, target_ip, target_port, size, source = row
    return Hold(
        str(proto), str(host_ip), int(port), str(endpoint), str(target_ip), int(target_port), int(size), str(source)
    )


def member_from(row: list[Any]) -> Member:
    """A member that came as a JSON array. Raises: ValueError, TypeError."""
    endpoint, network, network_name, sandbox, ipv4, ipv6, names, links = row
    aliases = {str(alias): str(name) for alias, name in dict(links).items()}
    return Member(
        str(endpoint), str(network), str(network_name), str(sandbox), str(ipv4), str(ipv6),
        tuple(str(name) for name in names), aliases,
    )  # fmt: skip


def settings_from(row: list[Any]) -> Settings:
    """A container's resolver settings that came as a JSON array. Raises: ValueError, TypeError."""
    own, daemons, outside = row
    return Settings([str(a) for a in own], [str(a) for a in daemons], bool(outside))


def pack(message: dict[str, Any]) -> bytes:
    """A message as a packet."""
    return json.dumps(message, separators=(",", ":")).encode()


def unpack(packet: bytes) -> dict[str, Any]:
    """A packet as a message. Raises: ValueError when it is no JSON object."""
    message = json.loads(packet)
    if not isinstance(message, dict):
        raise ValueError("not a JSON object")
    return message
