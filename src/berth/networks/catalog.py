"""``Catalog``: the networks of an engine by name and id: made, found, shown, removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from typing import TYPE_CHECKING, cast

from berth.base.errors import AlreadyExists, Conflict, Forbidden, InvalidArgument, NotFound
from berth.base.ids import is_hex
from berth.db.database import Database
from berth.networks import filters, render
from berth.networks.creation import plan_network
from berth.networks.drivers import default
from berth.networks.ipam.pools import GLOBAL_POOLS
from berth.networks.records import LOCAL_IPAM, Endpoint, NetworkRecord, forget_network, save_network
from berth.networks.request import NetworkRequest
from berth.networks.state import State
from berth.spec import messages
from berth.spec.api.networks import Network

if TYPE_CHECKING:
    from berth.networks.ipam.remote import Pools


class Catalog:
    """Behind ``NetworkService``."""

    def __init__(self, state: State, db: Database) -> None:
        self._state = state
        self._db = db

    def resolve(self, ref: str) -> NetworkRecord:
        """The network by name, id or unambiguous id prefix; "default" is the default bridge. Raises: NotFound."""
        found = self._state.networks.get("bridge" if ref == "default" else ref)
        if found is not None:
            return found
        if is_hex(ref):
            fits = [n for n in self._state.networks.values() if n.id.startswith(ref)]
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
        in_use = {e.network_id for e in self._state.live.values()}
        networks = self._state.networks.values()
        found = [render.render_network(n, ()) for n in networks if filters.fits(n, wanted, n.id in in_use)]
        return cast("list[Network]", found)

    def inspect(self, ref: str) -> Network:
        """``GET /networks/{ref}``. Raises: NotFound."""
        network = self.resolve(ref)
        shown = render.render_network(network, list(self._state.live.values()))
        if network.shared and self._state.cluster is not None:
            shown["Peers"] = [{"Name": peer.name, "IP": peer.address} for peer in self._state.cluster.peers(network)]
        return cast("Network", shown)

    def users_made(self) -> list[NetworkRecord]:
        """Every network that is not predefined."""
        return [n for n in self._state.networks.values() if not n.predefined]

    def members(self, network_id: str) -> list[Endpoint]:
        """The living endpoints of a network."""
        return [e for e in self._state.live.values() if e.network_id == network_id]

    async def create(self, asked: NetworkRequest) -> NetworkRecord:
        """Make a network. Raises: AlreadyExists, NotFound (the driver), Forbidden, InvalidArgument, Unsupported,
        ResourceExhausted (the address pools are used up), Unavailable (the cluster store is away)."""
        state = self._state
        await state.find_driver(asked.driver)
        if asked.ipam_driver in LOCAL_IPAM:
            return await self._create(asked)
        if asked.name in state.networks or asked.name in state.making:
            raise AlreadyExists(f"network with name {asked.name} already exists")
        ipam = state.ipam(asked.ipam_driver)
        given = await state.ask(ipam.name, ipam.fill, asked)
        try:
            return await self._create(asked, given)
        except BaseException:
            await state.ask(ipam.name, ipam.drop, given)
            raise

    async def _create(self, asked: NetworkRequest, given: Pools | None = None) -> NetworkRecord:
        state = self._state
        if state.cluster is not None and asked.driver == "overlay":
            return await state.cluster.create(lambda: state.call(self._plan, asked, given, True))
        record = await state.call(self._reserve, asked, given)
        driver = state.drivers[record.driver]
        try:
            if driver.keeps:
                await state.ask(driver.name, driver.ensure, record)
            await state.call(self._appear, record)
        except BaseException:
            await state.by(driver, driver.remove, record)
            raise
        finally:
            del state.making[record.name]
        await self._db.write(lambda conn: save_network(conn, record), durable=True)
        return record

    def _plan(self, asked: NetworkRequest, given: Pools | None, shared: bool = False) -> NetworkRecord:
        state = self._state
        return plan_network(
            asked, state.drivers, [*state.networks.values(), *state.making.values()], default.host_networks(state.nl),
            GLOBAL_POOLS if shared else state.options.pools, state.instance_id, shared=shared, given=given,
        )  # fmt: skip

    def _reserve(self, asked: NetworkRequest, given: Pools | None) -> NetworkRecord:
        """Name and subnets are this network's from now on: what makes it may take its time."""
        record = self._plan(asked, given)
        self._state.making[record.name] = record
        return record

    def check_free(self, network: NetworkRecord) -> None:
        """Raises: Conflict (its subnets are this host's already)."""
        host = default.host_networks(self._state.nl)
        for own in (ip_network(s.subnet) for s in network.subnets):
            clash = next((each for each in host if each.version == own.version and each.overlaps(own)), None)
            if clash is not None:
                raise Conflict(f"network {network.name} ({own}) cannot be had on this host: it overlaps with {clash}")

    def make(self, record: NetworkRecord) -> None:
        """The kernel has the network, and the rules know it. On the worker thread."""
        if record.ipv6 and self._state.options.ip_forward:
            self._state.forwarding.enable(6)
        self._state.drivers[record.driver].ensure(record)
        self._state.firewall.reconcile()

    def _appear(self, record: NetworkRecord) -> None:
        state = self._state
        try:
            state.networks[record.name] = record
            state.addresses.open(record)
            self.make(record)
        except BaseException:
            state.networks.pop(record.name, None)
            state.addresses.forget(record.id)
            raise

    async def remove(self, network: NetworkRecord) -> None:
        """Unmake a network. Raises: Forbidden (predefined, or in use, on another host too), Unavailable (no cluster store)."""
        if network.predefined:
            raise Forbidden(f"{network.name} is a pre-defined network and cannot be removed")
        users = self.members(network.id)
        if users:
            shown = [(e.container_name, e.id) for e in users]
            raise Forbidden(messages.active_endpoints(network.name, network.id, shown))
        if network.shared and self._state.cluster is not None:
            await self._state.cluster.remove(network)
            return
        await self._db.write(lambda conn: forget_network(conn, network.id))
        state = self._state
        await state.call(self.unmake, network)
        driver = state.drivers[network.driver]
        if driver.keeps:
            await state.ask(driver.name, driver.remove, network)
        if network.remote_ipam:
            from berth.networks.ipam.remote import Pools

            ipam = state.ipam(network.ipam_driver)
            await state.ask(ipam.name, ipam.drop, Pools(network.subnets, network.pools))

    def unmake(self, network: NetworkRecord) -> None:
        """The reverse of ``make``; it is nobody's any more. On the worker thread."""
        self._state.networks.pop(network.name, None)
        self._state.addresses.forget(network.id)
        self._state.firewall.reconcile()
        driver = self._state.drivers[network.driver]
        if not driver.keeps:
            driver.remove(network)
