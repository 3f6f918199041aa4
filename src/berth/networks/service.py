"""``NetworkService``: what the engine asks of networks. A facade: the work is in the modules beside it.

Order at the daemon's start: ``open`` (bridges, sysctls, table, netd: nothing that carries traffic is touched), then
``adopt`` exactly once with the endpoints whose containers live (an empty list counts), which makes kernel, netd and leases
agree with them. After that, per container: ``admit`` once a network, ``attach`` and ``publish`` (both while the init
mounts; in any order or at once), later ``release``; ``connect`` and ``disconnect`` while it runs. ``close`` leaves everything
running.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from berth.base.clock import now_ns
from berth.base.errors import BerthError, Forbidden, InvalidArgument, NotFound
from berth.base.ids import new_id
from berth.base.layout import Layout
from berth.db.database import Database
from berth.kernel.netlink.sock import Netlink
from berth.networks import render, ruleset
from berth.networks.catalog import Catalog
from berth.networks.cluster.parts import Parts
from berth.networks.drivers import all_drivers, default
from berth.networks.drivers.esp import Esp
from berth.networks.endpoints import Member
from berth.networks.firewall import Firewall
from berth.networks.healing import Healing
from berth.networks.netd_link import NetdLink
from berth.networks.options import NetworkOptions
from berth.networks.plugs import Plugs
from berth.networks.ports import PortMap, Ports, PortWishes
from berth.networks.publishing import Publisher
from berth.networks.records import Endpoint, NetworkRecord, load_endpoints, load_networks, save_network
from berth.networks.sandbox import Sandbox
from berth.networks.state import State
from berth.spec.api.containers import EndpointSettings, NetworkSettings

if TYPE_CHECKING:
    from berth.networks.cluster.service import Cluster

__all__ = [
    "Endpoint",
    "Member",
    "NetdStarter",
    "NetworkOptions",
    "NetworkRecord",
    "NetworkService",
    "PortMap",
    "PortWishes",
    "Sandbox",
]

NetdStarter = Callable[[socket.socket, str], Awaitable[int]]
"""Starts netd on a listening socket and a table path and returns its pid (the zygote's ``fork netd``). The socket is the
caller's to close afterwards. Without one, ``open`` starts netd as a program of its own."""


class Living(NamedTuple):
    """A container that runs, as ``adopt`` is told: ``servers`` are its ``--dns``."""

    container_id: str
    servers: tuple[str, ...]
    endpoints: list[Endpoint]


log = logging.getLogger(__name__)


class NetworkService:
    """Networks of one engine. Every ``await`` does its system calls on one worker thread, never on the event loop."""

    def __init__(
        self,
        instance_id: str,
        layout: Layout,
        db: Database,
        options: NetworkOptions,
        *,
        start_netd: NetdStarter | None = None,
        cluster: Cluster | None = None,
    ) -> None:
        self.options = options
        self.bridge_note = ""  # which bridge was chosen, where it is not docker0
        self._db = db
        self._start_netd = start_netd
        self._esp_path = layout.esp
        self._loop: asyncio.AbstractEventLoop | None = None
        netd = NetdLink(layout.netd, instance_id, self._start_netd_now if start_netd is not None else None)
        self._state = State(instance_id, options, netd, cluster)
        self._healing = Healing(self._state)
        self._telling: asyncio.Task[None] | None = None
        self._catalog = catalog = Catalog(self._state, db)
        self.resolve, self.find, self.inspect, self.list_ = (
            catalog.resolve, catalog.find, catalog.inspect, catalog.list_,
        )  # fmt: skip
        self.create, self.remove, self.users_made = catalog.create, catalog.remove, catalog.users_made
        ports = Ports(self._state)
        self.publish, self.port_map = ports.publish, ports.port_map
        self._plugs = plugs = Plugs(self._state, ports)
        self.admit, self.attach, self.release = plugs.admit, plugs.attach, plugs.release
        self.connects = plugs.connects
        self.connect, self.disconnect = plugs.connect, plugs.disconnect

    # --- life

    async def open(self) -> None:
        """Ensure the bridges, sysctls, the table and netd. Raises: Conflict, InvalidArgument, Unsupported."""
        self._loop = asyncio.get_running_loop()
        known = {n.name: n for n in await self._db.read(load_networks)}
        for record in await self._state.call(self._open, known):
            await self._db.write(lambda conn, r=record: save_network(conn, r))  # type: ignore[misc]

    def _open(self, known: dict[str, NetworkRecord]) -> list[NetworkRecord]:
        state, options = self._state, self.options
        state.nl = Netlink()
        address = state.cluster.settings.address if state.cluster is not None else ""
        state.esp = Esp(state.instance_id, address, self._esp_path)
        state.drivers = all_drivers(state.nl, state.instance_id, state.esp, address)
        fresh = []
        for name, driver in (("host", "host"), ("none", "null")):
            record = known.get(name)
            if record is None:
                record = NetworkRecord(id=new_id(), name=name, driver=driver, created_ns=now_ns())
                fresh.append(record)
            state.networks[name] = record
        if options.ip_forward and options.bridge != "none":
            state.forwarding.enable(4)
            if options.ipv6:
                state.forwarding.enable(6)
        users = [n for n in known.values() if not n.predefined]
        if options.bridge != "none":
            fresh += self._open_bridge(known.get("bridge"), users)
        for record in users:
            state.networks[record.name] = record
            state.addresses.open(record)
            if record.driver not in state.drivers:
                state.drivers[record.driver] = state.remote_driver(record.driver, activate=False)
            self._ensure(record)
        state.firewall = Firewall(ruleset.table_name(state.instance_id), state.desired)
        if state.netd.open():
            state.netd.keep()  # the socket of the daemon before: the table can be claimed then
        state.publisher = Publisher(state.netd, state.firewall)
        return fresh

    def _ensure(self, record: NetworkRecord) -> None:
        """A network that can't be made again must not keep the engine from starting: its containers' starts will tell."""
        try:
            self._state.drivers[record.driver].ensure(record)
        except (OSError, NotFound, Forbidden, InvalidArgument) as err:
            log.error("network %s: %s", record.name, err)

    def _open_bridge(self, known: NetworkRecord | None, users: list[NetworkRecord]) -> list[NetworkRecord]:
        state = self._state
        others = [ip_network(s.subnet) for n in users for s in n.subnets]
        record = default.choose(state.nl, state.instance_id, self.options, known, others)
        record.id = known.id if known is not None else new_id()
        record.created_ns = known.created_ns if known is not None else now_ns()
        state.drivers["bridge"].ensure(record)
        state.networks["bridge"] = record
        state.addresses.open(record)
        if record.link != default.PREFERRED and not self.options.bridge:
            self.bridge_note = (
                f"the default bridge is {record.link} ({record.subnets[0].subnet}): "
                f"{default.PREFERRED} is somebody else's"
            )
            log.info(self.bridge_note)
        return [] if known == record else [record]

    def _start_netd_now(self, listener: socket.socket, table_path: str) -> int:
        """From the worker thread: let the event loop ask the zygote."""
        assert self._start_netd is not None and self._loop is not None

        async def start(starter: NetdStarter) -> int:
            return await starter(listener, table_path)

        return asyncio.run_coroutine_threadsafe(start(self._start_netd), self._loop).result()

    async def saved(self) -> list[Endpoint]:
        """The endpoints that the database holds: the engine picks the live ones for ``adopt``."""
        return await self._db.read(load_endpoints)

    async def adopt(self, living: Sequence[Living], pid_of: Callable[[str], int] = lambda _container_id: 0) -> None:
        """Take over the endpoints of living containers: leases, rules, held ports, names; remove what belongs to nobody.

        Nothing that agrees already is touched, so connections and published ports do not flap. Rows of endpoints that
        are not in ``living`` are forgotten. ``pid_of`` tells the init of a running container, also later on.
        """
        live = [endpoint for each in living for endpoint in each.endpoints]
        keep = {e.id for e in live}
        for each in living:
            if any(e.names for e in each.endpoints):
                self._state.servers[each.container_id] = each.servers

        def forget(conn: Any) -> list[Endpoint]:
            gone = [e for e in load_endpoints(conn) if e.id not in keep]
            conn.executemany("DELETE FROM endpoints WHERE id = ?", [(e.id,) for e in gone])
            return gone

        gone = await self._db.write(forget)
        await self._state.call(self._adopt, live, pid_of)
        self._tell_plugins(gone)
        self._healing.start()
        if self._state.cluster is not None:
            await self._state.cluster.start(Parts.of(self._state, self._db, self._catalog))

    def _tell_plugins(self, gone: list[Endpoint]) -> None:
        """What they must know of an engine that has started. None of them keeps it from serving: each has a thread of its own,
        where later calls come after these."""

        async def tell() -> None:
            for network in [n for n in self._state.networks.values() if n.remote_ipam]:
                await self._replay(network)
            await self._plugs.ended(gone)

        if gone or any(n.remote_ipam for n in self._state.networks.values()):
            self._telling = asyncio.get_running_loop().create_task(tell(), name="plugins of networks")

    async def _replay(self, network: NetworkRecord) -> None:
        ipam = self._state.ipam(network.ipam_driver)
        own = [e for e in self._state.live.values() if e.network_id == network.id]
        taken = [(address, e.mac) for e in own for address in e.addresses]
        try:
            if await self._state.ask(ipam.name, ipam.replay, network, taken):
                await self._db.write(lambda conn: save_network(conn, network))
        except BerthError as err:
            log.error("network %s: its addresses are not known to plugin %s: %s", network.name, ipam.name, err)

    def _adopt(self, live: list[Endpoint], pid_of: Callable[[str], int]) -> None:
        state = self._state
        for endpoint in live:
            state.live[endpoint.id] = endpoint
            state.plugged.add(endpoint.id)
            state.addresses.adopt(endpoint.network_id, endpoint.addresses)
            state.publisher.adopt(endpoint)
        state.firewall.reconcile()
        self._healing.tell_netd(pid_of)
        for driver in state.drivers.values():
            driver.sweep(live)
        self._healing.mend()
        state.firewall.warn_of_others()

    async def close(self) -> None:
        """Let go of sockets and threads. Links, rules and netd stay, for living containers.

        Without living endpoints there is nobody to serve: rules, bridges and netd go too.
        """
        state = self._state
        self._healing.stop()
        if self._telling is not None:
            self._telling.cancel()
        if state.cluster is not None:
            await state.cluster.stop()
        if not any(state.driver_of(e).addressed for e in state.live.values()):
            await self.purge()
        await state.call(self._close)
        state.thread.shutdown(wait=True)

    def _close(self) -> None:
        self._state.netd.close()
        self._state.firewall.close()
        self._state.nl.close()

    async def purge(self) -> None:
        """Remove everything of this instance from the kernel and end netd (tests, uninstall)."""
        await self._state.call(self._remove_all)

    def _remove_all(self) -> None:
        state = self._state
        try:
            state.netd.quit()
            if state.firewall.exists():
                state.firewall.remove()
            for network in state.networks.values():
                if not state.drivers[network.driver].keeps:
                    state.drivers[network.driver].remove(network)
        except OSError as err:
            log.warning("removing the networks: %s", err)

    # --- shown

    def host_address(self, endpoints: Sequence[Endpoint]) -> str:
        """Where a container reaches this host: its bridge's address, of the network with the default route first; ""."""
        for endpoint in sorted(endpoints, key=lambda e: not (e.routes4 or e.routes6)):
            network = self._state.networks.get(endpoint.network_name)
            if network is not None and self._state.driver_of(endpoint).publishes:
                for subnet, mode in ((network.v4, network.gateway_mode), (network.v6, network.gateway_mode6)):
                    if subnet is not None and mode != "isolated":
                        return subnet.gateway
        return ""

    def render_settings(
        self, endpoints: Sequence[Endpoint], asked: Mapping[str, Mapping[str, Any]], ports: PortMap | None
    ) -> NetworkSettings:
        """``NetworkSettings`` of inspect. ``endpoints`` is empty when the container doesn't run: then ``asked``, by name
        of network, shows what it would get."""
        if endpoints:
            networks = {e.network_name: render.render_endpoint(e) for e in endpoints}
        else:
            networks = {name: render.render_unconnected(each, self.find(name)) for name, each in asked.items()}
        return cast("NetworkSettings", render.render_settings(endpoints, networks, ports))

    def render_endpoint(self, endpoint: Endpoint) -> EndpointSettings:
        """One entry of ``NetworkSettings.Networks``, for inspect and list."""
        return cast("EndpointSettings", render.render_endpoint(endpoint))
