"""``Names``: who is called what, in which network, as seen by whom. Pure.

A change replaces entries between two packets of one thread, so no answer ever sees half of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Member(NamedTuple):
    """One endpoint. ``names`` are everybody's in the network, ``links`` (alias → name) this container's own."""

    endpoint: str
    network: str
    network_name: str
    sandbox: str
    ipv4: str
    ipv6: str
    names: tuple[str, ...]
    links: dict[str, str]


class _Network:
    __slots__ = ("by_address", "by_name", "name")

    def __init__(self, name: str) -> None:
        self.name = name.lower()
        self.by_name: dict[str, list[Member]] = {}
        self.by_address: dict[str, Member] = {}


class Names:
    """Every member by endpoint, by network and by sandbox (whose networks are asked in the order of its joining them)."""

    def __init__(self) -> None:
        self._members: dict[str, Member] = {}
        self._networks: dict[str, _Network] = {}
        self._of: dict[str, dict[str, Member]] = {}  # sandbox → endpoint → member
        self._turn = 0
        self.changes = 0
        """Grows with every change: what was known at another count may not be true any more."""

    def __len__(self) -> int:
        return len(self._members)

    def endpoints(self) -> list[str]:
        return list(self._members)

    def join(self, member: Member) -> None:
        """From now on it is known. One of the same endpoint is replaced."""
        self.leave((member.endpoint,))
        self.changes += 1
        self._members[member.endpoint] = member
        self._of.setdefault(member.sandbox, {})[member.endpoint] = member
        network = self._networks.setdefault(member.network, _Network(member.network_name))
        for name in member.names:
            network.by_name.setdefault(name.lower(), []).append(member)
        for address in (member.ipv4, member.ipv6):
            if address:
                network.by_address[address] = member

    def leave(self, endpoints: Iterable[str]) -> int:
        """From now on they are unknown; returns how many were known."""
        count = 0
        for endpoint in endpoints:
            member = self._members.pop(endpoint, None)
            if member is not None:
                count += 1
                self.changes += 1
                self._forget(member)
        return count

    def _forget(self, member: Member) -> None:
        own = self._of[member.sandbox]
        del own[member.endpoint]
        if not own:
            del self._of[member.sandbox]
        network = self._networks[member.network]
        for name in {name.lower() for name in member.names}:
            left = [m for m in network.by_name[name] if m.endpoint != member.endpoint]
            if left:
                network.by_name[name] = left
            else:
                del network.by_name[name]
        for address in (member.ipv4, member.ipv6):
            known = network.by_address.get(address)
            if known is not None and known.endpoint == member.endpoint:
                del network.by_address[address]
        if not network.by_name and not network.by_address:
            del self._networks[member.network]

    def find(self, sandbox: str, name: str) -> list[Member] | None:
        """Whom a sandbox means by a name; None when nobody it shares a network with is called so.

        ``web`` in any of its networks (the first that has one), ``web.backend`` in the network of that name.
        """
        for own in self._of.get(sandbox, {}).values():
            network = self._networks[own.network]
            found = network.by_name.get(own.links.get(name, name).lower())
            if found is None and "." in name:
                head, _, tail = name.rpartition(".")
                if tail == network.name:
                    found = network.by_name.get(own.links.get(head, head).lower())
            if found:
                return self._in_turn(found)
        return None

    def _in_turn(self, found: list[Member]) -> list[Member]:
        """Everybody is first once: clients take the first."""
        if len(found) == 1:
            return found
        self._turn += 1
        at = self._turn % len(found)
        return found[at:] + found[:at]

    def at(self, sandbox: str, address: str) -> Member | None:
        """Who has an address in one of a sandbox's networks."""
        for own in self._of.get(sandbox, {}).values():
            found = self._networks[own.network].by_address.get(address)
            if found is not None:
                return found
        return None
