"""``Catalog``: the networks of an engine by name and id: made, found, shown, removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from berth.base.errors import Forbidden, InvalidArgument, NotFound
from berth.base.ids import is_hex
from berth.db.database import Database
from berth.networks import filters, render
from berth.networks.creation import plan_network
from berth.networks.drivers import default
from berth.networks.drivers.bridge import enable_forwarding
from berth.networks.records import Endpoint, NetworkRecord, forget_network, save_network
from berth.networks.request import NetworkRequest
from berth.networks.state import State
from berth.spec import messages
from berth.spec.api.networks import Network


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
        return cast("Network", render.render_network(self.resolve(ref), list(self._state.live.values())))

    def users_made(self) -> list[NetworkRecord]:
        """Every network that is not predefined."""
        return [n for n in self._state.networks.values() if not n.predefined]

    def members(self, network_id: str) -> list[Endpoint]:
        """The living endpoints of a network."""
        return [e for e in self._state.live.values() if e.network_id == network_id]

    async def create(self, asked: NetworkRequest) -> NetworkRecord:
        """Make a network. Raises: AlreadyExists, NotFound (the driver), Forbidden, InvalidArgument, Unsupported,
        ResourceExhausted (the address pools are used up)."""
        record = await self._state.call(self._create, asked)
        await self._db.write(lambda conn: save_network(conn, record), durable=True)
        return record

    def _create(self, asked: NetworkRequest) -> NetworkRecord:
        state = self._state
        record = plan_network(
            asked, state.drivers, list(state.networks.values()), default.host_networks(state.nl), state.options.pools,
            state.instance_id,
        )  # fmt: skip
        driver = state.drivers[record.driver]
        try:
            if record.ipv6 and state.options.ip_forward:
                enable_forwarding("ipv6")
            driver.ensure(record)
            state.networks[record.name] = record
            state.addresses.open(record)
            state.firewall.reconcile()
        except BaseException:
            state.networks.pop(record.name, None)
            state.addresses.forget(record.id)
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
        await self._state.call(self._remove, network)

    def _remove(self, network: NetworkRecord) -> None:
        self._state.networks.pop(network.name, None)
        self._state.addresses.forget(network.id)
        self._state.firewall.reconcile()
        self._state.drivers[network.driver].remove(network)
