"""macvlan: each container has a MAC of its own on a link of the host's, and is a machine of its own on that LAN.

    container eth0 ── macvlan ──┐
    container eth0 ── macvlan ──┴── parent (eth0, or the VLAN eth0.50) ── the LAN and its gateway

The host itself does not reach them over the parent (the kernel's own rule), and nothing is published: they are on the LAN.
Modes: ``bridge`` (containers see one another), ``private`` (they don't), ``vepa`` (through the switch), ``passthru`` (one
container has the parent alone).
"""

from __future__ import annotations

import errno
from collections.abc import Sequence

from berth.base.errors import Conflict, InvalidArgument
from berth.kernel.netlink import link
from berth.networks.drivers import parent
from berth.networks.records import NetworkRecord
from berth.networks.request import NetworkRequest

MODES = {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8}


class MacvlanDriver(parent.OnParent):
    name = "macvlan"

    def plan(self, asked: NetworkRequest, network: NetworkRecord, others: Sequence[NetworkRecord]) -> None:
        mode = _mode(network)
        parent.plan_parent(self._nl, network, asked.options.get("parent", ""), self._alias, "dm-")
        parent.check_exclusive(network, list(others), ("ipvlan",))
        for other in others:
            if other.driver == self.name and other.link == network.link and "passthru" in (mode, _mode(other)):
                raise Conflict(f"cannot use mode passthru, macvlan network {other.id[:12]} is already using parent "
                               f"interface {network.link}")  # fmt: skip

    def taken(self, network: NetworkRecord) -> tuple[int, ...]:
        return (errno.EINVAL,) if _mode(network) == "passthru" else super().taken(network)

    def data(self, network: NetworkRecord) -> bytes:
        return link.MACVLAN.encode({"mode": MODES[_mode(network)]})


def _mode(network: NetworkRecord) -> str:
    """Raises: InvalidArgument in Docker's words."""
    mode = network.options.get("macvlan_mode") or "bridge"
    if mode not in MODES:
        raise InvalidArgument(
            f"requested macvlan mode '{mode}' is not valid, 'bridge' mode is the macvlan driver default"
        )
    return mode
