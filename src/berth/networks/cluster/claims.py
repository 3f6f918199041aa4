"""``Claims``: networks, blocks and addresses, each taken in one transaction that somebody else's makes fail."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable

from berth.base.errors import Conflict, Forbidden, NotFound, ResourceExhausted, Unavailable
from berth.networks.cluster.blocks import free_block
from berth.networks.cluster.etcd import Etcd, absent, delete, delete_below, older, older_below, present, put, unchanged
from berth.networks.cluster.records import Block, Host, Keys, Place, Secret, Secrets, definition, encode, subnet_of
from berth.networks.cluster.session import Session
from berth.networks.cluster.view import View
from berth.networks.records import NetworkRecord
from berth.spec import messages

_TRIES = 8
_SECRETS = 3


class Claims:
    """Every call needs the store. Raises: Unavailable."""

    def __init__(self, etcd: Etcd, keys: Keys, view: View, session: Session, me: Host) -> None:
        self._etcd, self._keys, self._view, self._session, self._me = etcd, keys, view, session, me

    async def network(self, plan: Callable[[], Awaitable[NetworkRecord]]) -> NetworkRecord:
        """A network that no other contradicts; ``plan`` sees every network there is, and is asked again when one came between."""
        for _ in range(_TRIES):
            revision = await self._session.refresh()
            record = await plan()
            key = self._keys.network(record.id)
            ops = [put(key, encode(definition(record))), put(self._keys.epoch, record.id.encode())]
            if await self._etcd.commit([older(self._keys.epoch, revision)], ops):
                return record
        raise Unavailable("other hosts make networks all the time: try again")

    async def remove_network(self, network: NetworkRecord) -> None:
        """Raises: Forbidden, in Docker's words, when other hosts have containers there."""
        keys, ident = self._keys, network.id
        addresses = keys.address(ident, "")
        for _ in range(_TRIES):
            revision = await self._session.refresh()
            users = self._view.others(ident)
            if users:
                raise Forbidden(messages.active_endpoints(network.name, ident, [(p.name, p.endpoint) for p in users]))
            compares = [older(keys.epoch, revision), older_below(addresses, revision)]
            ops = [delete(keys.network(ident)), delete_below(addresses), delete_below(keys.block(ident, "")),
                   put(keys.epoch, ident.encode())]  # fmt: skip
            if await self._etcd.commit(compares, ops):
                return
        raise Unavailable(f"network {network.name} is busy: try again")

    async def restore_network(self, network: NetworkRecord) -> None:
        """Somebody removed it while this host was away with containers in it: it is there again."""
        ops = [
            put(self._keys.network(network.id), encode(definition(network))),
            put(self._keys.epoch, network.id.encode()),
        ]
        await self._etcd.commit([absent(self._keys.network(network.id))], ops)

    async def secrets(self) -> None:
        """One more secret, made by whichever host is first; the oldest go. Not while a host has yet to take the last one."""
        known, raw = self._view.secrets, self._view.raw.get(self._keys.secrets)
        here = [esp for instance, esp in self._view.esp.items() if instance in self._view.hosts]
        if known is not None and any(esp.newest < known.keys[-1].id for esp in here):
            return
        keys = known.keys[1 - _SECRETS :] if known is not None else []
        keys = [*keys, Secret(keys[-1].id + 1 if keys else 1, os.urandom(32))]
        compare = unchanged(self._keys.secrets, raw) if raw is not None else absent(self._keys.secrets)
        await self._etcd.commit([compare], [put(self._keys.secrets, encode(Secrets(keys, time.time())))])

    async def block(self, network: NetworkRecord, version: int) -> str:
        """A block of this host's own. Raises: ResourceExhausted, NotFound (the network is gone)."""
        subnet = subnet_of(network, version)
        assert subnet is not None
        for _ in range(_TRIES):
            taken = self._view.blocks.get(network.id, {})
            block = free_block(subnet, {*taken, *network.blocks})
            if block is None:
                hosts = ", ".join(sorted({owner.name for owner in taken.values()}))
                raise ResourceExhausted(
                    f"no block of {subnet.subnet} is free for this host: its addresses are with {hosts}"
                )
            value = encode(Block(self._me.instance, self._me.name, self._me.address))
            if await self._take(self._keys.block(network.id, block), value, network):
                return block
            await self._check(network)
        raise Unavailable(f"network {network.name} is busy: try again")

    async def address(self, network: NetworkRecord, address: str) -> None:
        """Raises: Conflict (it is somebody's, or in the block of a host that is away), NotFound (the network is gone)."""
        key = self._keys.address(network.id, address)
        owner = self._view.owner_of(network.id, address)
        more = [present(self._keys.host(owner.instance))] if owner is not None else []
        if await self._take(key, encode(Place(self._me.instance)), network, *more):
            return
        await self._check(network)
        if owner is not None and owner.instance not in self._view.hosts:
            raise Conflict(f"{address} is in the block of host {owner.name}, which is away")
        raise Conflict("Address already in use")

    async def _take(self, key: str, value: bytes, network: NetworkRecord, *compares: dict[str, object]) -> bool:
        mine = self._session.mine
        needs = [present(self._keys.network(network.id)), present(self._keys.host(self._me.instance)), *compares]
        if key not in mine:
            needs.append(absent(key))
        if not await self._etcd.commit(needs, [put(key, value)]):
            return False
        mine[key] = value
        return True

    async def _check(self, network: NetworkRecord) -> None:
        """Why a transaction failed. Raises: NotFound, Unavailable."""
        await self._session.refresh()
        if network.id not in self._view.networks:
            raise NotFound(messages.no_such_network(network.name))
        if self._me.instance not in self._view.hosts:
            raise Unavailable("this host has lost its place in the cluster store: try again")
