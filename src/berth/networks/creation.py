"""From a ``NetworkRequest`` to a whole ``NetworkRecord``: the driver's part, then subnets and gateways. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_network
from typing import TYPE_CHECKING

import msgspec

from berth.base.clock import now_ns
from berth.base.errors import AlreadyExists, Forbidden, InvalidArgument, NotFound
from berth.base.ids import new_id
from berth.networks.drivers.contract import Driver
from berth.networks.ipam.book import first_address
from berth.networks.ipam.leases import AnyNetwork
from berth.networks.ipam.pools import Pool, free_subnet, ula_pool
from berth.networks.records import NetworkRecord, Subnet
from berth.networks.request import NetworkRequest

if TYPE_CHECKING:
    from berth.networks.ipam.remote import Pools


def plan_network(
    asked: NetworkRequest, drivers: dict[str, Driver], others: Sequence[NetworkRecord], in_use: Iterable[AnyNetwork],
    pools: Sequence[Pool], instance_id: str, *, shared: bool = False, given: Pools | None = None,
) -> NetworkRecord:  # fmt: skip
    """The network as it shall be. ``in_use``: subnets of the host, for networks that nobody chose a subnet for.

    Raises: AlreadyExists (the name), NotFound (the driver), Forbidden (a subnet overlaps), ResourceExhausted (the pools are
    used up), InvalidArgument, Unsupported. ``given``: what an IPAM plugin gave.
    ``shared``: it spans hosts; its gateways follow from the blocks that each host takes.
    """
    if any(other.name == asked.name for other in others):
        raise AlreadyExists(f"network with name {asked.name} already exists")
    driver = drivers.get(asked.driver)
    if driver is None:
        raise NotFound(f"could not find plugin {asked.driver} in v1 plugin registry: plugin not found")
    network = NetworkRecord(
        id=new_id(), name=asked.name, driver=asked.driver, created_ns=now_ns(), scope=driver.scope, ipv4=asked.ipv4,
        ipv6=asked.ipv6, internal=asked.internal, attachable=asked.attachable, labels=asked.labels,
        options=asked.options, ipam_driver=asked.ipam_driver, ipam_options=asked.ipam_options,
        subnets_asked=bool(asked.subnets), shared=shared,
    )  # fmt: skip
    driver.plan(asked, network, others)
    if given is not None:
        network.subnets, network.pools = given.subnets, given.ids
    elif driver.addressed and asked.ipam_driver != "null":
        network.subnets = _subnets(asked, others, list(in_use), (*pools, ula_pool(instance_id)))
        network.gateways_asked = {s.subnet: s.gateway for s in network.subnets if shared and s.gateway}
        for subnet in network.subnets:
            if not subnet.gateway and not shared:
                subnet.gateway = first_address(subnet)
    return network


def _subnets(
    asked: NetworkRequest, others: Sequence[NetworkRecord], host: list[AnyNetwork], pools: Sequence[Pool]
) -> list[Subnet]:
    taken = [ip_network(s.subnet) for other in others for s in other.subnets]
    subnets = [msgspec.structs.replace(s) for s in asked.subnets if asked.ipv6 or not s.is_ipv6]
    own: list[AnyNetwork] = []
    for subnet in subnets:
        block = ip_network(subnet.subnet)
        if any(block.version == other.version and block.overlaps(other) for other in (*taken, *own)):
            raise Forbidden("invalid pool request: Pool overlaps with other one on this address space")
        own.append(block)
    for version, enabled in ((4, asked.ipv4), (6, asked.ipv6)):
        if enabled and not any(s.is_ipv6 == (version == 6) for s in subnets):
            found = free_subnet(pools, [*host, *taken, *own], version)
            subnets.append(Subnet(str(found)))
    if not subnets:
        raise InvalidArgument("a network without any subnet: enable IPv4 or IPv6")
    return sorted(subnets, key=lambda s: s.is_ipv6)
