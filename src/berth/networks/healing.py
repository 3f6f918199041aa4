"""``Healing``: what somebody else took away is put back. The kernel tells of it; nothing that is right is touched.

nftables changed      the table is compared and written anew         (firewall.Watch)
a link, an address    bridges are made again, interfaces attached    (link_watch.LinkWatch)
netd died             its successor is told everything               (a pidfd)
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable

from berth.base.errors import BerthError
from berth.networks import sandbox
from berth.networks.firewall import Watch
from berth.networks.link_watch import LinkWatch
from berth.networks.publishing import holds_of
from berth.networks.records import Endpoint
from berth.networks.resolver import Resolving
from berth.networks.state import State

log = logging.getLogger(__name__)

_CALM_S, _LONGEST_CALM_S = 0.05, 10.0
"""So long after bad news links are looked at: one ``ip link delete`` is many of them, and so is a container's end. Twice as
long after each time that something could not be mended, since trying is bad news too."""


class Healing:
    """Watches from ``start`` to ``stop``. ``pid_of`` tells the init of a running container."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._pid_of: Callable[[str], int] = lambda _container_id: 0
        self._netd_fd = -1
        self._watches: list[Watch | LinkWatch] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._checking: asyncio.TimerHandle | None = None
        self._calm_s = _CALM_S

    def start(self) -> None:
        """After: the service has adopted what lives."""
        firewall = self._state.firewall
        rules, links = Watch(firewall.name, firewall.port_id), LinkWatch()
        loop = asyncio.get_running_loop()
        loop.add_reader(rules.fileno(), self._rules_touched, rules)
        loop.add_reader(links.fileno(), self._links_gone, links)
        self._watches = [rules, links]
        self._watch_netd()

    def stop(self) -> None:
        for watch in self._watches:
            asyncio.get_running_loop().remove_reader(watch.fileno())
            watch.close()
        self._watches = []
        if self._checking is not None:
            self._checking.cancel()
        self._forget_netd()

    def _work(self, work: Callable[[], None], what: str) -> None:
        """On the worker thread; a failure is logged."""

        async def run() -> None:
            try:
                await self._state.call(work)
            except (OSError, BerthError) as err:
                log.error("%s: %s", what, err)

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

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
        loop = asyncio.get_running_loop()

        def revive() -> None:
            self.tell_netd()
            log.warning("netd had died: its successor (pid %d) serves names and ports again", self._state.netd.pid)
            loop.call_soon_threadsafe(self._watch_netd)

        self._work(revive, "netd had died, and could not be started again")

    # --- rules

    def _rules_touched(self, watch: Watch) -> None:
        if watch.touched():
            self._work(self._write_rules, "the firewall table could not be put right")

    def _write_rules(self) -> None:
        firewall = self._state.firewall
        if firewall.reconcile():
            log.warning("the firewall table %s was changed by somebody else: it was put right", firewall.name)

    # --- links

    def _links_gone(self, watch: LinkWatch) -> None:
        names = {gone.name for gone in watch.gone()}
        if self._checking is None and names & self._ours():
            self._checking = asyncio.get_running_loop().call_later(self._calm_s, self._check)

    def _ours(self) -> set[str]:
        state = self._state
        ends = {e.host_link for e in list(state.live.values()) if e.id in state.plugged}
        networks = list(state.networks.values())
        return {"", *(n.link for n in networks if n.link), *(n.vxlan for n in networks if n.vxlan), *ends}

    def _check(self) -> None:
        self._checking = None
        self._work(self.mend, "links that were taken away could not be put back")

    def mend(self) -> None:
        """Bridges are there, with their addresses, and the interfaces of living containers are at them. On the worker thread."""
        state, well = self._state, True
        for network in list(state.networks.values()):
            if network.ours and state.drivers[network.driver].publishes:
                try:
                    state.drivers[network.driver].ensure(network)
                except (OSError, BerthError) as err:
                    log.error("network %s: %s", network.name, err)
                    well = False
        for endpoint in list(state.live.values()):
            if endpoint.id in state.plugged:
                well = self._mend_one(endpoint) and well
        self._calm_s = _CALM_S if well else min(self._calm_s * 2, _LONGEST_CALM_S)

    def _mend_one(self, endpoint: Endpoint) -> bool:
        """False when it could not be."""
        driver, network = self._state.driver_of(endpoint), self._state.networks.get(endpoint.network_name)
        pid = self._pid_of(endpoint.container_id)
        if network is None or not pid:
            return True
        try:
            if driver.mend(network, endpoint):
                return True
            with sandbox.open_sandbox(pid) as inside:
                if endpoint.id not in self._state.plugged:
                    return True  # it was let go meanwhile
                driver.attach(network, endpoint, inside.netns_fd)
                sandbox.configure(endpoint, inside)
            if endpoint.published:
                driver.expose(network, endpoint)
            log.warning(
                "container %s had lost its link to network %s: it has one again", endpoint.container_name, network.name
            )
            return True
        except (OSError, BerthError) as err:
            if not os.path.exists(f"/proc/{pid}/ns/net"):
                return True  # it ended, and its link with it
            log.error("container %s lost its link to network %s: %s", endpoint.container_name, network.name, err)
            return False
