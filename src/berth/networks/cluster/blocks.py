"""A shared network's subnet cut into blocks: each host takes one after the other and gives addresses of its own alone. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from berth.networks.ipam.leases import AnyNetwork
from berth.networks.records import Subnet


def block_length(whole: AnyNetwork) -> int:
    """The prefix length of its blocks: up to 256 hosts, in small subnets at least 14 addresses a block where there is room."""
    length = whole.prefixlen
    if whole.version == 6:
        return min(length + 16, 124) if length <= 120 else length
    if length <= 26:
        return min(length + 8, 28)
    return min(length + 2, 31) if length < 31 else length


def blocks_of(subnet: Subnet) -> Iterator[str]:
    """Every block, lowest first; but the one that an asked-for gateway is in comes before all others."""
    whole = ip_network(subnet.ip_range or subnet.subnet)
    length = block_length(whole)
    first = ""
    if subnet.gateway and ip_address(subnet.gateway) in whole:
        first = str(ip_network(f"{subnet.gateway}/{length}", strict=False))
        yield first
    step = 1 << (whole.max_prefixlen - length)
    for at in range(int(whole.network_address), int(whole.broadcast_address) + 1, step):
        block = str(IPv4Network((at, length)) if whole.version == 4 else IPv6Network((at, length)))
        if block != first:
            yield block


def free_block(subnet: Subnet, taken: Collection[str]) -> str | None:
    """The next block that no host has."""
    return next((block for block in blocks_of(subnet) if block not in taken), None)
