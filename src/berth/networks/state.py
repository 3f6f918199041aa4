"""What the parts of the service share: the networks and living endpoints of one engine, and who speaks to the kernel.

Dictionaries are read and written on the event loop and on the worker thread alike: single operations only, never a loop over
one that the other side may change, but over a copy of it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from berth.kernel.netlink.sock import Netlink
from berth.kernel.nft.model import Table
from berth.networks import ruleset
from berth.networks.drivers.contract import Driver
from berth.networks.drivers.esp import Esp
from berth.networks.firewall import Firewall
from berth.networks.forwarding import Forwarding
from berth.networks.ipam.book import AddressBook
from berth.networks.netd_link import NetdLink
from berth.networks.options import NetworkOptions
from berth.networks.publishing import Publisher
from berth.networks.records import Endpoint, NetworkRecord
from berth.networks.resolver import Resolver, Resolving

if TYPE_CHECKING:
    from berth.networks.cluster.service import Cluster
    from berth.networks.ipam.remote import RemoteIpam
    from berth.plugins.client import Plugins
    from berth.plugins.worker import Worker

T = TypeVar("T")


class State:
    """``nl``, ``drivers``, ``esp``, ``firewall`` and ``publisher`` are there once the service is open."""

    nl: Netlink
    drivers: dict[str, Driver]
    esp: Esp
    firewall: Firewall
    publisher: Publisher

    def __init__(
        self, instance_id: str, options: NetworkOptions, netd: NetdLink, cluster: Cluster | None = None
    ) -> None:
        self.instance_id = instance_id
        self.options = options
        self.netd = netd
        self.cluster = cluster  # what hosts share, None without a cluster store
        self.resolver = Resolver(netd, options.dns)
        self.networks: dict[str, NetworkRecord] = {}  # by name
        self.live: dict[str, Endpoint] = {}  # by endpoint id
        self.plugged: set[str] = set()  # endpoints whose interface is in a running container
        self.addresses = AddressBook()
        self.servers: dict[str, tuple[str, ...]] = {}  # --dns by container that is served names
        self.forwarding = Forwarding(netd.directory, guards=not options.ip_forward_no_drop)
        self.making: dict[str, NetworkRecord] = {}  # by name: planned, not there yet
        self.thread = ThreadPoolExecutor(1, "networks", initializer=self._began)
        self._ident = 0
        self._workers: dict[str, Worker] = {}

    def _began(self) -> None:
        self._ident = threading.get_ident()

    async def call(self, work: Callable[..., T], *args: Any) -> T:
        """On the networks' worker thread: every system call is made there, never on the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self.thread, work, *args)

    async def ask(self, plugin: str, work: Callable[..., T], *args: Any) -> T:
        """On the thread of that plugin's own: one that does not answer holds up nobody else."""
        if plugin not in self._workers:
            from berth.plugins.worker import Worker

            self._workers[plugin] = Worker(plugin)
        return await asyncio.wrap_future(self._workers[plugin].submit(work, *args))

    async def by(self, driver: Driver, work: Callable[..., T], *args: Any) -> T:
        """On the thread where this driver's calls are made."""
        return await (self.ask(driver.name, work, *args) if driver.keeps else self.call(work, *args))

    def here(self, work: Callable[..., T], *args: Any) -> T:
        """On the networks' worker thread, from there or from a plugin's: the kernel is spoken to on one thread alone."""
        if threading.get_ident() == self._ident:
            return work(*args)
        return self.thread.submit(work, *args).result()

    async def find_driver(self, name: str) -> Driver:
        """The driver of this name: one of ours, or a plugin, which is activated.

        Raises: NotFound in Docker's words, BerthError of what the plugin says.
        """
        known = self.drivers.get(name)
        if known is not None:
            return known
        return self.drivers.setdefault(name, await self.ask(name, lambda: self.remote_driver(name, activate=True)))

    def remote_driver(self, name: str, *, activate: bool) -> Driver:
        """A plugin's, asked for nothing yet without ``activate``."""
        from berth.networks.drivers.remote import RemoteDriver

        found = RemoteDriver(self.nl, name, self.plugins, self.here)
        if activate:
            found.activate()
        return found

    @cached_property
    def plugins(self) -> Plugins:
        """Those of this host. Most engines never need what speaks to them."""
        from berth.plugins.client import Plugins

        return Plugins()

    def ipam(self, name: str) -> RemoteIpam:
        """The plugin that addresses come from; asked on its own thread."""
        from berth.networks.ipam.remote import RemoteIpam

        return RemoteIpam(self.plugins, name)

    def desired(self) -> Table:
        """The firewall table as it should be now."""
        networks = list(self.networks.values())
        bridges = [ruleset.Bridge.of(n) for n in networks if self.drivers[n.driver].publishes]
        return ruleset.desired(self.instance_id, bridges, list(self.live.values()), guard=self.forwarding.guarded)

    def resolving(self, container_id: str, but: Endpoint | None = None) -> Resolving:
        """How a container resolves names now, ``but`` for one of its endpoints that is about to go."""
        own = [e for e in list(self.live.values()) if e.container_id == container_id and e is not but]
        return Resolving(self.servers.get(container_id, ()), any(e.gateway or e.gateway6 for e in own))

    def driver_of(self, endpoint: Endpoint) -> Driver:
        return self.drivers[endpoint.driver]

    def network_of(self, endpoint: Endpoint) -> NetworkRecord:
        return self.networks[endpoint.network_name]
