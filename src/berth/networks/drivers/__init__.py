"""Network drivers, a file each behind the contract of ``contract.py``.

    contract.py  what a driver promises
    bridge.py    a Linux bridge a network, a veth pair an endpoint; default.py chooses the default bridge's link and subnet
    host.py      the host's own network
    none.py      loopback only
    macvlan.py   a MAC and addresses of its own on a link of the host's
    ipvlan.py    addresses of its own behind the MAC of a link of the host's; parent.py: the link both stand on
    overlay.py   a bridge on each host, joined by VXLAN; esp.py encrypts between the hosts
    remote.py    somebody else's program, by Docker's remote-driver protocol; found when a network names it

``container:<id>`` is no network and has no driver: the container's init joins the other's namespace, which has its endpoints
already (engine/containers/endpoints.py).
"""

from __future__ import annotations

from berth.kernel.netlink.sock import Netlink
from berth.networks.drivers.bridge import BridgeDriver
from berth.networks.drivers.contract import Driver
from berth.networks.drivers.esp import Esp
from berth.networks.drivers.host import HostDriver
from berth.networks.drivers.ipvlan import IpvlanDriver
from berth.networks.drivers.macvlan import MacvlanDriver
from berth.networks.drivers.none import NoneDriver
from berth.networks.drivers.overlay import OverlayDriver


def all_drivers(nl: Netlink, instance_id: str, esp: Esp, cluster_address: str = "") -> dict[str, Driver]:
    """Every driver of this engine, by the API's word. ``cluster_address``: where other hosts of overlays reach this one."""
    made: tuple[Driver, ...] = (
        BridgeDriver(nl, instance_id), HostDriver(), NoneDriver(), MacvlanDriver(nl, instance_id),
        IpvlanDriver(nl, instance_id), OverlayDriver(nl, instance_id, esp, cluster_address),
    )  # fmt: skip
    return {driver.name: driver for driver in made}
