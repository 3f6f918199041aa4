"""Whose connections are carried: everybody's, or those of one subnet."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network


class Clients:
    """``subnet`` is "" for everybody."""

    def __init__(self, subnet: str = "") -> None:
        self._subnet = ip_network(subnet) if subnet else None

    def __contains__(self, address: object) -> bool:
        """``address`` as a socket names its peer: one of IPv4 may come in the clothes of IPv6 (``::ffff:192.0.2.1``)."""
        if self._subnet is None:
            return True
        found = ip_address(str(address).partition("%")[0])
        if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        return found.version == self._subnet.version and found in self._subnet
