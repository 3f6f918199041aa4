"""``Healing``: what somebody else took away is put back: our rules when nftables is changed, netd when it dies.

The kernel tells of both, by a netlink group and a pidfd. Nothing that is right is touched.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable

from berth.base.errors import BerthError
from berth.networks.firewall import Watch
from berth.networks.publishing import holds_of
from berth.networks.records import Endpoint
from berth.networks.resolver import Resolving
from berth.networks.state import State

log = logging.getLogger(__name__)


class Healing:
    """Watches from ``start`` to ``stop``. ``pid_of`` tells the init of a running container."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._pid_of: Callable[[str], int] = lambda _container_id: 0
        self._netd_fd = -1
        self._watch: Watch | None = None
        self._reconciling: asyncio.Task[None] | None = None

    def start(self) -> None:
        """After: the service has adopted what lives."""
        firewall = self._state.firewall
        self._watch = Watch(firewall.name, firewall.port_id)
        asyncio.get_running_loop().add_reader(self._watch.fileno(), self._touched)
        self._watch_netd()

    def stop(self) -> None:
        if self._watch is not None:
            asyncio.get_running_loop().remove_reader(self._watch.fileno())
            self._watch.close()
            self._watch = None
        self._forget_netd()

    # --- netd

    def tell_netd(self, pid_of: Callable[[str], int] | None = None) -> None:
        """Held ports and names are what they should be. On the worker thread."""
        self._pid_of = pid_of or self._pid_of
        state = self._state
        live = list(state.live.values())
        state.netd.keep(state.firewall.fileno())
        state.netd.reconcile([hold for e in live for hold in holds_of(e)])
        wanted: dict[str, tuple[Resolving, list[Endpoint]]] = {}
        for endpoint in live:
            if endpoint.names:
                how = state.resolving(endpoint.container_id)
                wanted.setdefault(endpoint.container_id, (how, []))[1].append(endpoint)
        state.resolver.reconcile(wanted, self._pid_of)

    def _watch_netd(self) -> None:
        """netd answers names and holds ports: when it dies, its successor is told everything at once."""
        self._forget_netd()
        try:
            self._netd_fd = os.pidfd_open(self._state.netd.pid)
        except OSError:
            self._netd_fd = -1
            return
        asyncio.get_running_loop().add_reader(self._netd_fd, self._netd_died)

    def _forget_netd(self) -> None:
        if self._netd_fd >= 0:
            asyncio.get_running_loop().remove_reader(self._netd_fd)
            os.close(self._netd_fd)
            self._netd_fd = -1

    def _netd_died(self) -> None:
        self._forget_netd()
        self._reviving = asyncio.get_running_loop().create_task(self._revive())

    async def _revive(self) -> None:
        try:
            await self._state.call(self.tell_netd)
            log.warning("netd had died: its successor (pid %d) serves names and ports again", self._state.netd.pid)
        except (OSError, BerthError) as err:
            log.error("netd had died, and could not be started again: %s", err)
            return
        self._watch_netd()

    # --- rules

    def _touched(self) -> None:
        if self._watch is not None and self._watch.touched() and self._reconciling is None:
            self._reconciling = asyncio.get_running_loop().create_task(self._heal())

    async def _heal(self) -> None:
        firewall = self._state.firewall
        try:
            if await self._state.call(firewall.reconcile):
                log.warning("the firewall table %s was changed by somebody else: it was put right", firewall.name)
        except OSError as err:
            log.error("the firewall table could not be put right: %s", err)
        finally:
            self._reconciling = None
