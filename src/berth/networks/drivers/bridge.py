"""bridge: one Linux bridge a network, one veth pair an endpoint.

    container eth0 ══ bv<instance><random> ── br-<network id> (the gateway's addresses) ── routing, nftables ── the world

The link's alias ``berth:<instance>`` says whose it is: another engine's bridge, or a user's, is never changed or removed.

Gateway modes (``com.docker.network.bridge.gateway_mode_ipv4``, ``_ipv6``): ``nat`` masquerades and translates published ports;
``nat-unprotected`` does too, and lets everything through to the containers; ``routed`` translates nothing and lets through what
is published, at the container's own address; ``isolated`` (internal networks) gives the bridge no address at all.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Network, ip_address

from berth.base.errors import Forbidden, InvalidArgument, NotFound, from_oserror
from berth.kernel.netlink import inet, link
from berth.kernel.netlink.netns import read_sysctl, write_sysctl
from berth.kernel.netlink.sock import Netlink, NetlinkError
from berth.networks.mac import mac_for
from berth.networks.records import Endpoint, NetworkRecord, Subnet
from berth.networks.request import NetworkRequest
from berth.networks.sandbox import Sandbox

log = logging.getLogger(__name__)

PREFIX = "com.docker.network.bridge."
MTU_OPTION = "com.docker.network.driver.mtu"
GATEWAY_MODES = ("nat", "nat-unprotected", "routed", "isolated")
_NAME_MAX = 15
_NO_BRIDGE = (errno.ENODEV, errno.EINVAL)
"""What a link's creation says of a master that is gone: EINVAL."""


def alias_of(instance_id: str) -> str:
    """What marks a link as this engine's."""
    return f"berth:{instance_id}"


