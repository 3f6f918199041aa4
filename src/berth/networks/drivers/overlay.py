"""overlay: one network over several hosts. A bridge on each, joined by VXLAN (RFC 7348).

    container eth0 ══ bridge ov-<network id> ── vx-<network id> ┄┄ UDP 4789 ┄┄ vx-… ── bridge ══ container on another host
                        └── this host's own gateway address: NAT to the world, published ports

Each host has a gateway of its own in the subnet, so what leaves for the world leaves where the container is. Broadcasts go to
every other host of the network (one all-zero forwarding entry each), answers are learned. Without a cluster store the network
spans this host.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from berth.base.errors import InvalidArgument, ResourceExhausted, from_oserror
from berth.kernel.netlink import fdb, inet, link
from berth.kernel.netlink.sock import Netlink
from berth.networks.drivers import esp
from berth.networks.drivers.bridge import MTU_OPTION, BridgeDriver, alias_of
from berth.networks.drivers.esp import Esp
from berth.networks.drivers.parent import check_kind
from berth.networks.records import NetworkRecord
from berth.networks.request import NetworkRequest

PORT = 4789
ETHERNET_MTU = 1500
OVERHEAD_BYTES = {4: 50, 6: 70}
"""What VXLAN adds to a frame: the outer Ethernet, IP and UDP headers, and its own."""
FIRST_VNI, FIRST_SHARED_VNI, LAST_VNI = 4097, 1 << 16, (1 << 24) - 1
_VNI_OPTION = "com.docker.network.driver.overlay.vxlanid_list"


class OverlayDriver(BridgeDriver):
    """Behind the contract of ``contract.Driver``; ``address`` is where peers reach this host, "" for no peers."""

    name = "overlay"
    scope = "global"

    def __init__(self, nl: Netlink, instance_id: str, esp: Esp, address: str = "") -> None:
        super().__init__(nl, instance_id)
        self._esp = esp
        self._encrypted: set[str] = set()  # networks whose port is closed but for ESP
        self._address = address
        self._peers: dict[str, frozenset[str]] = {}  # by network; one that is not there is not known yet

    def plan(self, asked: NetworkRequest, network: NetworkRecord, others: Sequence[NetworkRecord]) -> None:
        if network.encrypted:
            self._esp.check()
        check_kind(self._nl, "vxlan")
        super().plan(asked, network, others)
        network.link = f"ov-{network.id[:12]}"
        network.ours = True
        network.vni = _vni(asked, {other.vni for other in others}, FIRST_SHARED_VNI if network.shared else FIRST_VNI)
        if MTU_OPTION not in asked.options:
            version = 6 if ":" in self._address else 4
            network.mtu = self._uplink_mtu() - OVERHEAD_BYTES[version]
            if network.encrypted:
                network.mtu = _encrypted_mtu(network.mtu)

    def _uplink_mtu(self) -> int:
        """Of the link that other hosts reach us by. Never above Ethernet's: theirs may have no more."""
        addresses = inet.list_addresses(self._nl, inet.AF_INET6 if ":" in self._address else inet.AF_INET)
        index = next((a.ifindex for a in addresses if a.address == self._address), 0)
        mtu = next((found.mtu for found in link.list_links(self._nl) if found.ifindex == index), ETHERNET_MTU)
        return min(mtu, ETHERNET_MTU)

    def ensure(self, network: NetworkRecord) -> None:
        if network.shared and not network.blocks:
            return  # nobody on this host is in it yet
        check_kind(self._nl, "vxlan")
        if network.encrypted:
            self._esp.check()
            self._esp.close_port()  # before there is a link that could send
            self._encrypted.add(network.id)
        super().ensure(network)
        name = network.vxlan
        try:
            found = link.find_link(self._nl, name)
            if found is not None and network.shared and fdb.local_address(self._nl, name) != self._address:
                link.delete_link(self._nl, name)  # this host is reached elsewhere now
                found = None
            bridge = link.get_link(self._nl, network.link).ifindex
            if found is None:
                found = self._add_vxlan(network, name, bridge)
            elif found.master != bridge or not found.up:  # somebody made the bridge anew
                self._nl.ask(link.set_link(found.ifindex, master=bridge, up=True))
            if network.id in self._peers:
                fdb.flood_to(self._nl, found.ifindex, self._peers[network.id])
        except OSError as err:
            raise from_oserror(err, f"make the VXLAN link {name}") from err

    def _add_vxlan(self, network: NetworkRecord, name: str, bridge: int) -> link.Link:
        data: dict[str, int | str] = {"id": network.vni, "learning": 1, "port": esp.PORT if network.encrypted else PORT}
        if network.shared and self._address:
            data["local6" if ":" in self._address else "local"] = self._address
        link.add_link(self._nl, link.NewLink(
            name, "vxlan", link.VXLAN.encode(data), mtu=network.mtu, master=bridge, alias=alias_of(self._instance_id), up=True,
        ))  # fmt: skip
        return link.get_link(self._nl, name)

    def remove(self, network: NetworkRecord) -> None:
        self._peers.pop(network.id, None)
        link.delete_link(self._nl, network.vxlan)
        super().remove(network)
        if network.id in self._encrypted:
            self._encrypted.discard(network.id)
            if not self._encrypted:
                self._esp.remove()

    def set_peers(self, network: NetworkRecord, addresses: Iterable[str]) -> None:
        """The other hosts of a network, by address: its broadcasts go there from now on."""
        self._peers[network.id] = frozenset(addresses)
        found = link.find_link(self._nl, network.vxlan)
        if found is not None:
            fdb.flood_to(self._nl, found.ifindex, self._peers[network.id])


def _encrypted_mtu(plain: int) -> int:
    """What is left when ESP adds its header and IV (16 bytes), a trailer that fills up to fours (2 and more), and 16 of proof."""
    inside = plain + 30 - 32  # the UDP and VXLAN headers and the frame's are encrypted with it
    return inside // 4 * 4 - 2 - 30


def _vni(asked: NetworkRequest, taken: set[int], first: int) -> int:
    """Raises: InvalidArgument, ResourceExhausted."""
    given = asked.options.get(_VNI_OPTION)
    if given:
        if not given.isdecimal() or not 1 <= int(given) <= LAST_VNI:
            raise InvalidArgument(f"invalid vxlan id value '{given}' passed: it must be a number from 1 to {LAST_VNI}")
        if int(given) in taken:
            raise InvalidArgument(f"vxlan id {given} is in use by another network")
        return int(given)
    found = next((n for n in range(first, LAST_VNI) if n not in taken), 0)
    if not found:
        raise ResourceExhausted("no VXLAN id is free")
    return found
