"""Addresses of one subnet: which are leased, and which comes next.

Leases go up through the range and start again at the bottom, so that an address rests before somebody else gets it:
neighbours' ARP caches and tracked connections of its last owner are gone by then.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from berth.base.errors import Conflict, InvalidArgument, ResourceExhausted

AnyNetwork = IPv4Network | IPv6Network
AnyAddress = IPv4Address | IPv6Address


class Leases:
    """The leases of one subnet of either family. ``reserved`` (gateway, auxiliary addresses) are never given.

    ``pool`` is where unasked-for addresses come from (``--ip-range``); an asked-for one may lie anywhere in the subnet.
    """

    def __init__(self, subnet: AnyNetwork, reserved: Iterable[AnyAddress] = (), pool: AnyNetwork | None = None) -> None:
        self.subnet = subnet
        self._lowest, self._highest = _usable(subnet)
        pool = pool or subnet
        self._first = max(int(pool.network_address), self._lowest)
        self._last = min(int(pool.broadcast_address), self._highest)
        self._next = self._first
        self._taken = {int(address) for address in reserved}
        self._reserved = frozenset(self._taken)

    def acquire(self) -> str:
        """The next free address. Raises: ResourceExhausted."""
        first, last, number = self._first, self._last, self._next
        for _ in range(min(last - first, len(self._taken)) + 1):  # so many tries meet a free one, if there is one
            if number not in self._taken:
                self._taken.add(number)
                self._next = number + 1 if number < last else first
                return self._text(number)
            number = number + 1 if number < last else first
        raise ResourceExhausted(f"no available {self._family} addresses on this network's address pools: {self.subnet}")

    def take(self, address: str) -> str:
        """That very address. Raises: InvalidArgument (not of this subnet), Conflict (leased)."""
        try:
            found = ip_address(address)
        except ValueError:
            raise InvalidArgument(f"invalid {self._family} address: {address}") from None
        if not self.holds(found):
            raise InvalidArgument(f"no configured subnet or ip-range contain the IP address {address}")
        if int(found) in self._taken:
            raise Conflict("Address already in use")
        self._taken.add(int(found))
        return str(found)

    def holds(self, address: AnyAddress) -> bool:
        """Whether it is an address of a host of this subnet."""
        return address.version == self.subnet.version and self._lowest <= int(address) <= self._highest

    def gives(self, address: AnyAddress) -> bool:
        """Whether it may come unasked-for."""
        return address.version == self.subnet.version and self._first <= int(address) <= self._last

    def adopt(self, address: str) -> None:
        """An address that lives already: leased from now on; one outside of the subnet is nobody's concern here."""
        number = int(ip_address(address))
        self._taken.add(number)
        if self._first <= number < self._last and number >= self._next:
            self._next = number + 1

    def release(self, address: str) -> None:
        """Give an address back; nothing when it isn't leased. Reserved ones stay reserved."""
        number = int(ip_address(address))
        if number not in self._reserved:
            self._taken.discard(number)

    @property
    def leased(self) -> int:
        """How many addresses are given away, reserved ones left out."""
        return len(self._taken) - len(self._reserved)

    @property
    def _family(self) -> str:
        return f"IPv{self.subnet.version}"

    def _text(self, number: int) -> str:
        return str(IPv4Address(number) if self.subnet.version == 4 else IPv6Address(number))


def _usable(subnet: AnyNetwork) -> tuple[int, int]:
    """The lowest and highest host address: without the subnet's own and IPv4's broadcast, where it has room for them."""
    low, high = int(subnet.network_address), int(subnet.broadcast_address)
    if subnet.version == 4:
        return (low + 1, high - 1) if subnet.prefixlen < 31 else (low, high)
    return (low + 1, high) if subnet.prefixlen < 127 else (low, high)  # the lowest is the routers' anycast address