class BridgeDriver:
    """Behind the contract of ``contract.Driver``. A bridge's index is remembered until it proves wrong."""

    name = "bridge"
    scope = "local"
    publishes = True
    addressed = True
    keeps = False

    def __init__(self, nl: Netlink, instance_id: str) -> None:
        self._nl = nl
        self._instance_id = instance_id
        self._index: dict[str, int] = {}

    # --- networks

    def plan(self, asked: NetworkRequest, network: NetworkRecord, others: Sequence[NetworkRecord]) -> None:
        for option, value in asked.options.items():
            read = _OPTIONS.get(option)
            if read is not None:
                read(network, value)
        network.link = asked.options.get(f"{PREFIX}name") or f"br-{network.id[:12]}"
        if len(network.link) > _NAME_MAX or "/" in network.link or network.link in (".", ".."):
            raise InvalidArgument(
                f"invalid bridge name {network.link!r}: a link's name has at most {_NAME_MAX} characters"
            )
        for other in others:
            if other.driver == self.name and other.link == network.link:
                raise Forbidden(f"cannot create network {network.id} ({network.link}): conflicts with network {other.id} "
                                f"({other.link}): networks have same bridge name")  # fmt: skip
        if "isolated" in (network.gateway_mode, network.gateway_mode6) and not network.internal:
            raise InvalidArgument("gateway mode 'isolated' can only be used for an internal network")
        found = link.find_link(self._nl, network.link)
        network.ours = found is None or found.alias == alias_of(self._instance_id)
        if found is not None and found.kind != "bridge":
            raise InvalidArgument(f"invalid bridge name: {network.link} is a link of this host, but not a bridge")

    def ensure(self, network: NetworkRecord) -> None:
        """The link with its addresses and sysctls; one that is right is left as it is."""
        found = link.find_link(self._nl, network.link)
        try:
            if found is None:
                link.add_bridge(self._nl, network.link, mac=mac_for(self._instance_id, network.link), mtu=network.mtu)
                found = link.get_link(self._nl, network.link)
                self._nl.ask(link.set_link(found.ifindex, alias=alias_of(self._instance_id)))
                network.ours = True
            if not found.up:
                self._nl.ask(link.set_link(found.ifindex, up=True))
            if network.ipv6:
                _speak_ipv6(network.link)
            for subnet, mode in ((network.v4, network.gateway_mode), (network.v6, network.gateway_mode6)):
                if subnet is not None and subnet.gateway and mode != "isolated":
                    self._give_address(found.ifindex, subnet)
            if network.ipv4:  # 127.0.0.1:PORT; the raw chain guards it
                write_sysctl(("ipv4", "conf", network.link, "route_localnet"), "1")
        except OSError as err:
            raise from_oserror(err, f"make the bridge {network.link}") from err

    def _give_address(self, index: int, subnet: Subnet) -> None:
        family = inet.AF_INET6 if subnet.is_ipv6 else inet.AF_INET
        wanted = ip_address(subnet.gateway)
        have = [a for a in inet.list_addresses(self._nl, family) if a.ifindex == index]
        if not any(ip_address(a.address) == wanted for a in have):
            broadcast = "" if subnet.is_ipv6 else str(IPv4Network(subnet.subnet).broadcast_address)
            self._nl.ask(inet.add_address(index, subnet.gateway, subnet.prefix_len, broadcast=broadcast))

    def remove(self, network: NetworkRecord) -> None:
        """The link, if it is ours."""
        self._index.pop(network.link, None)
        found = link.find_link(self._nl, network.link)
        if found is not None and found.alias == alias_of(self._instance_id):
            link.delete_link(self._nl, network.link)

    # --- endpoints

    def join(self, network: NetworkRecord, endpoint: Endpoint) -> None:
        endpoint.host_link = f"{self._link_prefix}{os.urandom(4).hex()}"
        endpoint.mtu = network.mtu

    def attach(self, network: NetworkRecord, endpoint: Endpoint, netns_fd: int) -> None:
        try:
            self._add_pair(endpoint, network.link, netns_fd)
            if not network.icc:
                self._isolate(link.get_link(self._nl, endpoint.host_link).ifindex)
        except OSError as err:
            raise from_oserror(err, f"attach container {endpoint.container_name} to bridge {network.link}") from err

    def _isolate(self, port: int) -> None:
        self._nl.ask(link.set_bridge_port(port, isolated=True))

    def mend(self, network: NetworkRecord, endpoint: Endpoint) -> bool:
        """Back to the bridge, which somebody may have made anew."""
        try:
            port = link.find_link(self._nl, endpoint.host_link)
            bridge = link.find_link(self._nl, network.link)
            if port is None or bridge is None:
                return port is not None
            if port.master != bridge.ifindex or not port.up:
                self._nl.ask(link.set_link(port.ifindex, master=bridge.ifindex, up=True))
                if not network.icc:
                    self._isolate(port.ifindex)
                if endpoint.published:
                    self.expose(network, endpoint)
            return True
        except OSError as err:
            raise from_oserror(err, f"mend the link of container {endpoint.container_name}") from err

    def expose(self, network: NetworkRecord, endpoint: Endpoint) -> None:
        """Where br_netfilter is loaded, the bridge itself translates the container's way to its own published port: the frame
        must then go out by the port it came in by."""
        if self._bridges_filter() and endpoint.host_link:
            port = link.get_link(self._nl, endpoint.host_link).ifindex
            self._nl.ask(link.set_bridge_port(port, hairpin=True))

    @staticmethod
    def _bridges_filter() -> bool:
        try:
            return "1" in (read_sysctl(("bridge", f"bridge-nf-call-{name}")) for name in ("iptables", "ip6tables"))
        except OSError:
            return False

    def detach(self, network: NetworkRecord, endpoint: Endpoint, inside: Sandbox) -> None:
        link.delete_link(self._nl, endpoint.host_link)

    def leave(self, network: NetworkRecord, endpoint: Endpoint) -> None:
        return

    def sweep(self, live: Iterable[Endpoint]) -> None:
        """Veths on the host whose container is gone (it was killed while it was attached)."""
        known = {e.host_link for e in live}
        for found in link.list_links(self._nl):
            if found.kind == "veth" and found.name.startswith(self._link_prefix) and found.name not in known:
                link.delete_link(self._nl, found.name)

    @property
    def _link_prefix(self) -> str:
        """Names of the host's ends of veths begin so: they tell whose they are."""
        return f"bv{self._instance_id[:5]}"

    def _add_pair(self, endpoint: Endpoint, bridge: str, netns_fd: int) -> None:
        for again in (False, True):
            index = self._index.get(bridge)
            if index is None:
                found = link.find_link(self._nl, bridge)
                if found is None:
                    raise NotFound(f"the bridge {bridge} is gone", op="attach", path=bridge)
                index = self._index[bridge] = found.ifindex
            pair = link.Veth(endpoint.host_link, index, endpoint.mtu, endpoint.ifname, endpoint.mac, netns_fd)
            try:
                link.add_veth(self._nl, pair)
                link.leave_without_ipv6(self._nl, name=endpoint.host_link)  # a port of a bridge needs no address
                return
            except NetlinkError as err:
                if err.errno not in _NO_BRIDGE or again:
                    raise
                del self._index[bridge]  # somebody made the bridge anew


