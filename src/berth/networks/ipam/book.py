"""``AddressBook``: the leases of every network of the engine."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from berth.base.errors import InvalidArgument, ResourceExhausted
from berth.networks.ipam.leases import Leases
from berth.networks.records import NetworkRecord, Subnet


class AddressBook:
    """By network id: one ``Leases`` a subnet."""

    def __init__(self) -> None:
        self._of: dict[str, list[Leases]] = {}

    def open(self, network: NetworkRecord) -> None:
        """Begin with a network's subnets; its gateways and auxiliary addresses are reserved."""
        if network.shared:
            self._of[network.id] = []
            for block in network.blocks:
                self.extend(network, block)
        else:
            self._of[network.id] = [_leases(subnet) for subnet in network.subnets]

    def extend(self, network: NetworkRecord, block: str) -> None:
        """Addresses of one more block of a shared network may be given."""
        subnet = network.v6 if ":" in block else network.v4
        if subnet is not None:
            self._of[network.id].append(_leases(subnet, block))

    def forget(self, network_id: str) -> None:
        """The network is gone."""
        self._of.pop(network_id, None)

    def acquire(self, network_id: str, version: int) -> tuple[str, int]:
        """The next free address of this IP version and its prefix length. Raises: ResourceExhausted."""
        full: ResourceExhausted | None = None
        for leases in self._versions(network_id, version):
            try:
                return leases.acquire(), leases.subnet.prefixlen
            except ResourceExhausted as err:
                full = err
        raise full or ResourceExhausted(f"this network has no IPv{version} subnet")

    def take(self, network_id: str, address: str) -> tuple[str, int]:
        """That very address and its prefix length. Raises: InvalidArgument (malformed, of no subnet), Conflict (leased)."""
        try:
            found = ip_address(address)
        except ValueError:
            raise InvalidArgument(f"invalid IP address: {address}") from None
        for leases in sorted(self._of.get(network_id, ()), key=lambda leases: not leases.gives(found)):
            if leases.holds(found):
                return leases.take(address), leases.subnet.prefixlen
        raise InvalidArgument(f"no configured subnet or ip-range contain the IP address {address}")

    def adopt(self, network_id: str, addresses: Iterable[str]) -> None:
        """Addresses of living endpoints."""
        for address in addresses:
            if address:
                for leases in self._versions(network_id, ip_address(address).version):
                    leases.adopt(address)

    def release(self, network_id: str, addresses: Iterable[str]) -> None:
        """Give addresses back; those that aren't leased, or of no network, are passed over."""
        for address in addresses:
            if address:
                for leases in self._versions(network_id, ip_address(address).version):
                    leases.release(address)

    def _versions(self, network_id: str, version: int) -> list[Leases]:
        return [leases for leases in self._of.get(network_id, ()) if leases.subnet.version == version]


def first_address(subnet: Subnet, block: str = "") -> str:
    """The gateway of a subnet that has none yet: the first address, of a block, that is not somebody's.

    Raises: ResourceExhausted.
    """
    return _leases(subnet, block).acquire()


def _leases(subnet: Subnet, block: str = "") -> Leases:
    reserved = [ip_address(a) for a in (subnet.gateway, *subnet.aux.values()) if a]
    pool = block or subnet.ip_range
    return Leases(ip_network(subnet.subnet), reserved, ip_network(pool) if pool else None)
