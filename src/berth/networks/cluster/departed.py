"""``Departed``: hosts that are gone for good give back what they had: blocks, addresses, the keys of their encryption.

Whoever misses a host first writes down since when, by its own clock. One that has been missed for ``forget_s`` is forgotten, in
transactions that its return makes fail: a host that returns takes its name off that list before it reads what is its own.
"""

from __future__ import annotations

import logging
import time
from itertools import islice

from berth.networks.cluster.etcd import Compare, Etcd, absent, delete, put, unchanged
from berth.networks.cluster.records import Gone, Host, Keys, encode
from berth.networks.cluster.view import View

log = logging.getLogger(__name__)

_OPS_PER_TXN = 100  # etcd takes 128, and as many comparisons


class Departed:
    """Every host looks; what they do at once is done once."""

    def __init__(self, etcd: Etcd, keys: Keys, view: View, me: Host, forget_s: float) -> None:
        self._etcd, self._keys, self._view, self._me, self._forget_s = etcd, keys, view, me, forget_s

    async def look(self) -> None:
        """Now and then, while the view is true. Raises: Unavailable."""
        view, now = self._view, time.time()
        owners = view.owners()
        for instance in sorted(owners - set(view.hosts) - {self._me.instance}):
            known = view.gone.get(instance)
            if known is None:
                marker = self._keys.gone(instance)
                missed = [absent(self._keys.host(instance)), absent(marker)]
                await self._etcd.commit(missed, [put(marker, encode(Gone(now)))])
            elif now - known.since_s > self._forget_s:
                await self._forget(instance)
        for instance in sorted(set(view.gone) - owners):
            if instance in view.gone:  # still: the view goes on meanwhile
                await self._etcd.commit(self._still_gone(instance), [delete(self._keys.gone(instance))])

    async def _forget(self, instance: str) -> None:
        theirs, still_gone = self._view.of(instance), self._still_gone(instance)
        left = iter(theirs.items())
        while some := list(islice(left, _OPS_PER_TXN)):
            same = [unchanged(key, value) for key, value in some]
            if not await self._etcd.commit([*still_gone, *same], [delete(key) for key, _value in some]):
                return  # it is back, or another host was faster
        await self._etcd.commit(still_gone, [delete(self._keys.gone(instance))])
        log.warning(
            "host %s is gone for good: what it had in the cluster store (%d entries) is free", instance, len(theirs)
        )

    def _still_gone(self, instance: str) -> list[Compare]:
        marker = self._keys.gone(instance)
        return [absent(self._keys.host(instance)), unchanged(marker, self._view.raw[marker])]
