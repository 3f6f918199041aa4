"""``View``: everything that the store says, and what follows from it. Pure."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from ipaddress import ip_address, ip_network
from typing import Any

import msgspec

from berth.netd.dns.names import Member
from berth.networks.cluster.etcd import Entry, Picture
from berth.networks.cluster.records import (
    Block,
    Esp,
    Gone,
    Host,
    Keys,
    Place,
    Secrets,
    decode_block,
    decode_esp,
    decode_gone,
    decode_host,
    decode_network,
    decode_place,
    decode_secrets,
)
from berth.networks.records import NetworkRecord
from berth.networks.resolver import REMOTE

log = logging.getLogger(__name__)


class View:
    """``me``: this engine's instance. ``blocks`` and ``places`` are by network, then by block or address."""

    def __init__(self, keys: Keys, me: str) -> None:
        self._keys = keys
        self._me = me
        self.clear()

    def clear(self) -> None:
        self.revision = 0
        self.raw: dict[str, bytes] = {}
        self.hosts: dict[str, Host] = {}
        self.networks: dict[str, NetworkRecord] = {}
        self.blocks: dict[str, dict[str, Block]] = {}
        self.places: dict[str, dict[str, Place]] = {}
        self.esp: dict[str, Esp] = {}
        self.gone: dict[str, Gone] = {}
        self.secrets: Secrets | None = None

    def replace(self, picture: Picture) -> None:
        """The store as it was at one moment; one that the watch has gone past already is passed over."""
        if picture.revision >= self.revision:
            self.clear()
            self.apply(picture.entries)
            self.revision = picture.revision

    def apply(self, entries: Iterable[Entry]) -> None:
        """What changed. What the picture has already is passed over, an entry that cannot be read is nobody's, and said to be."""
        before = self.revision
        for key, value, revision in entries:
            if revision <= before:
                continue
            self.revision = max(self.revision, revision)
            if value is None:
                self.raw.pop(key, None)
            else:
                self.raw[key] = value
            try:
                self._apply(self._keys.split(key), value)
            except (msgspec.DecodeError, ValueError) as err:
                log.error("the cluster store's entry %s cannot be read: %s", key, err)

    def _apply(self, parts: list[str], value: bytes | None) -> None:
        if parts[0] == "hosts" and len(parts) == 2:
            _set(self.hosts, parts[1], value, decode_host)
        elif parts == ["secrets"]:
            self.secrets = decode_secrets(value) if value is not None else None
        elif parts[0] == "esp" and len(parts) == 2:
            _set(self.esp, parts[1], value, decode_esp)
        elif parts[0] == "gone" and len(parts) == 2:
            _set(self.gone, parts[1], value, decode_gone)
        elif parts[0] == "networks" and len(parts) == 2:
            _set(self.networks, parts[1], value, decode_network)
        elif parts[0] == "blocks" and len(parts) == 3:
            _set(self.blocks.setdefault(parts[1], {}), parts[2], value, decode_block)
        elif parts[0] == "addresses" and len(parts) == 3:
            _set(self.places.setdefault(parts[1], {}), parts[2], value, decode_place)

    def peers(self, network_id: str) -> frozenset[str]:
        """Where the other hosts of a network are. An absent one counts: its containers may run on."""
        owners = self.blocks.get(network_id, {}).values()
        return frozenset(block.address for block in owners if block.instance != self._me)

    def owner_of(self, network_id: str, address: str) -> Block | None:
        """The other host whose block an address is in."""
        found = ip_address(address)
        for block, owner in self.blocks.get(network_id, {}).items():
            if owner.instance != self._me and found in ip_network(block):
                return owner
        return None

    def others(self, network_id: str) -> list[Place]:
        """Containers of a network on other hosts that are there, each once."""
        found: dict[str, Place] = {}
        for place in self.places.get(network_id, {}).values():
            if place.endpoint and place.instance != self._me and place.instance in self.hosts:
                found[place.endpoint] = place
        return list(found.values())

    def members(self, networks: Collection[NetworkRecord]) -> list[Member]:
        """The names of other hosts' containers, as netd knows them."""
        return [
            Member(f"{REMOTE}{p.instance}/{p.endpoint}", n.id, n.name, f"{REMOTE}{p.instance}", p.ipv4, p.ipv6, p.names, {})
            for n in networks for p in self.others(n.id)
        ]  # fmt: skip

    def of(self, instance: str) -> dict[str, bytes]:
        """The blocks and addresses that the store has as an engine's, as they stand there."""
        keys = [
            self._keys.block(n, b) for n, of in self.blocks.items() for b, o in of.items() if o.instance == instance
        ]
        keys += [
            self._keys.address(n, a) for n, of in self.places.items() for a, p in of.items() if p.instance == instance
        ]
        keys += [self._keys.esp(instance)] if instance in self.esp else []
        return {key: self.raw[key] for key in keys}

    def mine(self) -> dict[str, bytes]:
        """What is this engine's."""
        return self.of(self._me)

    def owners(self) -> set[str]:
        """The engines that have anything."""
        blocks = {block.instance for of in self.blocks.values() for block in of.values()}
        return blocks | {place.instance for of in self.places.values() for place in of.values()} | set(self.esp)

    def lost(self, network: NetworkRecord) -> list[str]:
        """Blocks that this engine takes for its own, and that are another's: it was away for too long."""
        owners = self.blocks.get(network.id, {})
        return [block for block in network.blocks if block in owners and owners[block].instance != self._me]


def _set(into: dict[str, Any], name: str, value: bytes | None, decode: Callable[[bytes], Any]) -> None:
    into.pop(name, None)
    if value is not None:
        into[name] = decode(value)