def _speak_ipv6(name: str) -> None:
    """The bridge is a router of its own: it has IPv6, takes no advice from others, and needn't ask whether its addresses are
    free (without its link-local one it cannot find its neighbours for two seconds)."""
    for key, value in (("disable_ipv6", "0"), ("accept_ra", "0"), ("accept_dad", "0")):
        write_sysctl(("ipv6", "conf", name, key), value)


def _boolean(option: str, value: str) -> bool:
    if value.lower() in ("1", "t", "true"):
        return True
    if value.lower() in ("0", "f", "false"):
        return False
    raise InvalidArgument(f'invalid value for option "{option}": strconv.ParseBool: parsing "{value}": invalid syntax')


def _read_mtu(network: NetworkRecord, value: str) -> None:
    if not value.isdecimal() or len(value) > 9 or not 68 <= int(value) <= 65535:
        raise InvalidArgument(f'invalid value for option "{MTU_OPTION}": {value}: it must be a number from 68 to 65535')
    network.mtu = int(value)


def _read_icc(network: NetworkRecord, value: str) -> None:
    network.icc = _boolean(f"{PREFIX}enable_icc", value)


def _read_masquerade(network: NetworkRecord, value: str) -> None:
    network.masquerade = _boolean(f"{PREFIX}enable_ip_masquerade", value)


def _read_binding(network: NetworkRecord, value: str) -> None:
    try:
        network.host_binding = str(ip_address(value)) if value else ""
    except ValueError:
        raise InvalidArgument(
            f'invalid value for option "{PREFIX}host_binding_ipv4": invalid IP address: {value}'
        ) from None


def _mode(option: str, value: str) -> str:
    if value not in GATEWAY_MODES:
        raise InvalidArgument(f'invalid value for option "{option}": unknown gateway mode {value}')
    return value


def _read_mode(network: NetworkRecord, value: str) -> None:
    network.gateway_mode = _mode(f"{PREFIX}gateway_mode_ipv4", value)


def _read_mode6(network: NetworkRecord, value: str) -> None:
    network.gateway_mode6 = _mode(f"{PREFIX}gateway_mode_ipv6", value)


_OPTIONS: dict[str, Callable[[NetworkRecord, str], None]] = {
    MTU_OPTION: _read_mtu,
    f"{PREFIX}enable_icc": _read_icc,
    f"{PREFIX}enable_ip_masquerade": _read_masquerade,
    f"{PREFIX}host_binding_ipv4": _read_binding,
    f"{PREFIX}gateway_mode_ipv4": _read_mode,
    f"{PREFIX}gateway_mode_ipv6": _read_mode6,
}
