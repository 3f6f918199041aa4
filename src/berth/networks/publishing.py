"""``Publisher``: host ports from wish to kernel. Ports are held by netd, led by the firewall's maps, remembered here.

    plan (host_ports.py) ── hold (netd: nobody else on this host has it) ── elements of the maps (firewall.py)

Everything runs on the networks' worker thread.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence

import msgspec

from berth.base.errors import ResourceExhausted
from berth.netd.protocol import BOTH, Hold
from berth.networks.firewall import Firewall
from berth.networks.host_ports import ANY_V4, ANY_V6, HostPorts, Wanted, ephemeral_range
from berth.networks.netd_link import HoldError, NetdLink
from berth.networks.records import Endpoint, Published

PORT_TRIES = 200


def holds_of(endpoint: Endpoint, ports: Iterable[Published] | None = None) -> list[Hold]:
    """What netd must hold for what the endpoint publishes; the target is of the same IP version where the container has one.

    A port of every address of both IP versions is one socket for both.
    """
    chosen = dict.fromkeys(endpoint.published if ports is None else ports)
    found = []
    for port in chosen:
        host_ip = port.host_ip
        if host_ip in (ANY_V4, ANY_V6) and not port.source:
            other = ANY_V6 if host_ip == ANY_V4 else ANY_V4
            if msgspec.structs.replace(port, host_ip=other) in chosen:
                if host_ip == ANY_V4:
                    continue
                host_ip = BOTH
        if port.host_port:
            target = _target(endpoint, host_ip)
            found.append(
                Hold(port.proto, host_ip, port.host_port, endpoint.id, target, port.container_port, port.count)
            )
    return found


def _target(endpoint: Endpoint, host_ip: str) -> str:
    first, second = (
        (endpoint.ipv6, endpoint.ipv4) if host_ip == BOTH or ":" in host_ip else (endpoint.ipv4, endpoint.ipv6)
    )
    return first or second


class Publisher:
    """Which host ports are whose. ``endpoint.published`` is the record: whoever publishes saves the endpoint after."""

    def __init__(self, netd: NetdLink, firewall: Firewall) -> None:
        self._netd = netd
        self._firewall = firewall
        self._ports = HostPorts(ephemeral_range())

    def adopt(self, endpoint: Endpoint) -> None:
        """The ports of a living endpoint are taken."""
        for port in endpoint.published:
            self._ports.add(endpoint.id, port)

    def publish(self, endpoint: Endpoint, wanted: Sequence[Wanted], routed: frozenset[int] = frozenset()) -> None:
        """All or nothing. Of IP versions that are ``routed`` no port of the host is taken: the container's own address is the
        published one. Raises: ResourceExhausted in Docker's words."""
        before = list(endpoint.published)
        try:
            for want in wanted:
                at_home = [ip for ip in want.host_ips if (6 if ":" in ip else 4) in routed]
                taken = tuple(ip for ip in want.host_ips if ip not in at_home)
                endpoint.published = [
                    *endpoint.published,
                    *(Published(want.proto, want.container_port, ip, 0, want.size) for ip in at_home),
                ]
                if taken:
                    self._one(endpoint, want._replace(host_ips=taken))
            self._firewall.publish(endpoint)
        except BaseException:
            self.withdraw(endpoint, [p for p in endpoint.published if p not in before])
            raise

    def _one(self, endpoint: Endpoint, want: Wanted) -> None:
        last: HoldError | None = None
        for tries, port in enumerate(self._ports.candidates(want)):
            if tries >= PORT_TRIES:
                break
            chosen = [
                Published(want.proto, want.container_port, ip, port, want.size, want.source) for ip in want.host_ips
            ]
            try:
                self._netd.hold(holds_of(endpoint, chosen))
            except HoldError as err:
                last = err
                if err.errno != errno.EADDRINUSE:
                    break
                continue
            for published in chosen:
                self._ports.add(endpoint.id, published)
            endpoint.published = [*endpoint.published, *chosen]
            return
        address = want.host_ips[0]
        if last is None:
            raise ResourceExhausted(f"Bind for {address}:{want.host} failed: port is already allocated")
        shown = f"[{address}]" if ":" in address else address
        raise ResourceExhausted(
            f"failed to bind host port for {shown}:{want.host}:{endpoint.ipv4}:{want.container_port}/{want.proto}: "
            f"{(last.strerror or '').lower()}", errno=last.errno,
        )  # fmt: skip

    def withdraw(self, endpoint: Endpoint, ports: Sequence[Published] | None = None) -> None:
        """Give these ports back (all of them for None); what is carried over them is cut."""
        gone = list(endpoint.published if ports is None else ports)
        endpoint.published = [p for p in endpoint.published if p not in gone]
        if gone:
            self._firewall.withdraw(msgspec.structs.replace(endpoint, published=gone))
            self._netd.release(holds_of(endpoint, gone))
            for port in gone:
                self._ports.remove(endpoint.id, port)
