"""``Plugs``: containers' endpoints: allocated, attached, plugged in and out while the container runs, released."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any

from berth.base.errors import ResourceExhausted
from berth.base.ids import new_id
from berth.networks import endpoints as ep
from berth.networks import sandbox
from berth.networks.endpoints import Member
from berth.networks.mac import mac_for, parse_mac
from berth.networks.ports import Ports, PortWishes
from berth.networks.records import Endpoint, NetworkRecord
from berth.networks.sandbox import Sandbox
from berth.networks.state import State

log = logging.getLogger(__name__)


class Plugs:
    """Behind ``NetworkService``."""

    def __init__(self, state: State, ports: Ports) -> None:
        self._state = state
        self._ports = ports

    async def admit(
        self, member: Member, network: NetworkRecord, config: Mapping[str, Any] | None, beside: Sequence[Endpoint] = ()
    ) -> Endpoint:
        """A new endpoint with its addresses and MAC, in memory only: no system call, no row. In a network that spans hosts the
        cluster store agrees to the addresses first.

        ``beside`` are the container's other endpoints. Save it with ``records.save_endpoints`` in the verb's own
        transaction. Raises: InvalidArgument (asked-for address outside the subnet), Conflict (address in use),
        ResourceExhausted (no address left), Unavailable (no cluster store).
        """
        cluster = self._state.cluster
        if network.remote_ipam:
            return await self._ask_plugin(member, network, dict(config or {}), beside)
        if not network.shared or cluster is None:
            return self._allocate(member, network, config, beside)
        ep.check_settings(network, dict(config or {}))
        addresses = await cluster.admit(network, dict(config or {}))
        try:
            return self._allocate(member, network, config, beside, addresses)
        except BaseException:
            self._state.addresses.release(network.id, [address for address, _length in addresses])
            raise
        finally:
            cluster.settled(network, addresses)

    async def _ask_plugin(
        self, member: Member, network: NetworkRecord, asked: dict[str, Any], beside: Sequence[Endpoint]
    ) -> Endpoint:
        """The addresses are a remote IPAM driver's."""
        ep.check_settings(network, asked)
        wished, state = asked.get("IPAMConfig") or {}, self._state
        ipam, got = state.ipam(network.ipam_driver), list[tuple[str, int]]()
        try:
            for version, subnet in ((4, network.v4), (6, network.v6)):
                if subnet is not None:
                    wanted, mac = (
                        str(wished.get(f"IPv{version}Address") or ""),
                        str(asked.get("MacAddress") or member.mac),
                    )
                    got.append(await state.ask(ipam.name, ipam.acquire, network, version, wanted, mac))
            return self._allocate(member, network, asked, beside, got)
        except BaseException:
            for address, _length in got:
                await state.ask(ipam.name, ipam.release, network, address)
            raise

    def _allocate(
        self, member: Member, network: NetworkRecord, config: Mapping[str, Any] | None, beside: Sequence[Endpoint],
        leased: Sequence[tuple[str, int]] = (),
    ) -> Endpoint:  # fmt: skip
        asked = dict(config or {})
        endpoint = Endpoint(
            id=new_id(), container_id=member.container_id, container_name=member.name, network_id=network.id,
            network_name=network.name, driver=network.driver, asked=asked, index=len(beside),
            priority=int(asked.get("GwPriority") or 0),
        )  # fmt: skip
        driver = self._state.drivers[network.driver]
        if driver.addressed:
            ep.check_settings(network, asked)
            endpoint.ifname = ep.free_ifname(beside, asked)
            wanted_mac = str(asked.get("MacAddress") or (member.mac if not beside else ""))
            chosen_mac = parse_mac(wanted_mac) if wanted_mac else ""
            self._lease(endpoint, network, leased)
            endpoint.mac = chosen_mac or mac_for(self._state.instance_id, network.id, endpoint.ipv4 or endpoint.ipv6)
            driver.join(network, endpoint)
        if network.resolves:
            endpoint.names = ep.names_of(member, asked)
        self._state.live[endpoint.id] = endpoint
        return endpoint

    def _lease(self, endpoint: Endpoint, network: NetworkRecord, leased: Sequence[tuple[str, int]]) -> None:
        ipam = endpoint.asked.get("IPAMConfig") or {}
        have = {ip_address(address).version: (address, length) for address, length in leased}
        gateways = not network.internal
        try:
            if network.v4 is not None:
                endpoint.ipv4, endpoint.prefix_len = have.get(4) or self._address(
                    network, str(ipam.get("IPv4Address") or ""), 4
                )
                endpoint.gateway = (
                    network.way_out(network.v4) if gateways and network.gateway_mode != "isolated" else ""
                )
            if network.v6 is not None:
                endpoint.ipv6, endpoint.prefix_len6 = have.get(6) or self._address(
                    network, str(ipam.get("IPv6Address") or ""), 6
                )
                endpoint.gateway6 = (
                    network.way_out(network.v6) if gateways and network.gateway_mode6 != "isolated" else ""
                )
        except BaseException:
            self._state.addresses.release(network.id, endpoint.addresses)
            raise

    def _address(self, network: NetworkRecord, wanted: str, version: int) -> tuple[str, int]:
        if wanted:
            return self._state.addresses.take(network.id, wanted)
        return self._state.addresses.acquire(network.id, version)

    def connects(self, endpoints: Sequence[Endpoint]) -> bool:
        """Whether ``attach`` has anything to do for them: not for ``host`` and ``none``."""
        return any(self._state.driver_of(e).addressed for e in endpoints)

    async def attach(self, endpoints: Sequence[Endpoint], inside: Sandbox, servers: Sequence[str] = ()) -> None:
        """Links, addresses, default routes and name service (with ``servers``, its ``--dns``) inside the sandbox; its
        descriptors stay the caller's. ``lo`` is up already.

        Nothing for ``host`` and ``none``. Raises: BerthError of what failed.
        """
        chosen = [e for e in endpoints if self._state.driver_of(e).addressed]
        if chosen:
            if any(e.names for e in chosen):
                self._state.servers[chosen[0].container_id] = tuple(servers)
            for endpoint in chosen:
                driver = self._state.driver_of(endpoint)
                if driver.keeps:
                    await self._state.ask(
                        driver.name, driver.attach, self._state.network_of(endpoint), endpoint, inside.netns_fd
                    )
            await self._state.call(self._attach, chosen, inside)

    def _attach(self, endpoints: list[Endpoint], inside: Sandbox) -> None:
        """Plugins have done their part."""
        state = self._state
        for endpoint in endpoints:
            if not state.driver_of(endpoint).keeps:
                state.driver_of(endpoint).attach(state.network_of(endpoint), endpoint, inside.netns_fd)
        ep.choose_routes(endpoints)  # a plugin has told its gateway now
        for endpoint in endpoints:
            sandbox.configure(endpoint, inside)
            state.plugged.add(endpoint.id)
        named = [e for e in endpoints if e.names]
        if named:
            ident = named[0].container_id
            state.resolver.serve(ident, state.resolving(ident), named, inside)

    async def connect(
        self, endpoint: Endpoint, beside: Sequence[Endpoint], pid: int, wishes: PortWishes, servers: Sequence[str] = ()
    ) -> None:
        """Plug a new endpoint of a running container in; its default route, and what it publishes, move where that is better now.

        Its first network with names gives it a resolver, with ``servers``, its ``--dns``. Raises: BerthError; nothing is changed
        then.
        """
        if endpoint.names:
            self._state.servers.setdefault(endpoint.container_id, tuple(servers))
        await self._state.by(self._state.driver_of(endpoint), self._connect, endpoint, list(beside), pid)
        try:
            await self._ports.publish([*beside, endpoint], wishes)
        except BaseException:
            await self._state.call(self._disconnect, endpoint, list(beside), pid)
            raise

    def _connect(self, endpoint: Endpoint, beside: list[Endpoint], pid: int) -> None:
        """On the thread of the endpoint's driver."""
        with sandbox.open_sandbox(pid) as inside:
            driver, network = self._state.driver_of(endpoint), self._state.network_of(endpoint)
            driver.attach(network, endpoint, inside.netns_fd)
            self._state.here(self._configure, endpoint, beside, inside)

    def _configure(self, endpoint: Endpoint, beside: list[Endpoint], inside: Sandbox) -> None:
        ends = [*beside, endpoint]
        try:
            sandbox.configure(endpoint, inside)
            if ep.choose_routes(ends):
                sandbox.replace_routes(ends, ends, inside)
            self._name(endpoint, beside, inside)
            self._state.plugged.add(endpoint.id)
        except BaseException:
            self._state.driver_of(endpoint).detach(self._state.network_of(endpoint), endpoint, inside)
            raise

    def _name(self, endpoint: Endpoint, beside: list[Endpoint], inside: Sandbox) -> None:
        ident, state = endpoint.container_id, self._state
        if any(e.names for e in beside):
            state.resolver.change(ident, state.resolving(ident), [endpoint] if endpoint.names else [])
        elif endpoint.names:
            state.resolver.serve(ident, state.resolving(ident), [endpoint], inside)

    async def disconnect(self, endpoint: Endpoint, beside: Sequence[Endpoint], pid: int, wishes: PortWishes) -> None:
        """Unplug an endpoint of a running container; its default route, and what it publishes, move to another of ``beside``."""
        await self._state.call(self._disconnect, endpoint, list(beside), pid)
        try:
            await self._ports.publish([endpoint, *beside], wishes)
        except ResourceExhausted as err:  # another program was faster
            log.warning("container %s: %s", endpoint.container_name, err.message)
        await self.release([endpoint], ended=False)

    def _disconnect(self, endpoint: Endpoint, beside: list[Endpoint], pid: int) -> None:
        state = self._state
        state.plugged.discard(endpoint.id)
        with sandbox.open_sandbox(pid) as inside:
            state.driver_of(endpoint).detach(state.network_of(endpoint), endpoint, inside)
            endpoint.routes4 = endpoint.routes6 = False
            if ep.choose_routes(beside):
                sandbox.replace_routes(beside, beside, inside)
        if endpoint.container_id in state.servers:
            ident = endpoint.container_id
            named = any(e.names for e in beside)
            state.resolver.leave([endpoint], [] if named else [ident])
            if named:
                state.resolver.change(ident, state.resolving(ident, but=endpoint), [])
            else:
                del state.servers[ident]

    async def release(self, endpoints: Sequence[Endpoint], *, ended: bool = True) -> None:
        """Give back ports, rules, names and addresses; accepts half-made endpoints and ones released before.

        The veth goes with the container's network namespace (``ended``: so does its resolver). Forget the rows with
        ``records.save_endpoints``.
        """
        state = self._state
        gone = [e for e in endpoints if state.live.pop(e.id, None) is not None]
        state.plugged.difference_update(e.id for e in gone)
        if any(e.published or e.container_id in state.servers for e in gone):
            await state.call(self._withdraw, gone, ended)
        await self.ended(gone)
        for endpoint in gone:
            state.addresses.release(endpoint.network_id, endpoint.addresses)
        if state.cluster is not None and gone:
            state.cluster.changed()

    async def ended(self, endpoints: Sequence[Endpoint]) -> None:
        """Whoever else keeps networks or addresses is told that these endpoints are gone."""
        state = self._state
        for endpoint in endpoints:
            network = state.networks.get(endpoint.network_name)
            if network is None:
                continue
            driver = state.driver_of(endpoint)
            if driver.keeps:
                await state.ask(driver.name, driver.leave, network, endpoint)
            if network.remote_ipam:
                ipam = state.ipam(network.ipam_driver)
                for address in endpoint.addresses:
                    await state.ask(ipam.name, ipam.release, network, address)

    def _withdraw(self, endpoints: list[Endpoint], ended: bool) -> None:
        state = self._state
        for endpoint in endpoints:
            if endpoint.published:
                state.publisher.withdraw(endpoint)
        served = [i for i in {e.container_id for e in endpoints} if ended and state.servers.pop(i, None) is not None]
        named = [e for e in endpoints if e.names]
        if named or served:
            state.resolver.leave(named, served)
