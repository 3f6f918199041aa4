"""none (Docker's word for the driver is "null"): the container has its loopback and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from berth.base.errors import Forbidden
from berth.networks.drivers.contract import Bare
from berth.networks.records import NetworkRecord
from berth.networks.request import NetworkRequest


class NoneDriver(Bare):
    name = "null"

    def plan(self, asked: NetworkRequest, network: NetworkRecord, others: Sequence[NetworkRecord]) -> None:
        """Raises: Forbidden."""
        raise Forbidden('only one instance of "null" network is allowed')
