"""``Parts``: what of the engine's networks the cluster changes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from berth.db.database import Database
from berth.netd.dns.names import Member
from berth.networks.catalog import Catalog
from berth.networks.drivers.esp import Tunnel
from berth.networks.ipam.book import AddressBook
from berth.networks.records import Endpoint, NetworkRecord
from berth.networks.state import State

if TYPE_CHECKING:
    from berth.networks.drivers.overlay import OverlayDriver


class Parts(NamedTuple):
    """What follows ``call`` is run by it, on the networks' thread."""

    networks: dict[str, NetworkRecord]
    live: dict[str, Endpoint]
    addresses: AddressBook
    db: Database
    call: Callable[..., Awaitable[Any]]
    check: Callable[[NetworkRecord], None]  # raises: Conflict (its subnets are this host's already)
    ensure: Callable[[NetworkRecord], None]
    unmake: Callable[[NetworkRecord], None]
    withdraw: Callable[[NetworkRecord], None]  # its links go, the network stays
    reach: Callable[[NetworkRecord, Iterable[str]], None]  # other hosts' addresses
    names: Callable[[Sequence[Member]], None]  # of containers on other hosts
    nonce: Callable[[], str]
    close_port: Callable[[], None]
    encrypt: Callable[[Sequence[Tunnel]], None]

    @classmethod
    def of(cls, state: State, db: Database, catalog: Catalog) -> Parts:
        """After: the service is open."""
        overlay = cast("OverlayDriver", state.drivers["overlay"])
        return cls(
            state.networks, state.live, state.addresses, db, state.call, catalog.check_free, catalog.make, catalog.unmake,
            overlay.remove, overlay.set_peers, state.resolver.set_remote, state.esp.nonce, state.esp.close_port,
            state.esp.reconcile,
        )  # fmt: skip
