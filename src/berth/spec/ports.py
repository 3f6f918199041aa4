"""Ports as users and the API write them: ``80/tcp``, ``8000-8010``, ``127.0.0.1:8080:80/udp``. Pure.

Spec: Engine API v1.51 PortMap and PortBinding; the CLI's ``--publish`` and ``--expose``.
"""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

from berth.base.errors import InvalidArgument

PROTOCOLS = ("tcp", "udp", "sctp")


class PortRange(NamedTuple):
    """``first`` to ``last``, both included; 0 to 0 means "any"."""

    first: int
    last: int

    @property
    def size(self) -> int:
        return self.last - self.first + 1

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


ANY_PORT = PortRange(0, 0)


class Publication(NamedTuple):
    """One ``--publish`` of one container port. ``host_ip`` "" is every address, ``host`` ANY_PORT a port of the engine's."""

    container_port: int
    proto: str
    host_ip: str
    host: PortRange
    source: str = ""  # only clients of this subnet

    @property
    def key(self) -> str:
        """The key in a PortMap: ``80/tcp``."""
        return f"{self.container_port}/{self.proto}"


def parse_range(text: str) -> PortRange:
    """``80`` or ``80-90``. Raises: ValueError, whose text says nothing (the caller knows the sentence)."""
    first, dash, last = text.partition("-")
    if not first.isascii() or not first.isdigit() or (dash and not (last.isascii() and last.isdigit())):
        raise ValueError(text)
    found = PortRange(int(first), int(last) if dash else int(first))
    if not 0 <= found.first <= found.last <= 65535:
        raise ValueError(text)
    return found


def parse_port(text: str) -> tuple[PortRange, str]:
    """``80``, ``80/udp`` or ``80-90/tcp``: a PortMap key, an exposed port. Raises: InvalidArgument."""
    port, slash, proto = text.partition("/")
    proto = proto.lower() if slash else "tcp"
    if proto not in PROTOCOLS:
        raise InvalidArgument(f'invalid port specification: "{text}"' if not proto else f"invalid proto: {proto}")
    try:
        found = parse_range(port)
    except ValueError:
        raise InvalidArgument(f'invalid port specification: "{text}"') from None
    return found, proto


def parse_host_port(text: str) -> PortRange:
    """``HostPort`` of a PortBinding: "" and "0" are ANY_PORT. Raises: InvalidArgument."""
    try:
        return parse_range(text) if text else ANY_PORT
    except ValueError:
        raise InvalidArgument(f"invalid port specification: {text}") from None


def parse_host_ip(text: str) -> str:
    """``HostIp`` in its shortest form; "" stays. Brackets around IPv6 are taken off. Raises: InvalidArgument."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if not bare:
        return ""
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        raise InvalidArgument(f"invalid IP address: {text}") from None


def parse_source(text: str) -> str:
    """A subnet of clients, ``from=10.0.0.0/8``; "" stays. Raises: InvalidArgument."""
    if not text:
        return ""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as err:
        raise InvalidArgument(f"invalid subnet of clients {text!r}: {err}") from None


def parse_publish(text: str) -> list[Publication]:
    """``[[host ip:][host port]:]container port[/proto][,from=subnet]``, ranges on either side. Raises: InvalidArgument."""
    if "," in text:
        text, _, extra = text.partition(",")
        key, eq, value = extra.partition("=")
        if key != "from" or not eq or not value:
            raise InvalidArgument(f"invalid publish option {extra!r}: write from=SUBNET")
        source = parse_source(value)
        return [found._replace(source=source) for found in parse_publish(text)]
    spec, slash, proto = text.rpartition("/") if "/" in text else (text, "", "tcp")
    proto = proto.lower()
    if slash and proto not in PROTOCOLS:
        raise InvalidArgument(f"invalid proto: {proto}")
    host_ip, host, container = _split(spec)
    if not container:
        raise InvalidArgument(f"no port specified: {text}<empty>")
    address = parse_host_ip(host_ip)
    try:
        inside = parse_range(container)
    except ValueError:
        raise InvalidArgument(f"invalid containerPort: {container}") from None
    try:
        outside = parse_range(host) if host else ANY_PORT
    except ValueError:
        raise InvalidArgument(f"invalid hostPort: {host}") from None
    return _pair(inside, outside, proto, address, container, host)


def _split(spec: str) -> tuple[str, str, str]:
    """Host address, host port, container port; an IPv6 address stands in brackets."""
    if spec.startswith("["):
        address, _, rest = spec.partition("]")
        host, _, container = rest.removeprefix(":").rpartition(":")
        return f"{address}]", host, container
    words = spec.split(":")
    container = words.pop()
    host = words.pop() if words else ""
    return ":".join(words), host, container


def _pair(
    inside: PortRange, outside: PortRange, proto: str, address: str, container: str, host: str
) -> list[Publication]:
    """A range for a range pairs off; a range for one container port is a choice for the engine."""
    if outside == ANY_PORT:
        return [Publication(p, proto, address, ANY_PORT) for p in range(inside.first, inside.last + 1)]
    if inside.size == 1:
        return [Publication(inside.first, proto, address, outside)]
    if inside.size != outside.size:
        raise InvalidArgument(f"invalid ranges specified for container and host Ports: {container} and {host}")
    return [
        Publication(inside.first + n, proto, address, PortRange(outside.first + n, outside.first + n))
        for n in range(inside.size)
    ]
