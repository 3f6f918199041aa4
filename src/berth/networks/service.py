"""``NetworkService``: what the engine asks of networks. A facade: the work is in the modules beside it.

Order at the daemon's start: ``open`` (bridges, sysctls, table, netd: nothing that carries traffic is touched), then
``adopt`` exactly once with the endpoints whose containers live (an empty list counts), which makes kernel, netd and leases
agree with them. After that, per container: ``allocate`` once a network, ``attach`` and ``publish`` (both while the init
mounts; in any order or at once), later ``release``; ``connect`` and ``disconnect`` while it runs. ``close`` leaves everything
running.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network
from typing import Any, NamedTuple, TypeVar, cast

from berth.base.clock import now_ns
from berth.base.errors import BerthError, Forbidden, InvalidArgument, NotFound, ResourceExhausted
from berth.base.ids import is_hex, new_id
from berth.base.layout import Layout
from berth.db.database import Database
from berth.kernel.netlink.sock import Netlink
from berth.kernel.nft.model import Table
from berth.networks import endpoints as ep
from berth.networks import filters, render, ruleset, sandbox
from berth.networks.creation import plan_network
from berth.networks.drivers import all_drivers, default
from berth.networks.drivers.bridge import enable_forwarding
from berth.networks.drivers.contract import Driver
from berth.networks.endpoints import Member
from berth.networks.firewall import Firewall, Watch
from berth.networks.host_ports import Wanted, exposed_ports, plan_publish
from berth.networks.ipam.book import AddressBook
from berth.networks.mac import mac_for, parse_mac
from berth.networks.netd_link import NetdLink
from berth.networks.options import NetworkOptions
from berth.networks.publishing import Publisher, holds_of
from berth.networks.records import (
    Endpoint,
    NetworkRecord,
    forget_network,
    load_endpoints,
    load_networks,
    save_network,
)
from berth.networks.request import NetworkRequest
from berth.networks.resolver import Resolver, Resolving
from berth.networks.sandbox import Sandbox
from berth.spec import messages
from berth.spec.api.containers import EndpointSettings, NetworkSettings, PortBinding
from berth.spec.api.networks import Network

__all__ = [
    "Endpoint",
    "Member",
    "NetdStarter",
    "NetworkOptions",
    "NetworkRecord",
    "NetworkService",
    "PortMap",
    "Sandbox",
]

PortMap = dict[str, list[PortBinding] | None]
"""``NetworkSettings.Ports``: ``{"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "443/tcp": None}``."""

NetdStarter = Callable[[socket.socket, str], Awaitable[int]]
"""Starts netd on a listening socket and a table path and returns its pid (the zygote's ``fork netd``). The socket is the
caller's to close afterwards. Without one, ``open`` starts netd as a program of its own."""


class Living(NamedTuple):
    """A container that runs, as ``adopt`` is told: ``servers`` are its ``--dns``."""

    container_id: str
    servers: tuple[str, ...]
    endpoints: list[Endpoint]


T = TypeVar("T")
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
    ) -> None:
        self.instance_id = instance_id
        self.options = options
        self._db = db
        self._start_netd = start_netd
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="networks")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._networks: dict[str, NetworkRecord] = {}  # by name
        self._live: dict[str, Endpoint] = {}  # by endpoint id
        self._addresses = AddressBook()
        self._netd = NetdLink(layout.netd, instance_id, self._start_netd_now if start_netd is not None else None)
        self._resolver = Resolver(self._netd, options.dns)
        self._servers: dict[str, tuple[str, ...]] = {}  # --dns by container that is served names
        self._pid_of: Callable[[str], int] = lambda _container_id: 0
        self._netd_fd = -1
        self._watch: Watch | None = None
        self._guard = False
        self._reconciling: asyncio.Task[None] | None = None

    async def _call(self, work: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)

    # --- life

    async def open(self) -> None:
        """Ensure the bridges, sysctls, the table and netd. Raises: Conflict, InvalidArgument, Unsupported."""
        self._loop = asyncio.get_running_loop()
        known = {n.name: n for n in await self._db.read(load_networks)}
        for record in await self._call(self._open, known):
            await self._db.write(lambda conn, r=record: save_network(conn, r))  # type: ignore[misc]

    def _open(self, known: dict[str, NetworkRecord]) -> list[NetworkRecord]:
        self._nl = Netlink()
        self._drivers: dict[str, Driver] = all_drivers(self._nl, self.instance_id)
        fresh = []
        for name, driver in (("host", "host"), ("none", "null")):
            record = known.get(name)
            if record is None:
                record = NetworkRecord(id=new_id(), name=name, driver=driver, created_ns=now_ns())
                fresh.append(record)
            self._networks[name] = record
        if self.options.ip_forward and self.options.bridge != "none":
            self._guard = enable_forwarding() and not self.options.ip_forward_no_drop
        users = [n for n in known.values() if not n.predefined]
        if self.options.bridge != "none":
            fresh += self._open_bridge(known.get("bridge"), users)
        for record in users:
            self._networks[record.name] = record
            self._addresses.open(record)
            self._ensure(record)
        self._firewall = Firewall(ruleset.table_name(self.instance_id), self._desired)
        self._netd.open()
        self._publisher = Publisher(self._netd, self._firewall)
        return fresh

    def _ensure(self, record: NetworkRecord) -> None:
        """A network that can't be made again must not keep the engine from starting: its containers' starts will tell."""
        try:
            self._drivers[record.driver].ensure(record)
        except (KeyError, OSError, NotFound, Forbidden, InvalidArgument) as err:
            log.error("network %s: %s", record.name, err)

    def _open_bridge(self, known: NetworkRecord | None, users: list[NetworkRecord]) -> list[NetworkRecord]:
        others = [ip_network(s.subnet) for n in users for s in n.subnets]
        record = default.choose(self._nl, self.instance_id, self.options, known, others)
        record.id = known.id if known is not None else new_id()
        record.created_ns = known.created_ns if known is not None else now_ns()
        self._drivers["bridge"].ensure(record)
        self._networks["bridge"] = record
        self._addresses.open(record)
        if record.link != default.PREFERRED and not self.options.bridge:
            log.info(
                "the default bridge is %s (%s): %s is somebody else's",
                record.link, record.subnets[0].subnet, default.PREFERRED,
            )  # fmt: skip
        return [] if known == record else [record]

    def _start_netd_now(self, listener: socket.socket, table_path: str) -> int:
        """From the worker thread: let the event loop ask the zygote."""
        assert self._start_netd is not None and self._loop is not None

        async def start(starter: NetdStarter) -> int:
            return await starter(listener, table_path)

        return asyncio.run_coroutine_threadsafe(start(self._start_netd), self._loop).result()

    def _desired(self) -> Table:
        bridges = [ruleset.Bridge.of(n) for n in self._networks.values() if self._drivers[n.driver].publishes]
        return ruleset.desired(self.instance_id, bridges, self._live.values(), guard=self._guard)

    async def saved(self) -> list[Endpoint]:
        """The endpoints that the database holds: the engine picks the live ones for ``adopt``."""
        return await self._db.read(load_endpoints)

    async def adopt(self, living: Sequence[Living], pid_of: Callable[[str], int] = lambda _container_id: 0) -> None:
        """Take over the endpoints of living containers: leases, rules, held ports, names; remove what belongs to nobody.

        Nothing that agrees already is touched, so connections and published ports do not flap. Rows of endpoints that
        are not in ``living`` are forgotten. ``pid_of`` tells the init of a running container, also later on.
        """
        self._pid_of = pid_of
        live = [endpoint for each in living for endpoint in each.endpoints]
        keep = {e.id for e in live}
        for each in living:
            if any(e.names for e in each.endpoints):
                self._servers[each.container_id] = each.servers

        def forget(conn: Any) -> None:
            for (ident,) in conn.execute("SELECT id FROM endpoints").fetchall():
                if ident not in keep:
                    conn.execute("DELETE FROM endpoints WHERE id = ?", (ident,))

        await self._db.write(forget)
        await self._call(self._adopt, live)
        self._start_watching()
        self._watch_netd()

    def _adopt(self, live: list[Endpoint]) -> None:
        for endpoint in live:
            self._live[endpoint.id] = endpoint
            self._addresses.adopt(endpoint.network_id, endpoint.addresses)
            self._publisher.adopt(endpoint)
        self._firewall.reconcile()
        self._tell_netd()
        for driver in self._drivers.values():
            driver.sweep(live)
        self._firewall.warn_of_others()

    def _tell_netd(self) -> None:
        """Held ports and names are what they should be."""
        self._netd.reconcile([hold for e in self._live.values() for hold in holds_of(e)])
        wanted: dict[str, tuple[Resolving, list[Endpoint]]] = {}
        for endpoint in self._live.values():
            if endpoint.names:
                how = self._resolving(endpoint.container_id)
                wanted.setdefault(endpoint.container_id, (how, []))[1].append(endpoint)
        self._resolver.reconcile(wanted, self._pid_of)

    def _resolving(self, container_id: str) -> Resolving:
        own = [e for e in self._live.values() if e.container_id == container_id]
        return Resolving(self._servers.get(container_id, ()), any(e.gateway or e.gateway6 for e in own))

    def _watch_netd(self) -> None:
        """netd answers names and holds ports: when it dies, its successor is told everything at once."""
        self._forget_netd()
        try:
            self._netd_fd = os.pidfd_open(self._netd.pid)
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
            await self._call(self._tell_netd)
            log.warning("netd had died: its successor (pid %d) serves names and ports again", self._netd.pid)
        except (OSError, BerthError) as err:
            log.error("netd had died, and could not be started again: %s", err)
            return
        self._watch_netd()

    def _start_watching(self) -> None:
        """Be told when somebody else changes nftables, and put back what is ours."""
        self._watch = Watch(self._firewall.name, self._firewall.port_id)
        asyncio.get_running_loop().add_reader(self._watch.fileno(), self._touched)

    def _touched(self) -> None:
        if self._watch is not None and self._watch.touched() and self._reconciling is None:
            self._reconciling = asyncio.get_running_loop().create_task(self._heal())

    async def _heal(self) -> None:
        try:
            if await self._call(self._firewall.reconcile):
                log.warning("the firewall table %s was changed by somebody else: it was put right", self._firewall.name)
        except OSError as err:
            log.error("the firewall table could not be put right: %s", err)
        finally:
            self._reconciling = None

    async def close(self) -> None:
        """Let go of sockets and threads. Links, rules and netd stay, for living containers.

        Without living endpoints there is nobody to serve: rules, bridges and netd go too.
        """
        if self._watch is not None:
            asyncio.get_running_loop().remove_reader(self._watch.fileno())
            self._watch.close()
            self._watch = None
        self._forget_netd()
        if not any(self._drivers[e.driver].addressed for e in self._live.values()):
            await self._call(self._remove_all)
        await self._call(self._close)
        self._thread.shutdown(wait=True)

    def _close(self) -> None:
        self._netd.close()
        self._firewall.close()
        self._nl.close()

    async def purge(self) -> None:
        """Remove everything of this instance from the kernel and end netd (tests, uninstall)."""
        await self._call(self._remove_all)

    def _remove_all(self) -> None:
        try:
            self._netd.quit()
            if self._firewall.exists():
                self._firewall.remove()
            for network in self._networks.values():
                self._drivers[network.driver].remove(network)
        except OSError as err:
            log.warning("removing the networks: %s", err)

    # --- networks

    def resolve(self, ref: str) -> NetworkRecord:
        """The network by name, id or unambiguous id prefix; "default" is the default bridge. Raises: NotFound."""
        found = self._networks.get("bridge" if ref == "default" else ref)
        if found is not None:
            return found
        if is_hex(ref):
            fits = [n for n in self._networks.values() if n.id.startswith(ref)]
            if len(fits) == 1:
                return fits[0]
            if fits:
                raise InvalidArgument(f"network {ref} is ambiguous ({len(fits)} matches found on ID prefix)")
        raise NotFound(messages.no_such_network(ref))

    def find(self, ref: str) -> NetworkRecord | None:
        """The same, or None."""
        try:
            return self.resolve(ref)
        except (NotFound, InvalidArgument):
            return None

    def list_(self, wanted: Mapping[str, Sequence[str]]) -> list[Network]:
        """``GET /networks``. Raises: InvalidArgument (a filter)."""
        filters.check_list(wanted)
        in_use = {e.network_id for e in self._live.values()}
        found = [
            render.render_network(n, ()) for n in self._networks.values() if filters.fits(n, wanted, n.id in in_use)
        ]
        return cast("list[Network]", found)

    def inspect(self, ref: str) -> Network:
        """``GET /networks/{ref}``. Raises: NotFound."""
        return cast("Network", render.render_network(self.resolve(ref), list(self._live.values())))

    def users_made(self) -> list[NetworkRecord]:
        """Every network that is not predefined."""
        return [n for n in self._networks.values() if not n.predefined]

    def members(self, network_id: str) -> list[Endpoint]:
        """The living endpoints of a network."""
        return [e for e in self._live.values() if e.network_id == network_id]

    async def create(self, asked: NetworkRequest) -> NetworkRecord:
        """Make a network. Raises: AlreadyExists, NotFound (the driver), Forbidden, InvalidArgument, Unsupported,
        ResourceExhausted (the address pools are used up)."""
        record = await self._call(self._create, asked)
        await self._db.write(lambda conn: save_network(conn, record), durable=True)
        return record

    def _create(self, asked: NetworkRequest) -> NetworkRecord:
        record = plan_network(
            asked, self._drivers, list(self._networks.values()), default.host_networks(self._nl), self.options.pools,
            self.instance_id,
        )  # fmt: skip
        driver = self._drivers[record.driver]
        try:
            if record.ipv6 and self.options.ip_forward:
                enable_forwarding("ipv6")
            driver.ensure(record)
            self._networks[record.name] = record
            self._addresses.open(record)
            self._firewall.reconcile()
        except BaseException:
            self._networks.pop(record.name, None)
            self._addresses.forget(record.id)
            driver.remove(record)
            raise
        return record

    async def remove(self, network: NetworkRecord) -> None:
        """Unmake a network. Raises: Forbidden (predefined, or in use)."""
        if network.predefined:
            raise Forbidden(f"{network.name} is a pre-defined network and cannot be removed")
        users = self.members(network.id)
        if users:
            shown = " ".join(f'name:"{e.container_name}" id:"{e.id[:12]}"' for e in users)
            raise Forbidden(
                f"error while removing network: network {network.name} id {network.id} has active endpoints ({shown})"
            )
        await self._db.write(lambda conn: forget_network(conn, network.id))
        await self._call(self._remove, network)

    def _remove(self, network: NetworkRecord) -> None:
        self._networks.pop(network.name, None)
        self._addresses.forget(network.id)
        self._firewall.reconcile()
        self._drivers[network.driver].remove(network)

    # --- containers

    def port_map(self, endpoints: Sequence[Endpoint], exposed: Mapping[str, Any]) -> PortMap:
        """``NetworkSettings.Ports``: published ports with their host's, exposed ones with None."""
        ports: PortMap = {f"{number}/{proto}": None for number, proto in exposed_ports(exposed)}
        for port in (p for e in endpoints for p in e.published):
            for n in range(port.count):
                key = f"{port.container_port + n}/{port.proto}"
                entry: PortBinding = {
                    "HostIp": port.host_ip,
                    "HostPort": str(port.host_port + n) if port.host_port else "",
                }
                ports[key] = [*(ports.get(key) or []), entry]
        return ports

    def allocate(
        self, member: Member, network: NetworkRecord, config: Mapping[str, Any] | None, beside: Sequence[Endpoint] = ()
    ) -> Endpoint:
        """A new endpoint with its addresses and MAC, in memory only: no system call, no row.

        ``beside`` are the container's other endpoints. Save it with ``records.save_endpoints`` in the verb's own
        transaction. Raises: InvalidArgument (asked-for address outside the subnet), Conflict (address in use),
        ResourceExhausted (no address left).
        """
        asked = dict(config or {})
        endpoint = Endpoint(
            id=new_id(), container_id=member.container_id, container_name=member.name, network_id=network.id,
            network_name=network.name, driver=network.driver, asked=asked, index=len(beside),
            priority=int(asked.get("GwPriority") or 0),
        )  # fmt: skip
        driver = self._drivers[network.driver]
        if driver.addressed:
            ep.check_settings(network, asked)
            endpoint.ifname = ep.free_ifname(beside, asked)
            wanted_mac = str(asked.get("MacAddress") or (member.mac if not beside else ""))
            chosen_mac = parse_mac(wanted_mac) if wanted_mac else ""
            self._lease(endpoint, network)
            endpoint.mac = chosen_mac or mac_for(self.instance_id, network.id, endpoint.ipv4 or endpoint.ipv6)
            driver.join(network, endpoint)
        if network.resolves:
            endpoint.names = ep.names_of(member, asked)
        self._live[endpoint.id] = endpoint
        return endpoint

    def _lease(self, endpoint: Endpoint, network: NetworkRecord) -> None:
        ipam = endpoint.asked.get("IPAMConfig") or {}
        gateways = not network.internal
        try:
            if network.v4 is not None:
                endpoint.ipv4, endpoint.prefix_len = self._address(network, str(ipam.get("IPv4Address") or ""), 4)
                endpoint.gateway = network.v4.gateway if gateways and network.gateway_mode != "isolated" else ""
            if network.v6 is not None:
                endpoint.ipv6, endpoint.prefix_len6 = self._address(network, str(ipam.get("IPv6Address") or ""), 6)
                endpoint.gateway6 = network.v6.gateway if gateways and network.gateway_mode6 != "isolated" else ""
        except BaseException:
            self._addresses.release(network.id, endpoint.addresses)
            raise

    def _address(self, network: NetworkRecord, wanted: str, version: int) -> tuple[str, int]:
        if wanted:
            return self._addresses.take(network.id, wanted)
        return self._addresses.acquire(network.id, version)

    async def attach(self, endpoints: Sequence[Endpoint], inside: Sandbox, servers: Sequence[str] = ()) -> None:
        """Links, addresses, default routes and name service (with ``servers``, its ``--dns``) inside the sandbox; its
        descriptors stay the caller's. ``lo`` is up already.

        Nothing for ``host`` and ``none``. Raises: BerthError of what failed.
        """
        chosen = [e for e in endpoints if self._drivers[e.driver].addressed]
        if chosen:
            if any(e.names for e in chosen):
                self._servers[chosen[0].container_id] = tuple(servers)
            await self._call(self._attach, chosen, inside)

    def _attach(self, endpoints: list[Endpoint], inside: Sandbox) -> None:
        for endpoint in endpoints:
            self._drivers[endpoint.driver].attach(self._networks[endpoint.network_name], endpoint, inside.netns_fd)
            sandbox.configure(endpoint, inside)
        named = [e for e in endpoints if e.names]
        if named:
            ident = named[0].container_id
            self._resolver.serve(ident, self._resolving(ident), named, inside)

    async def publish(
        self,
        endpoints: Sequence[Endpoint],
        port_bindings: Mapping[str, Sequence[PortBinding] | None] | None,
        exposed: Mapping[str, Any] | None = None,
        publish_all: bool = False,
    ) -> PortMap:
        """Publish the ports and return the map with the host ports chosen. ``published`` of an endpoint is set: save it after.

        All or nothing. Raises: ResourceExhausted with Docker's sentence (port allocated, or in use on the host),
        InvalidArgument (a malformed port).
        """
        endpoint = ep.publisher(endpoints, lambda name: self._drivers[name].publishes)
        if endpoint is not None and (port_bindings or publish_all):
            network = self._networks[endpoint.network_name]
            default_ip = network.host_binding or self.options.default_ip
            wanted = plan_publish(port_bindings, exposed or {}, publish_all, default_ip=default_ip, ipv6=_have_ipv6())
            if wanted:
                try:
                    await self._call(self._publish, network, endpoint, wanted)
                except ResourceExhausted as err:
                    raise ResourceExhausted(
                        f"failed to set up container networking: driver failed programming external connectivity on "
                        f"endpoint {endpoint.container_name} ({endpoint.id}): {err.message}"
                    ) from err
        return self.port_map(endpoints, exposed or {})

    def _publish(self, network: NetworkRecord, endpoint: Endpoint, wanted: list[Wanted]) -> None:
        routed = frozenset(v for v, mode in ((4, network.gateway_mode), (6, network.gateway_mode6)) if mode == "routed")
        self._publisher.publish(endpoint, wanted, routed)
        self._drivers[endpoint.driver].expose(network, endpoint)

    async def connect(
        self, endpoint: Endpoint, beside: Sequence[Endpoint], pid: int, servers: Sequence[str] = ()
    ) -> None:
        """Plug a new endpoint of a running container in, and move its default route where that is better now.

        Its first network with names gives it a resolver, with ``servers``, its ``--dns``.
        """
        ends = [*beside, endpoint]
        if endpoint.names:
            self._servers.setdefault(endpoint.container_id, tuple(servers))
        await self._call(self._connect, endpoint, list(beside), ends, pid)

    def _connect(self, endpoint: Endpoint, beside: list[Endpoint], ends: list[Endpoint], pid: int) -> None:
        driver, network = self._drivers[endpoint.driver], self._networks[endpoint.network_name]
        with sandbox.open_sandbox(pid) as inside:
            driver.attach(network, endpoint, inside.netns_fd)
            try:
                sandbox.configure(endpoint, inside)
                if ep.choose_routes(ends):
                    sandbox.replace_routes(ends, ends, inside)
                self._name(endpoint, beside, inside)
            except BaseException:
                driver.detach(network, endpoint, inside)
                raise

    def _name(self, endpoint: Endpoint, beside: list[Endpoint], inside: Sandbox) -> None:
        ident = endpoint.container_id
        if any(e.names for e in beside):
            self._resolver.change(ident, self._resolving(ident), [endpoint] if endpoint.names else [])
        elif endpoint.names:
            self._resolver.serve(ident, self._resolving(ident), [endpoint], inside)

    async def disconnect(self, endpoint: Endpoint, beside: Sequence[Endpoint], pid: int) -> None:
        """Unplug an endpoint of a running container; its default route moves to another of ``beside``."""
        await self._call(self._disconnect, endpoint, list(beside), pid)
        await self.release([endpoint], ended=False)

    def _disconnect(self, endpoint: Endpoint, beside: list[Endpoint], pid: int) -> None:
        self._publisher.withdraw(endpoint)
        with sandbox.open_sandbox(pid) as inside:
            self._drivers[endpoint.driver].detach(self._networks[endpoint.network_name], endpoint, inside)
            if ep.choose_routes(beside):
                sandbox.replace_routes(beside, beside, inside)
        if endpoint.container_id in self._servers:
            self._live.pop(endpoint.id, None)
            self._addresses.release(endpoint.network_id, endpoint.addresses)
            ident = endpoint.container_id
            named = any(e.names for e in beside)
            self._resolver.leave([endpoint], [] if named else [ident])
            if named:
                self._resolver.change(ident, self._resolving(ident), [])
            else:
                del self._servers[ident]

    async def release(self, endpoints: Sequence[Endpoint], *, ended: bool = True) -> None:
        """Give back ports, rules, names and addresses; accepts half-made endpoints and ones released before.

        The veth goes with the container's network namespace (``ended``: so does its resolver). Forget the rows with
        ``records.save_endpoints``.
        """
        gone = [e for e in endpoints if self._live.pop(e.id, None) is not None]
        if any(e.published or e.container_id in self._servers for e in gone):
            await self._call(self._withdraw, gone, ended)
        for endpoint in gone:
            self._addresses.release(endpoint.network_id, endpoint.addresses)

    def _withdraw(self, endpoints: list[Endpoint], ended: bool) -> None:
        for endpoint in endpoints:
            if endpoint.published:
                self._publisher.withdraw(endpoint)
        served = [i for i in {e.container_id for e in endpoints} if ended and self._servers.pop(i, None) is not None]
        named = [e for e in endpoints if e.names]
        if named or served:
            self._resolver.leave(named, served)

    def host_address(self, endpoints: Sequence[Endpoint]) -> str:
        """Where a container reaches this host: its bridge's address, of the network with the default route first; ""."""
        for endpoint in sorted(endpoints, key=lambda e: not e.routes4):
            network = self._networks.get(endpoint.network_name)
            if network is not None and network.v4 is not None and self._drivers[network.driver].publishes:
                return network.v4.gateway
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


def _have_ipv6() -> bool:
    """Whether this host speaks IPv6 at all: else only IPv4 addresses are published."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM):
            pass
        with open("/proc/net/if_inet6", encoding="ascii") as file:
            return bool(file.read(1))
    except OSError:
        return False
