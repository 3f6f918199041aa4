"""``EspWatch``: IPsec that somebody took away (``ip xfrm policy flush``, an IKE daemon that starts) is put back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from berth.kernel.netlink.sock import Netlink
from berth.kernel.netlink.xfrm import watch_removals

log = logging.getLogger(__name__)

_CALM_S = 0.05
"""So long is waited after the first news: a flush is followed by others, and so is a change of our own."""


class EspWatch:
    """Calls ``mend`` after states or policies went, whoever took them: what is right then must be left as it is."""

    def __init__(self, mend: Callable[[], Awaitable[None]]) -> None:
        self._mend = mend
        self._nl: Netlink | None = None
        self._soon: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """From now on; nothing when it watches already."""
        if self._nl is None:
            try:
                self._nl = watch_removals()
            except OSError as err:  # a kernel without IPsec: nothing is encrypted here, and that is said elsewhere
                log.debug("xfrm: %s", err)
                return
            asyncio.get_running_loop().add_reader(self._nl.sock.fileno(), self._heard, self._nl)

    def stop(self) -> None:
        if self._nl is not None:
            asyncio.get_running_loop().remove_reader(self._nl.sock.fileno())
            self._nl.close()
            self._nl = None
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None

    def _heard(self, nl: Netlink) -> None:
        while True:
            try:
                nl.sock.recv(1 << 16)
            except BlockingIOError:
                break
            except OSError:  # ENOBUFS: we missed some
                continue
        if self._soon is None:
            self._soon = asyncio.get_running_loop().call_later(_CALM_S, self._go)

    def _go(self) -> None:
        self._soon = None

        async def mend() -> None:
            await self._mend()

        self._task = asyncio.get_running_loop().create_task(mend(), name="encryption between hosts")
