"""``Publisher``: host ports from wish to kernel. Ports are held by netd, led by the firewall's maps, remembered here.

    plan (host_ports.py) ── hold (netd: nobody else on this host has it) ── elements of the maps (firewall.py)

Everything runs on the networks' worker thread.
"""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Iterable, Sequence

import msgspec

from berth.base.errors import ResourceExhausted, Unsupported
from berth.kernel.netlink.conntrack import forget_udp
from berth.netd.protocol import BOTH, Hold
from berth.networks.firewall import Firewall
from berth.networks.host_ports import ANY_V4, ANY_V6, HostPorts, Wanted, ephemeral_range
from berth.networks.netd_link import HoldError, NetdLink
from berth.networks.records import Endpoint, Published

log = logging.getLogger(__name__)

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
                Hold(
                    port.proto,
                    host_ip,
                    port.host_port,
                    endpoint.id,
                    target,
                    port.container_port,
                    port.count,
                    port.source,
                )
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
        self.change(endpoint, endpoint, endpoint.published, wanted, routed)

    def change(
        self, holder: Endpoint, endpoint: Endpoint, keep: Sequence[Published], wanted: Sequence[Wanted],
        routed: frozenset[int] = frozenset(),
    ) -> None:  # fmt: skip
        """From what ``holder`` publishes to ``keep`` and ``wanted`` at ``endpoint``: the same one, or another of the container.

        All or nothing; what stays does not notice. Raises: ResourceExhausted in Docker's words.
        """
        both = [holder] if holder is endpoint else [holder, endpoint]
        before = [msgspec.structs.replace(each) for each in both]
        try:
            if holder is not endpoint:
                self._set(holder, [])
            self._set(endpoint, keep)
            for want in wanted:
                self._take(endpoint, want, routed)
            self._firewall.change(before, both)
            _forget_flows(before, both)
        except BaseException:
            for each, was in reversed(list(zip(both, before, strict=True))):
                self._set(each, was.published)
            raise

    def _take(self, endpoint: Endpoint, want: Wanted, routed: frozenset[int]) -> None:
        at_home = [ip for ip in want.host_ips if (6 if ":" in ip else 4) in routed]
        taken = tuple(ip for ip in want.host_ips if ip not in at_home)
        own = [Published(want.proto, want.container_port, ip, 0, want.size) for ip in at_home]
        endpoint.published = [*endpoint.published, *own]
        if taken:
            self._one(endpoint, want._replace(host_ips=taken))

    def _set(self, endpoint: Endpoint, ports: Sequence[Published]) -> None:
        """Hold these and no others, by netd and in memory; what stays held is not touched."""
        gone = [p for p in endpoint.published if p not in ports]
        fresh = [p for p in ports if p not in endpoint.published]
        if not gone and not fresh:
            return
        self._hold(endpoint, ports)
        for port in gone:
            self._ports.remove(endpoint.id, port)
        for port in fresh:
            self._ports.add(endpoint.id, port)
        endpoint.published = list(ports)

    def _hold(self, endpoint: Endpoint, ports: Sequence[Published]) -> None:
        """netd holds these from now on, or what it held before. Raises: HoldError."""
        before, after = holds_of(endpoint), holds_of(endpoint, ports)
        gone = [hold for hold in before if hold not in after]
        if gone:
            self._netd.release(gone)
        try:
            fresh = [hold for hold in after if hold not in before]
            if fresh:
                self._netd.hold(fresh)
        except HoldError:
            if gone:
                self._netd.hold(gone)
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
                self._set(endpoint, [*endpoint.published, *chosen])
            except HoldError as err:
                last = err
                if err.errno == errno.EPROTONOSUPPORT:
                    raise Unsupported(
                        f"this kernel has no {want.proto.upper()} (protocol not supported: no module {want.proto}): "
                        f"port {want.container_port}/{want.proto} cannot be published"
                    ) from err
                if err.errno != errno.EADDRINUSE:
                    break
                continue
            return
        address = want.host_ips[0]
        if last is None:
            raise ResourceExhausted(f"Bind for {address}:{want.host} failed: port is already allocated")
        shown = f"[{address}]" if ":" in address else address
        raise ResourceExhausted(
            f"failed to bind host port for {shown}:{want.host}:{endpoint.ipv4}:{want.container_port}/{want.proto}: "
            f"{(last.strerror or '').lower()}", errno=last.errno,
        )  # fmt: skip

    def withdraw(self, endpoint: Endpoint) -> None:
        """Give all its ports back; what is carried over them is cut."""
        if endpoint.published:
            before = msgspec.structs.replace(endpoint)
            after = [msgspec.structs.replace(endpoint, published=[])]
            self._firewall.change([before], after)
            _forget_flows([before], after)
            self._set(endpoint, [])


def _forget_flows(before: Sequence[Endpoint], after: Sequence[Endpoint]) -> None:
    """UDP clients that keep sending come by the new rules at once, not after their silence."""
    old = {(e.id, p) for e in before for p in e.published if p.proto == "udp"}
    new = {(e.id, p) for e in after for p in e.published if p.proto == "udp"}
    for family, colon in ((socket.AF_INET, False), (socket.AF_INET6, True)):
        changed = [p for _ident, p in old ^ new if (":" in p.host_ip) == colon]
        if changed:
            try:
                forget_udp([range(p.host_port, p.host_port + p.count) for p in changed], family)
            except OSError as err:
                log.warning("tracked flows to published ports could not be forgotten: %s", err)
