"""``Session``: this host's presence in the store, and the store's picture here, for as long as both can be had.

    lease → read everything → settle → put back what is ours → presence → watch, keep the lease, put what changes ── broken ──┐
      └────────────────────────────────────── again, a moment later ────────────────────────────────────────────────┘

While it is broken the last picture stays: traffic and names go on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from itertools import islice
from time import monotonic

from berth.base.errors import BerthError, Unavailable
from berth.networks.cluster.etcd import Etcd, absent, delete, put
from berth.networks.cluster.records import Host, Keys, encode
from berth.networks.cluster.settings import ClusterSettings
from berth.networks.cluster.view import View

log = logging.getLogger(__name__)

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0
_OPS_PER_TXN = 100  # etcd takes 128


class Session:
    """``wanted``: what of the store shall be this host's; ``changed``: called when the picture is another."""

    def __init__(
        self, etcd: Etcd, keys: Keys, view: View, me: Host, settings: ClusterSettings,
        wanted: Callable[[], dict[str, bytes]], changed: Callable[[], Awaitable[None]],
    ) -> None:  # fmt: skip
        self.connected = asyncio.Event()
        self.mine: dict[str, bytes] = {}  # what the store has of this host's
        self._etcd, self._keys, self._view, self._me = etcd, keys, view, me
        self._ttl_s, self._heartbeat_s = settings.ttl_s, settings.heartbeat_s
        self._wanted, self._changed = wanted, changed
        self._seen = monotonic()
        self._dirty = asyncio.Event()
        self._lease = 0

    @property
    def alone_in_s(self) -> float:
        """When the lease has certainly ended: nobody else can take an address of this host's blocks from then on."""
        return max(0.0, self._seen + self._ttl_s - monotonic())

    def push_soon(self) -> None:
        """What is wanted has changed."""
        self._dirty.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        pause_s, said = _FIRST_PAUSE_S, False
        while True:
            try:
                await self._once()
            except Exception as err:  # whatever it is, the next connection begins anew
                if self.connected.is_set():
                    pause_s, said = _FIRST_PAUSE_S, False
                self.connected.clear()
                if not said:
                    why = _first(err)
                    log.warning(
                        "the cluster store is away, traffic and names go on: %s", why,
                        exc_info=None if isinstance(why, BerthError | OSError) else why,
                    )  # fmt: skip
                    said = True
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    async def leave(self) -> None:
        """This host goes: it is gone for the others at once."""
        if self._lease:
            try:
                await self._etcd.revoke(self._lease)
            except BerthError:
                pass  # it ends by itself

    async def _once(self) -> None:
        lease = self._lease = await self._etcd.grant(self._ttl_s)
        here = delete(self._keys.gone(self._me.instance))  # from now on nobody takes what is ours for a departed host's
        await self._etcd.commit([], [here])
        picture = await self._etcd.read(self._keys.top)
        self._view.clear()  # its revisions may begin anew: the store was restored
        self._view.replace(picture)
        self.mine = self._view.mine()
        await self._changed()  # what is wanted follows from the picture too
        await self._push()
        await self._etcd.commit([], [put(self._keys.host(self._me.instance), encode(self._me), lease), here])
        self._seen = monotonic()
        self.connected.set()
        log.info("in the cluster of %s as %s", ", ".join(self._etcd.urls), self._me.address)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep(lease))
            group.create_task(self._watch(picture.revision + 1))
            group.create_task(self._pushing())

    async def refresh(self) -> int:
        """The picture of this moment; its revision. Raises: Unavailable."""
        picture = await self._etcd.read(self._keys.top)
        self._view.replace(picture)
        await self._changed()
        return picture.revision

    async def _keep(self, lease: int) -> None:
        while True:
            await asyncio.sleep(self._heartbeat_s)
            await self._etcd.keep(lease)
            self._seen = monotonic()

    async def _watch(self, revision: int) -> None:
        async for entries in self._etcd.watch(self._keys.top, revision):
            self._view.apply(entries)
            await self._changed()

    async def _pushing(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            await self._push()

    async def _push(self) -> None:
        """The store has of ours what is wanted, and nothing else."""
        wanted = self._wanted()
        gone = iter([key for key in self.mine if key not in wanted])
        while keys := list(islice(gone, _OPS_PER_TXN)):
            await self._etcd.commit([], [delete(key) for key in keys])
            for key in keys:
                self.mine.pop(key, None)
        fresh = iter([(key, value) for key, value in wanted.items() if self.mine.get(key) != value])
        while pairs := list(islice(fresh, _OPS_PER_TXN)):
            if not await self._put(pairs):
                for pair in pairs:
                    if not await self._put([pair]):
                        log.error("the cluster store has %s as somebody else's, and it is in use here", pair[0])

    async def _put(self, pairs: list[tuple[str, bytes]]) -> bool:
        compares = [absent(key) for key, _value in pairs if key not in self.mine]
        if not await self._etcd.commit(compares, [put(key, value) for key, value in pairs]):
            return False
        self.mine.update(pairs)
        return True


def _first(err: BaseException) -> BaseException:
    while isinstance(err, BaseExceptionGroup):
        err = err.exceptions[0]
    return err if str(err) else Unavailable(type(err).__name__)
