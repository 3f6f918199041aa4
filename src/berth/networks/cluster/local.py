"""``Local``: what the store says made true in this engine: networks it knows, hosts it floods to, names it resolves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from ipaddress import ip_address, ip_network

import msgspec

from berth.base.errors import BerthError
from berth.netd.dns.names import Member
from berth.networks.cluster.parts import Parts
from berth.networks.cluster.records import Block, Esp, Host, Keys, Place, encode, subnet_of
from berth.networks.cluster.tunnels import plan_tunnels
from berth.networks.cluster.view import View
from berth.networks.drivers.esp import Tunnel
from berth.networks.ipam.book import first_address
from berth.networks.records import Endpoint, NetworkRecord, forget_network, save_network

log = logging.getLogger(__name__)


class Local:
    """``pending``: addresses of containers that are about to start, (network, address)."""

    def __init__(self, parts: Parts, keys: Keys, me: Host) -> None:
        self.parts = parts
        self.pending: set[tuple[str, str]] = set()
        self.removing: set[str] = set()
        self._made: set[str] = set()
        self._keys, self._me = keys, me
        self._lock = asyncio.Lock()
        self._hidden: set[str] = set()
        self._reached: dict[str, Collection[str]] = {}
        self._members: list[Member] | None = None
        self._tunnels: list[Tunnel] | None = None
        self._esp: Esp | None = None

    @property
    def shared(self) -> list[NetworkRecord]:
        return [n for n in list(self.parts.networks.values()) if n.shared]

    @property
    def encrypts(self) -> bool:
        """Whether this host is in an encrypted network."""
        return any(n.encrypted and n.blocks for n in self.shared)

    def in_use(self, network: NetworkRecord) -> bool:
        return any(e.network_id == network.id for e in list(self.parts.live.values())) or any(
            network_id == network.id for network_id, _address in self.pending
        )

    def wanted(self) -> dict[str, bytes]:
        """This host's blocks and addresses as they shall stand in the store."""
        found: dict[str, bytes] = {}
        block = encode(Block(self._me.instance, self._me.name, self._me.address))
        plain = encode(Place(self._me.instance))
        networks = {n.id: n for n in self.shared if n.id not in self.removing}
        for network in networks.values():
            found |= {self._keys.block(network.id, each): block for each in network.blocks}
            gateways = [subnet_of(network, version) for version in network.versions_here]
            found |= {self._keys.address(network.id, s.gateway): plain for s in gateways if s is not None and s.gateway}
        found |= {self._keys.address(n, address): plain for n, address in self.pending if n in networks}
        if self._esp is not None and self.encrypts:
            found[self._keys.esp(self._me.instance)] = encode(self._esp)
        for endpoint in list(self.parts.live.values()):
            if endpoint.network_id in networks:
                value = encode(_place(endpoint, self._me.instance))
                found |= {self._keys.address(endpoint.network_id, a): value for a in endpoint.addresses}
        return found

    async def settle(self, view: View) -> None:
        """Networks first, then who is reached and who is called what. What fails is said, and tried at the next change."""
        async with self._lock:
            try:
                await self._settle(view)
            except (BerthError, OSError) as err:
                log.error("the cluster's networks: %s", err)

    async def _settle(self, view: View) -> None:
        for record in list(view.networks.values()):
            await self.learn(record)
        for network in self.shared:
            if network.id not in view.networks and not self.in_use(network) and network.id not in self.removing:
                await self.forget(network)
        for network in self.shared:
            if lost := view.lost(network):
                await self._give_up(network, lost)
        await self._encrypt(view)
        for network in self.shared:
            await self.reach(network, view)
        members = view.members(self.shared)
        if members != self._members:
            await self.parts.call(self.parts.names, members)
            self._members = members

    async def _encrypt(self, view: View) -> None:
        """Take what is under every secret there is, then say so: the others send under a new one from then on."""
        if not self.encrypts:
            self._esp = self._tunnels = None  # the next time is with a new nonce
        if not self.encrypts or view.secrets is None:
            return
        if self._esp is None:
            self._esp = Esp(self._me.instance, self._me.address, await self.parts.call(self.parts.nonce), 0)
        tunnels = plan_tunnels(view, self._esp, self.shared)
        if tunnels != self._tunnels:
            await self.parts.call(self.parts.encrypt, tunnels)
            self._tunnels = tunnels
        self._esp = msgspec.structs.replace(self._esp, newest=view.secrets.keys[-1].id)

    async def encrypt_anew(self, view: View) -> None:
        """States or policies of IPsec went away: they are there again, under a new nonce where the kernel's counters went too."""
        async with self._lock:
            self._esp = self._tunnels = None
            try:
                if self.encrypts:
                    await self.parts.call(self.parts.close_port)
                await self._encrypt(view)
            except (BerthError, OSError) as err:
                log.error("encryption between hosts: %s", err)

    def missing(self, view: View) -> list[NetworkRecord]:
        """Networks with containers here that the store does not know any more."""
        return [n for n in self.shared if n.id not in view.networks and self.in_use(n) and n.id not in self.removing]

    async def learn(self, record: NetworkRecord) -> NetworkRecord | None:
        """A network of the cluster is one of this engine's too; None when another one has its name."""
        parts = self.parts
        known = parts.networks.get(record.name)
        if known is not None:
            if known.id != record.id and record.id not in self._hidden:
                self._hidden.add(record.id)
                log.warning(
                    "network %s (%s) of the cluster is hidden here: another one has its name", record.name, record.id
                )
            return known if known.id == record.id else None
        network = msgspec.structs.replace(record, shared=True, blocks=[])
        parts.networks[network.name] = network
        parts.addresses.open(network)
        await parts.db.write(lambda conn: save_network(conn, network))
        return network

    async def forget(self, network: NetworkRecord) -> None:
        """It was removed."""
        await self.parts.db.write(lambda conn: forget_network(conn, network.id))
        await self.parts.call(self.parts.unmake, network)
        self._reached.pop(network.id, None)
        self._made.discard(network.id)

    async def give_block(self, network: NetworkRecord, block: str, view: View) -> None:
        """This host gives a block's addresses from now on; its gateway is in the first one of each IP version."""
        subnet = subnet_of(network, 6 if ":" in block else 4)
        assert subnet is not None
        if not any((":" in each) == (":" in block) for each in network.blocks):
            asked = network.gateways_asked.get(subnet.subnet, "")
            inside = bool(asked) and ip_address(asked) in ip_network(block)
            subnet.gateway = asked if inside else first_address(subnet, block)
        network.blocks.append(block)
        self.parts.addresses.extend(network, block)
        await self.parts.db.write(lambda conn: save_network(conn, network))
        self._made.discard(network.id)
        await self.make(network, view)

    async def _give_up(self, network: NetworkRecord, lost: list[str]) -> None:
        """Blocks are other hosts' now: nothing of them is given here any more. Containers that run keep their addresses."""
        log.warning(
            "network %s: %s went to other hosts while this one was away; containers here with addresses of theirs must be "
            "started anew", network.name, ", ".join(lost),
        )  # fmt: skip
        network.blocks = [block for block in network.blocks if block not in lost]
        for subnet in network.subnets:
            if (6 if subnet.is_ipv6 else 4) not in network.versions_here:
                subnet.gateway = network.gateways_asked.get(subnet.subnet, "")
        self.parts.addresses.open(network)
        used = [a for e in list(self.parts.live.values()) if e.network_id == network.id for a in e.addresses]
        self.parts.addresses.adopt(network.id, [*used, *(a for n, a in self.pending if n == network.id)])
        await self.parts.db.write(lambda conn: save_network(conn, network))
        if not self.in_use(network):
            await self.parts.call(self.parts.withdraw, network)  # its bridge has the gateway of another host's
        self._made.discard(network.id)
        self._reached.pop(network.id, None)

    async def make(self, network: NetworkRecord, view: View) -> None:
        """The kernel has what this host's containers in it need. Raises: BerthError, here and at each later call."""
        if network.id not in self._made:
            await self.parts.call(self.parts.ensure, network)
            async with self._lock:
                await self._encrypt(view)
            await self.reach(network, view)
            self._made.add(network.id)

    async def reach(self, network: NetworkRecord, view: View) -> None:
        peers = view.peers(network.id)
        if network.blocks and self._reached.get(network.id) != peers:
            await self.parts.call(self.parts.reach, network, peers)
            self._reached[network.id] = peers


def _place(endpoint: Endpoint, instance: str) -> Place:
    return Place(
        instance, endpoint.id, endpoint.container_id, endpoint.container_name, endpoint.ipv4, endpoint.ipv6, endpoint.mac,
        tuple(endpoint.names),
    )  # fmt: skip
