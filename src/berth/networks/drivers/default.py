"""The default bridge: which link and subnet it has. ``docker0`` with 172.17.0.0/16 where both are free, else others."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network, ip_address, ip_network

from berth.base.errors import Conflict, InvalidArgument
from berth.kernel.netlink import inet, link
from berth.kernel.netlink.sock import Netlink
from berth.networks.drivers.bridge import alias_of
from berth.networks.ipam.leases import AnyNetwork
from berth.networks.ipam.pools import free_subnet, ula_pool
from berth.networks.options import NetworkOptions
from berth.networks.records import NetworkRecord, Subnet, default_gateway_name

PREFERRED = "docker0"


def choose(nl: Netlink, instance_id: str, options: NetworkOptions, known: NetworkRecord | None,
           others: Iterable[AnyNetwork] = ()) -> NetworkRecord:  # fmt: skip
    """What the default bridge shall be: link, subnet, gateway. Nothing is made. ``others``: subnets of this engine's.

    Raises: InvalidArgument (--bip, --default-gateway), Conflict (--bip overlaps, the gateway is the bridge's address),
    ResourceExhausted (no free pool).
    """
    links = {found.name: found for found in link.list_links(nl)}
    ours = alias_of(instance_id)
    name = options.bridge
    if not name:
        name = known.link if known is not None and known.link else _free_name(links, ours)
        if name in links and links[name].alias != ours:
            name = _free_name(links, ours)
    existing = links.get(name)
    mine = existing is None or existing.alias == ours
    before = known.v4 if known is not None and known.link == name else None
    if options.bip:
        gateway = _parse_bip(options.bip)
    elif existing is not None and not mine:
        gateway = _address_of(inet.list_addresses(nl), existing.ifindex, name)
    elif before is not None:
        gateway = IPv4Interface(f"{before.gateway}/{before.prefix_len}")
    else:
        used = [*host_networks(nl, existing.ifindex if existing is not None else 0), *others]
        subnet = free_subnet(options.pools, used)
        gateway = IPv4Interface(f"{subnet.network_address + 1}/{subnet.prefixlen}")
    if existing is None:
        _check_overlap(nl, gateway, name)
    subnets = [Subnet(str(gateway.network), str(gateway.ip), options.fixed_cidr)]
    if options.ipv6:
        before6 = known.v6 if known is not None and known.link == name else None
        index = existing.ifindex if existing is not None else 0
        subnets.append(_subnet6(nl, instance_id, options, before6, index, mine=mine, others=others))
    for each in subnets:
        _give_way_out(each, options.default_gateway_v6 if each.is_ipv6 else options.default_gateway)
    return NetworkRecord(
        id="", name="bridge", driver="bridge", created_ns=0, link=name, mtu=options.mtu, icc=options.icc,
        subnets=subnets, ipv6=options.ipv6, masquerade=options.ip_masq, ours=mine, host_binding=options.default_ip,
    )  # fmt: skip


def _subnet6(nl: Netlink, instance_id: str, options: NetworkOptions, before: Subnet | None, index: int, *, mine: bool,
             others: Iterable[AnyNetwork]) -> Subnet:  # fmt: skip
    """The bridge's IPv6 subnet: --bip6, --fixed-cidr-v6, what a user's own bridge has, what it was, a free one.

    Raises: InvalidArgument, ResourceExhausted.
    """
    fixed = _parse_cidr6(options.fixed_cidr_v6)
    if options.bip6:
        gateway = _parse_bip6(options.bip6)
        if fixed is not None and not fixed.subnet_of(gateway.network):
            raise InvalidArgument(f"--fixed-cidr-v6 {fixed} is no part of --bip6 {options.bip6}")
        return Subnet(str(gateway.network), str(gateway.ip), options.fixed_cidr_v6)
    if fixed is not None:
        return Subnet(str(fixed), str(fixed.network_address + 1))
    if not mine:
        own = [a for a in inet.list_addresses(nl, inet.AF_INET6) if a.ifindex == index]
        found = [IPv6Interface(f"{a.address}/{a.prefix_len}") for a in own]
        for each in found:
            if not each.is_link_local:
                return Subnet(str(each.network), str(each.ip))
    if before is not None:
        return before
    subnet = free_subnet([*options.pools, ula_pool(instance_id)], [*host_networks(nl, index), *others], 6)
    return Subnet(str(subnet), str(subnet.network_address + 1))


def _give_way_out(subnet: Subnet, address: str) -> None:
    """--default-gateway, --default-gateway-v6. Raises: InvalidArgument, Conflict, in Docker's words."""
    if not address:
        subnet.aux = {}
        return
    named = f"({default_gateway_name(subnet)}:{address})"
    try:
        found = ip_address(address)
    except ValueError:
        raise InvalidArgument(f"{address} is not an ip address") from None
    if found not in ip_network(subnet.subnet):
        raise InvalidArgument(f"auxiliary address: {named} must belong to the master pool: {subnet.subnet}")
    if str(found) == subnet.gateway:
        raise Conflict(f"failed to allocate secondary ip address {named}: Address already in use")
    subnet.aux = {default_gateway_name(subnet): str(found)}


def _parse_cidr6(text: str) -> IPv6Network | None:
    try:
        return IPv6Network(text) if text else None
    except ValueError as err:
        raise InvalidArgument(f"--fixed-cidr-v6 {text}: write an IPv6 subnet, fd00:1::/64 ({err})") from None


def _parse_bip6(text: str) -> IPv6Interface:
    try:
        gateway = IPv6Interface(text)
    except ValueError:
        raise InvalidArgument(f"--bip6 {text}: write an address with its prefix, fd00:1::1/64") from None
    if gateway.network.prefixlen > 126 or gateway.ip == gateway.network.network_address:
        raise InvalidArgument(f"--bip6 {text}: it must be a host's address in a network of at least four")
    return gateway


def _check_overlap(nl: Netlink, gateway: IPv4Interface, name: str) -> None:
    clash = [n for n in host_networks(nl, 0) if n.version == 4 and n.overlaps(gateway.network)]
    if clash:
        raise Conflict(
            f"the network {gateway.network} of bridge {name} overlaps with {clash[0]} of this host: give another one with --bip"
        )


def _free_name(links: dict[str, link.Link], ours: str) -> str:
    for name in (PREFERRED, *(f"berth{n}" for n in range(100))):
        if name not in links or links[name].alias == ours:
            return name
    raise Conflict("no name is free for the default bridge: give one with --bridge")


def _parse_bip(text: str) -> IPv4Interface:
    try:
        gateway = IPv4Interface(text)
    except ValueError:
        raise InvalidArgument(f"--bip {text}: write an address with its prefix, 172.17.0.1/16") from None
    if gateway.network.prefixlen > 30 or gateway.ip in (
        gateway.network.network_address,
        gateway.network.broadcast_address,
    ):
        raise InvalidArgument(f"--bip {text}: it must be a host's address in a network of at least four")
    return gateway


def _address_of(addresses: list[inet.Address], index: int, name: str) -> IPv4Interface:
    for found in addresses:
        if found.ifindex == index:
            return IPv4Interface(f"{found.address}/{found.prefix_len}")
    raise InvalidArgument(f"--bridge {name}: it has no IPv4 address: give it one, or use --bip")


def host_networks(nl: Netlink, but_link: int = 0) -> list[AnyNetwork]:
    """Subnets of this host's addresses and routes, both families; default routes, link-local ones and one link left out."""
    found: list[AnyNetwork] = []
    for family, kind in ((inet.AF_INET, IPv4Network), (inet.AF_INET6, IPv6Network)):
        pairs = [(a.address, a.prefix_len) for a in inet.list_addresses(nl, family) if a.ifindex != but_link]
        pairs += [(r.dst, r.dst_len) for r in inet.list_routes(nl, family) if r.dst and r.dst_len and r.oif != but_link]
        networks = [kind(f"{address}/{length}", strict=False) for address, length in pairs]
        found += [n for n in networks if not n.is_link_local and not n.is_multicast]
    return found
