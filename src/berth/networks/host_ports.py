"""Which host port is whose: what this engine gave away, in memory. Other programs' ports are netd's to find out.

``plan_publish`` is pure: from the API's bindings to what is asked of the host; ``in_order`` is how it is tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from berth.base.errors import InvalidArgument, ResourceExhausted
from berth.kernel.netlink.netns import read_sysctl
from berth.networks.records import Published
from berth.spec.api.containers import PortBinding
from berth.spec.ports import ANY_PORT, PortRange, parse_host_ip, parse_host_port, parse_port, parse_source

ANY_V4, ANY_V6 = "0.0.0.0", "::"
_EPHEMERAL = PortRange(32768, 60999)  # Linux's own default, and Docker's


class Wanted(NamedTuple):
    """One container port to publish: on all of ``host_ips``, the same host port, out of ``host``.

    ``size`` above 1: that many in a row, each at its own number on the host. ``source``: for clients of this subnet only.
    """

    proto: str
    container_port: int
    host_ips: tuple[str, ...]
    host: PortRange
    size: int = 1
    source: str = ""


def plan_publish(
    bindings: Mapping[str, Sequence[PortBinding] | None] | None,
    exposed: Iterable[str],
    publish_all: bool,
    *,
    default_ip: str = "",
    ipv6: bool = True,
) -> list[Wanted]:
    """What to publish, port by port (``in_order`` makes runs of them). Raises: InvalidArgument."""
    wanted: list[Wanted] = []
    bound: set[tuple[int, str]] = set()
    for key, entries in (bindings or {}).items():
        ports, proto = parse_port(key)
        for port in range(ports.first, ports.last + 1):
            bound.add((port, proto))
            wanted += [_one(port, proto, entry, default_ip, ipv6) for entry in entries or ()]
    if publish_all:
        for port, proto in exposed_ports(exposed):
            if (port, proto) not in bound:
                wanted.append(Wanted(proto, port, _addresses("", default_ip, ipv6), ANY_PORT))
    return wanted


def in_order(wanted: Sequence[Wanted]) -> list[Wanted]:
    """In the order in which they are tried, ports in a row as one: single ports, then ranges, then those where any will do."""
    return sorted(merge_runs(wanted), key=lambda w: 2 if w.host == ANY_PORT else w.host.size > 1)


def merge_runs(wanted: Sequence[Wanted]) -> list[Wanted]:
    """Ports in a row that keep their numbers become one: ``-p 20000-29999:20000-29999`` is ten thousand bindings of the API."""

    def keeps(w: Wanted) -> bool:
        return w.host.size == 1 and w.host.first == w.container_port

    merged = [w for w in wanted if not keeps(w)]
    run: Wanted | None = None
    for w in sorted(filter(keeps, wanted), key=lambda w: (w.proto, w.host_ips, w.source, w.container_port)):
        same = run is not None and run[0] == w.proto and run.host_ips == w.host_ips and run.source == w.source
        if run is not None and same and run.container_port + run.size == w.container_port:
            run = run._replace(size=run.size + 1)
            merged[-1] = run
        else:
            run = w
            merged.append(w)
    return merged


def exposed_ports(exposed: Iterable[str]) -> list[tuple[int, str]]:
    """``ExposedPorts`` as numbers, ranges opened up. Raises: InvalidArgument."""
    found = []
    for key in exposed:
        ports, proto = parse_port(key)
        found += [(port, proto) for port in range(ports.first, ports.last + 1)]
    return found


def _one(port: int, proto: str, entry: Mapping[str, Any], default_ip: str, ipv6: bool) -> Wanted:
    if not 0 < port <= 65535:
        raise InvalidArgument(f'invalid port specification: "{port}/{proto}"')
    source = parse_source(str(entry.get("From") or ""))
    addresses = _addresses(parse_host_ip(str(entry.get("HostIp") or "")), default_ip, ipv6)
    if source:  # an IPv4 client comes to an IPv4 address
        addresses = tuple(a for a in addresses if (":" in a) == (":" in source))
    if not addresses:
        raise InvalidArgument(f"port {port}/{proto}: no client of {source} can come to {entry.get('HostIp')}")
    return Wanted(proto, port, addresses, parse_host_port(str(entry.get("HostPort") or "")), source=source)


def _addresses(host_ip: str, default_ip: str, ipv6: bool) -> tuple[str, ...]:
    host_ip = host_ip or default_ip
    if host_ip:
        return (host_ip,)
    return (ANY_V4, ANY_V6) if ipv6 else (ANY_V4,)


def ephemeral_range() -> PortRange:
    """``net.ipv4.ip_local_port_range``: where ports come from that nobody chose."""
    try:
        first, last = read_sysctl(("ipv4", "ip_local_port_range")).split()
        return PortRange(int(first), int(last))
    except (OSError, ValueError):
        return _EPHEMERAL


class HostPorts:
    """Who has what, by protocol and port. A wildcard address overlaps with every address of its family."""

    def __init__(self, ephemeral: PortRange) -> None:
        self._ephemeral = ephemeral
        self._next = ephemeral.first
        self._owners: dict[tuple[str, int], dict[str, str]] = {}
        self._runs: list[tuple[str, Published]] = []  # owner, many ports in a row

    def candidates(self, wanted: Wanted) -> Iterator[int]:
        """The host ports to try, in order; those of others left out. Raises: ResourceExhausted for one taken port."""
        if wanted.size > 1:
            for port in range(wanted.host.first, wanted.host.first + wanted.size):
                taken = self.taken(wanted.proto, wanted.host_ips, port)
                if taken:
                    raise ResourceExhausted(f"Bind for {taken}:{port} failed: port is already allocated")
            yield wanted.host.first
            return
        if wanted.host == ANY_PORT:
            yield from self._any(wanted)
            return
        for port in range(wanted.host.first, wanted.host.last + 1):
            taken = self.taken(wanted.proto, wanted.host_ips, port)
            if not taken:
                yield port
            elif wanted.host.size == 1:
                raise ResourceExhausted(f"Bind for {taken}:{port} failed: port is already allocated")

    def _any(self, wanted: Wanted) -> Iterator[int]:
        """From where the last one was found, once around."""
        first, last = self._ephemeral
        for _ in range(self._ephemeral.size):
            port = self._next if first <= self._next <= last else first
            self._next = port + 1
            if not self.taken(wanted.proto, wanted.host_ips, port):
                yield port

    def taken(self, proto: str, host_ips: Iterable[str], port: int) -> str:
        """The first of the addresses whose port is somebody's; "" when all are free."""
        owners = self._owners.get((proto, port))
        if owners:
            for host_ip in host_ips:
                if any(_overlap(host_ip, other) for other in owners):
                    return host_ip
        for _owner, run in self._runs:
            if run.proto == proto and run.host_port <= port < run.host_port + run.count:
                for host_ip in host_ips:
                    if _overlap(host_ip, run.host_ip):
                        return host_ip
        return ""

    def add(self, owner: str, port: Published) -> None:
        if not port.host_port:
            return  # at the container's own address
        if port.count > 1:
            self._runs.append((owner, port))
            return
        self._owners.setdefault((port.proto, port.host_port), {})[port.host_ip] = owner

    def remove(self, owner: str, port: Published) -> None:
        """Give one back; nothing when it is somebody else's."""
        if (owner, port) in self._runs:
            self._runs.remove((owner, port))
        key = (port.proto, port.host_port)
        owners = self._owners.get(key, {})
        if owners.get(port.host_ip) == owner:
            del owners[port.host_ip]
            if not owners:
                del self._owners[key]


def _overlap(a: str, b: str) -> bool:
    if (":" in a) != (":" in b):
        return False
    return a == b or a in (ANY_V4, ANY_V6) or b in (ANY_V4, ANY_V6)
