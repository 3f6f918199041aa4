"""Parked shims: made ahead of time, because the kernel takes its time for namespaces and mounts.

A claim takes one that is ready. The pool is filled again in the background while no start is under way and none came for
``QUIET_S``: so refilling competes with no start, and runs in a row (a client needs about 20 ms from one ``docker run`` to the
next) find one ready each time. A burst that outruns the pool forks on demand, and is refilled after.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Iterator
from typing import Any

from berth.base.errors import BerthError
from berth.base.ids import new_id
from berth.shim_client.shim import Shim
from berth.shim_client.zygote import Zygote

log = logging.getLogger("berth.pool")

QUIET_S = 0.015
PATIENCE_S = 1.0
"""How long a start may take until the pool is filled beside it: one that hangs must not make the others slow."""


class ShimPool:
    def __init__(self, zygote: Zygote, *, size: int) -> None:
        self._zygote = zygote
        self._size = size
        self._parked: deque[Shim] = deque()
        self._refill: asyncio.Task[None] | None = None
        self._closed = False
        self._last_claim = 0.0
        self._starts = 0
        self._no_start = asyncio.Event()
        self._no_start.set()

    def open(self) -> None:
        """Begin to park the first shims; nobody waits for them, or for a zygote that is not ready to fork yet.

        A host that can't is told at the first start, not here.
        """
        self._refill_soon()

    async def claim(self, *, unparked: bool = False, linux: Any = None, parent: str = "", scope: str = "") -> Shim:
        """A shim for one container. ``unparked``: one whose config (namespaces, cgroup parent) a parked one can't serve.

        ``linux``: of its config: namespaces (all of them), uidMappings, gidMappings. ``scope``: of systemd's, in the slice
        ``parent``.

        Raises: what kept the shim from being made.
        """
        self._last_claim = asyncio.get_running_loop().time()
        if unparked:
            return await self._zygote.fork_shim(scope or _slot(), linux=linux, parent=parent, systemd=bool(scope))
        while self._parked:
            shim = self._parked.popleft()
            if not shim.gone:
                self._refill_soon()
                return shim
        self._refill_soon()
        return await self._zygote.fork_shim(_slot())

    @contextlib.contextmanager
    def start_under_way(self) -> Iterator[None]:
        """The pool is not filled beside a start."""
        self._starts += 1
        self._no_start.clear()
        try:
            yield
        finally:
            self._starts -= 1
            if not self._starts:
                self._no_start.set()

    def _refill_soon(self) -> None:
        if self._refill is None and not self._closed and self._size:
            self._refill = asyncio.get_running_loop().create_task(self._refill_when_quiet())

    async def _refill_when_quiet(self) -> None:
        try:
            while len(self._parked) < self._size and not self._closed:
                await self._quiet()
                if not await self._park():
                    return
        finally:
            self._refill = None

    async def _quiet(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE_S
        while (now := loop.time()) < deadline:
            if self._starts:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._no_start.wait(), deadline - now)
            elif (rest := self._last_claim + QUIET_S - now) > 0:
                await asyncio.sleep(rest)
            else:
                return

    async def _park(self) -> bool:
        try:
            shim = await self._zygote.fork_shim(_slot())
        except (BerthError, OSError) as err:
            log.error("cannot park a shim: %s", err)
            return False
        if self._closed:
            await shim.discard()
        else:
            self._parked.append(shim)
        return not self._closed

    async def close(self) -> None:
        """Let the parked shims go."""
        self._closed = True
        if self._refill is not None:
            self._refill.cancel()
        for shim in self._parked:
            await shim.discard()
        self._parked.clear()


def _slot() -> str:
    return "park-" + new_id()[:24]
