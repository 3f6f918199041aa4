"""What a network driver is: a network's life in the kernel, and an endpoint's in a network.

    plan ── ensure ─┬─ join ── attach (mend) ── detach (live) ─┐ ... ── remove
                    │           └── or the container's network namespace ends, and its interfaces with it
                    └─ sweep, once, when a daemon takes over from one that died

``plan`` fills a record in from what was asked and changes nothing; ``ensure`` makes the kernel agree with a record and is
repeated at every start of the daemon: what is right is left as it is, so traffic that flows does not notice. Addresses come
from IPAM, routes and addresses inside the container are set by ``sandbox.configure``: a driver only gives the container an
interface of the endpoint's name and MAC. Published ports and firewall rules are asked for where ``publishes`` says so.

Every call but ``plan`` and ``join`` runs on the networks' worker thread and may block; where ``keeps`` says so, ``ensure``,
``remove``, ``attach`` and ``leave`` on the thread of its plugin.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from berth.networks.records import Endpoint, NetworkRecord
from berth.networks.request import NetworkRequest
from berth.networks.sandbox import Sandbox


class Driver(Protocol):
    """One kind of network. ``name`` is the API's word for it."""

    name: str
    scope: str
    publishes: bool
    """Ports can be published here: the container's addresses are behind this host."""
    addressed: bool
    """Endpoints get addresses of the network's subnets."""
    keeps: bool
    """Somebody else keeps its networks and endpoints: they stay when this engine ends, and are told of each that goes."""

    def plan(self, asked: NetworkRequest, network: NetworkRecord, others: Sequence[NetworkRecord]) -> None:
        """Fill ``network`` in from ``asked.options``. Raises: InvalidArgument, Conflict, Forbidden, Unsupported."""

    def ensure(self, network: NetworkRecord) -> None:
        """Make it, or repair it. Raises: Unsupported (this kernel lacks it), Conflict, Forbidden."""

    def remove(self, network: NetworkRecord) -> None:
        """Unmake what ``ensure`` made; nothing when it is gone."""

    def join(self, network: NetworkRecord, endpoint: Endpoint) -> None:
        """Choose names of links and the MTU: memory only, no system call (it is on the way of every start)."""

    def attach(self, network: NetworkRecord, endpoint: Endpoint, netns_fd: int) -> None:
        """An interface ``endpoint.ifname`` inside the namespace, still without addresses. Raises: NotFound, BerthError."""

    def mend(self, network: NetworkRecord, endpoint: Endpoint) -> bool:
        """The interface of a living container is where it belongs again; what is right is not touched. False when it is gone:
        it must be attached anew."""

    def expose(self, network: NetworkRecord, endpoint: Endpoint) -> None:
        """Ports of the endpoint are published from now on."""

    def detach(self, network: NetworkRecord, endpoint: Endpoint, inside: Sandbox) -> None:
        """Take the interface of a living container away, from here or from inside; nothing when it is gone."""

    def leave(self, network: NetworkRecord, endpoint: Endpoint) -> None:
        """The endpoint is gone, with its container or after ``detach``; asked where ``keeps`` says so."""

    def sweep(self, live: Iterable[Endpoint]) -> None:
        """Remove interfaces of ours that belong to none of these endpoints."""


class Bare:
    """What drivers that need nothing of the kernel have in common."""

    scope = "local"
    publishes = False
    addressed = False
    keeps = False

    def ensure(self, network: NetworkRecord) -> None:
        return

    def remove(self, network: NetworkRecord) -> None:
        return

    def join(self, network: NetworkRecord, endpoint: Endpoint) -> None:
        return

    def attach(self, network: NetworkRecord, endpoint: Endpoint, netns_fd: int) -> None:
        return

    def mend(self, network: NetworkRecord, endpoint: Endpoint) -> bool:
        return True

    def expose(self, network: NetworkRecord, endpoint: Endpoint) -> None:
        return

    def detach(self, network: NetworkRecord, endpoint: Endpoint, inside: Sandbox) -> None:
        return

    def leave(self, network: NetworkRecord, endpoint: Endpoint) -> None:
        return

    def sweep(self, live: Iterable[Endpoint]) -> None:
        return
