"""host: the container has the host's own network. There is one such network, and nothing to make."""

from __future__ import annotations

from collections.abc import Sequence

from berth.base.errors import Forbidden
from berth.networks.drivers.contract import Bare
from berth.networks.records import NetworkRecord
from berth.networks.request import NetworkRequest


class HostDriver(Bare):
    name = "host"

    def plan(self, asked: NetworkRequest, network: NetworkRecord, others: Sequence[NetworkRecord]) -> None:
        """Raises: Forbidden."""
        raise Forbidden('only one instance of "host" network is allowed')
