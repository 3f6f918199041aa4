"""``Cluster``: what ``NetworkService`` asks of the store. A facade: the work is in the modules beside it."""

from __future__ import annotations

import asyncio
import logging
import platform
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from berth.base.errors import BerthError, Conflict, ResourceExhausted, Unavailable
from berth.networks.cluster.claims import Claims
from berth.networks.cluster.departed import Departed
from berth.networks.cluster.esp_watch import EspWatch
from berth.networks.cluster.etcd import Etcd
from berth.networks.cluster.local import Local
from berth.networks.cluster.parts import Parts
from berth.networks.cluster.records import Block, Host, Keys, subnet_of
from berth.networks.cluster.session import Session
from berth.networks.cluster.settings import ClusterSettings
from berth.networks.cluster.view import View
from berth.networks.records import NetworkRecord

log = logging.getLogger(__name__)

Address = tuple[str, int]
"""An address and its prefix length."""

_FIRST_PICTURE_S = 2.0


class Cluster:
    """This host among others. ``start`` after the living endpoints were adopted; ``stop`` leaves everything as it is."""

    def __init__(self, settings: ClusterSettings, instance_id: str) -> None:
        self.settings = settings
        self._me = Host(instance_id, platform.node(), settings.address)
        self._keys = Keys(settings.path)
        self._etcd = Etcd(settings.urls, settings.tls)
        self._view = View(self._keys, instance_id)
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._tasks: list[asyncio.Task[None]] = []
        self._esp_watch = EspWatch(self._encrypt_anew)

    async def start(self, parts: Parts) -> None:
        """Join; waits a moment for the store, and goes on without it."""
        self._local = Local(parts, self._keys, self._me)
        self._session = Session(
            self._etcd, self._keys, self._view, self._me, self.settings, self._local.wanted, self._changed
        )
        self._claims = Claims(self._etcd, self._keys, self._view, self._session, self._me)
        self._departed = Departed(self._etcd, self._keys, self._view, self._me, self.settings.forget_s)
        loop = asyncio.get_running_loop()
        for work, name in (
            (self._session.run(), "cluster store"), (self._rotate(), "rotation of secrets"),
            (self._forget_departed(), "departed hosts"),
        ):  # fmt: skip
            self._tasks.append(loop.create_task(work, name=name))
            self._tasks[-1].add_done_callback(_ended)
        self._watch_esp()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._session.connected.wait(), _FIRST_PICTURE_S)

    async def stop(self) -> None:
        """A host without containers is gone for the others at once, one with containers when its lease ends."""
        self._esp_watch.stop()
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        if self._tasks and not any(self._local.in_use(n) for n in self._local.shared):
            await self._session.leave()
        await self._etcd.close()

    async def create(self, plan: Callable[[], Awaitable[NetworkRecord]]) -> NetworkRecord:
        """Make a network for every host. Raises: what ``plan`` does, Unavailable."""
        record = await self._claims.network(plan)
        return await self._local.learn(record) or record

    async def remove(self, network: NetworkRecord) -> None:
        """Unmake a network that nobody here uses. Raises: Forbidden (others do), Unavailable."""
        self._local.removing.add(network.id)
        try:
            await self._claims.remove_network(network)
            mine = self._session.mine
            for key in [k for k in mine if self._keys.split(k)[1] == network.id]:
                del mine[key]
            await self._local.forget(network)
        finally:
            self._local.removing.discard(network.id)

    async def admit(self, network: NetworkRecord, asked: Mapping[str, Any]) -> list[Address]:
        """Addresses for a container that is about to start, leased here and taken in the store; ``settled`` must follow.

        Raises: Conflict, InvalidArgument, ResourceExhausted, Unavailable (the store is away, and this host cannot tell).
        """
        ipam = asked.get("IPAMConfig") or {}
        got: list[Address] = []
        try:
            for version, key in ((4, "IPv4Address"), (6, "IPv6Address")):
                if subnet_of(network, version) is not None:
                    async with self._locks[network.id]:
                        got.append(await self._admit(network, version, str(ipam.get(key) or "")))
                    self._local.pending.add((network.id, got[-1][0]))
        except BaseException:
            self._local.parts.addresses.release(network.id, [address for address, _length in got])
            self.settled(network, got)
            raise
        return got

    def settled(self, network: NetworkRecord, addresses: list[Address]) -> None:
        """They are an endpoint's now, or nobody's again."""
        self._local.pending -= {(network.id, address) for address, _length in addresses}
        self._session.push_soon()

    def changed(self) -> None:
        """Endpoints came or went."""
        self._session.push_soon()

    def peers(self, network: NetworkRecord) -> list[Block]:
        """The other hosts of a network that are there, each once."""
        owners = self._view.blocks.get(network.id, {}).values()
        found = {o.instance: o for o in owners if o.instance in self._view.hosts and o.instance != self._me.instance}
        return sorted(found.values(), key=lambda owner: owner.address)

    async def _changed(self) -> None:
        await self._local.settle(self._view)
        for network in self._local.missing(self._view):
            await self._claims.restore_network(network)
        if self._local.encrypts:
            if self._view.secrets is None:
                await self._claims.secrets()
            self._session.push_soon()
        self._watch_esp()

    def _watch_esp(self) -> None:
        if self._local.encrypts:
            self._esp_watch.start()
        else:
            self._esp_watch.stop()

    async def _encrypt_anew(self) -> None:
        await self._local.encrypt_anew(self._view)
        self._session.push_soon()

    async def _rotate(self) -> None:
        """New secrets for encrypted networks, by whichever host finds them old first."""
        while True:
            await asyncio.sleep(max(1.0, self.settings.rotation_s / 20))
            known = self._view.secrets
            if known is None or not self._local.encrypts or not self._session.connected.is_set():
                continue
            if time.time() - known.made_s > self.settings.rotation_s:
                with suppress(BerthError):  # the store is away: at the next turn
                    await self._claims.secrets()

    async def _forget_departed(self) -> None:
        while True:
            await asyncio.sleep(max(1.0, min(60.0, self.settings.forget_s / 20)))
            if self._session.connected.is_set():
                with suppress(BerthError):  # the store is away: at the next turn
                    await self._departed.look()

    async def _admit(self, network: NetworkRecord, version: int, wanted: str) -> Address:
        for _ in range(2):
            online = await self._reach_store()
            try:
                await self._have_block(network, version, online)
                if wanted:
                    return await self._take(network, wanted, online)
                return await self._acquire(network, version, online)
            except Unavailable:
                if not online:
                    raise
                self._session.connected.clear()  # it is away after all
        raise Unavailable(f"the cluster store {', '.join(self._etcd.urls)} does not answer")

    async def _reach_store(self) -> bool:
        """True with the store, False when this host may give addresses of its own blocks without it."""
        if not self._session.connected.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._session.connected.wait(), self._session.alone_in_s)
        return self._session.connected.is_set()

    async def _have_block(self, network: NetworkRecord, version: int, online: bool) -> None:
        if version in network.versions_here:
            await self._local.make(network, self._view)
            return
        if not online:
            raise Unavailable(
                f"network {network.name} has no addresses on this host yet, and the cluster store "
                f"{', '.join(self._etcd.urls)} does not answer"
            )
        if not network.blocks and not self._local.in_use(network):
            await self._local.parts.call(self._local.parts.withdraw, network)  # what is left of blocks that it lost
            await self._local.parts.call(self._local.parts.check, network)
        await self._more(network, version)

    async def _more(self, network: NetworkRecord, version: int) -> None:
        await self._local.give_block(network, await self._claims.block(network, version), self._view)
        self._session.push_soon()

    async def _take(self, network: NetworkRecord, wanted: str, online: bool) -> Address:
        book = self._local.parts.addresses
        address, length = book.take(network.id, wanted)
        try:
            if online:
                await self._claims.address(network, address)
            elif not network.owns(address):
                raise Unavailable(f"{address} is in no block of this host's, and the cluster store does not answer")
        except BaseException:
            book.release(network.id, [address])
            raise
        return address, length

    async def _acquire(self, network: NetworkRecord, version: int, online: bool) -> Address:
        book = self._local.parts.addresses
        skipped: list[str] = []
        try:
            while True:
                try:
                    address, length = book.acquire(network.id, version)
                except ResourceExhausted:
                    if not online:
                        raise
                    await self._more(network, version)
                    continue
                try:
                    if self._is_anothers(network, address):
                        raise Conflict("Address already in use")
                    if online:
                        await self._claims.address(network, address)
                    return address, length
                except Conflict:
                    skipped.append(address)  # somebody asked for that very one
                except BaseException:
                    skipped.append(address)
                    raise
        finally:
            book.release(network.id, skipped)

    def _is_anothers(self, network: NetworkRecord, address: str) -> bool:
        place = self._view.places.get(network.id, {}).get(address)
        return place is not None and place.instance != self._me.instance


def _ended(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (err := task.exception()) is not None:
        log.error("%s ended: %s", task.get_name(), err, exc_info=err if not isinstance(err, BerthError) else None)
