"""ipvlan: containers share their parent's MAC and have addresses of their own.

    l2     on the parent's LAN, with its gateway
    l3     routed by the parent: no broadcasts, no gateway, everybody is reached over the link itself
    l3s    l3, and netfilter of the host sees the packets

Flags: ``bridge`` (containers see one another), ``private`` (they don't), ``vepa`` (through the switch).
"""

from __future__ import annotations

from collections.abc import Sequence

from berth.base.errors import InvalidArgument
from berth.kernel.netlink import link
from berth.networks.drivers import parent
from berth.networks.records import Endpoint, NetworkRecord
from berth.networks.request import NetworkRequest

MODES = {"l2": 0, "l3": 1, "l3s": 2}
FLAGS = {"bridge": 0, "private": 1, "vepa": 2}


class IpvlanDriver(parent.OnParent):
    name = "ipvlan"

    def plan(self, asked: NetworkRequest, network: NetworkRecord, others: Sequence[NetworkRecord]) -> None:
        _choice(network, "ipvlan_mode", MODES, "l2", "mode")
        _choice(network, "ipvlan_flag", FLAGS, "bridge", "flag")
        parent.plan_parent(self._nl, network, asked.options.get("parent", ""), self._alias, "di-")
        parent.check_exclusive(network, list(others), ("macvlan",))

    def join(self, network: NetworkRecord, endpoint: Endpoint) -> None:
        endpoint.mac = ""  # the parent's
        if _choice(network, "ipvlan_mode", MODES, "l2", "mode") and not network.internal:
            endpoint.gateway = "0.0.0.0" if endpoint.ipv4 else ""
            endpoint.gateway6 = "::" if endpoint.ipv6 else ""

    def data(self, network: NetworkRecord) -> bytes:
        mode = _choice(network, "ipvlan_mode", MODES, "l2", "mode")
        return link.IPVLAN.encode({"mode": mode, "flags": _choice(network, "ipvlan_flag", FLAGS, "bridge", "flag")})


def _choice(network: NetworkRecord, option: str, of: dict[str, int], default: str, word: str) -> int:
    """The kernel's number for an option's value. Raises: InvalidArgument in Docker's words."""
    value = network.options.get(option) or default
    if value not in of:
        raise InvalidArgument(
            f"requested ipvlan {word} '{value}' is not valid, '{default}' {word} is the ipvlan driver default"
        )
    return of[value]
