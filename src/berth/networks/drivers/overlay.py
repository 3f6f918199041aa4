"""overlay: one network over several hosts. A bridge on each, joined by VXLAN (RFC 7348).

    container eth0 ══ bridge ov-<network id> ── vx-<network id> ┄┄ UDP 4789 ┄┄ vx-… ── bridge ══ container on another host
                        └── this host's own gateway address: NAT to the world, published ports

Each host has a gateway of its own in the subnet, so what leaves for the world leaves where the container is. Broadcasts go to
every peer host (one all-zero forwarding entry each), answers are learned. Without a cluster store the network spans this host.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from berth.base.errors import InvalidArgument, ResourceExhausted, Unsupported, from_oserror
from berth.kernel.netlink import fdb, link
from berth.kernel.netlink.sock import Netlink
from berth.networks.drivers.bridge import MTU_OPTION, BridgeDriver, alias_of
from berth.networks.drivers.parent import check_kind
from berth.networks.records import NetworkRecord
from berth.networks.request import NetworkRequest

PORT = 4789
OVERHEAD_BYTES = {4: 50, 6: 70}
"""What VXLAN adds to a frame: the outer Ethernet, IP and UDP headers, and its own."""
FIRST_VNI, LAST_VNI = 4097, (1 << 24) - 1
_VNI_OPTION = "com.docker.network.driver.overlay.vxlanid_list"


class OverlayDriver(BridgeDriver):
    """Behind the contract of ``contract.Driver``; ``address`` is where peers reach this host, "" for no peers."""

    name = "overlay"
    scope = "global"

    def __init__(self, nl: Netlink, instance_id: str, address: str = "") -> None:
        super().__init__(nl, instance_id)
        self._address = address
        self._peers: frozenset[str] = frozenset()

    def plan(self, asked: NetworkRequest, network: NetworkRecord, others: Sequence[NetworkRecord]) -> None:
        if asked.options.get("encrypted", "false").lower() not in ("false", "0"):
            raise Unsupported("overlay networks cannot be encrypted by this engine yet: IPsec is missing, and nothing is "
                              "sent in the clear that was asked to be encrypted")  # fmt: skip
        super().plan(asked, network, others)
        network.link = f"ov-{network.id[:12]}"
        network.ours = True
        network.vni = _vni(asked, {other.vni for other in others})
        if MTU_OPTION not in asked.options:
            network.mtu = 1500 - OVERHEAD_BYTES[6 if ":" in self._address else 4]

    def ensure(self, network: NetworkRecord) -> None:
        check_kind(self._nl, "vxlan")
        super().ensure(network)
        name = _vxlan(network)
        try:
            found = link.find_link(self._nl, name)
            if found is None:
                data: dict[str, int | str] = {"id": network.vni, "learning": 1, "port": PORT}
                if self._address:
                    data["local6" if ":" in self._address else "local"] = self._address
                bridge = link.get_link(self._nl, network.link).ifindex
                link.add_link(self._nl, link.NewLink(
                    name, "vxlan", link.VXLAN.encode(data), mtu=network.mtu, master=bridge,
                    alias=alias_of(self._instance_id), up=True,
                ))  # fmt: skip
                found = link.get_link(self._nl, name)
            fdb.flood_to(self._nl, found.ifindex, self._peers)
        except OSError as err:
            raise from_oserror(err, f"make the VXLAN link {name}") from err

    def remove(self, network: NetworkRecord) -> None:
        link.delete_link(self._nl, _vxlan(network))
        super().remove(network)

    def set_peers(self, addresses: Iterable[str], networks: Iterable[NetworkRecord]) -> None:
        """Who else is in the cluster, by address: every overlay's broadcasts go there from now on."""
        self._peers = frozenset(addresses)
        for network in networks:
            found = link.find_link(self._nl, _vxlan(network))
            if found is not None:
                fdb.flood_to(self._nl, found.ifindex, self._peers)


def _vxlan(network: NetworkRecord) -> str:
    return f"vx-{network.id[:12]}"


def _vni(asked: NetworkRequest, taken: set[int]) -> int:
    """Raises: InvalidArgument, ResourceExhausted."""
    given = asked.options.get(_VNI_OPTION)
    if given:
        if not given.isdecimal() or not 1 <= int(given) <= LAST_VNI:
            raise InvalidArgument(f"invalid vxlan id value '{given}' passed: it must be a number from 1 to {LAST_VNI}")
        if int(given) in taken:
            raise InvalidArgument(f"vxlan id {given} is in use by another network")
        return int(given)
    found = next((n for n in range(FIRST_VNI, LAST_VNI) if n not in taken), 0)
    if not found:
        raise ResourceExhausted("no VXLAN id is free")
    return found
