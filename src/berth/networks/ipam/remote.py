"""Addresses from somebody else's program: Docker's remote IPAM protocol (libnetwork, docs/ipam.md)."""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from berth.base.errors import BerthError, InvalidArgument
from berth.networks.records import NetworkRecord, Subnet
from berth.networks.request import NetworkRequest
from berth.plugins.client import Plugins

log = logging.getLogger(__name__)

KIND = "IpamDriver"
_GATEWAY = "com.docker.network.gateway"
_PURPOSE = "RequestAddressType"
_MAC = "com.docker.network.endpoint.macaddress"


class RemoteIpam:
    """A plugin by name. Blocking, on the networks' worker thread."""

    def __init__(self, plugins: Plugins, name: str) -> None:
        self._plugins = plugins
        self._name = name

    def _ask(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._plugins.get(self._name, KIND).ask(f"{KIND}.{method}", body)

    def fill(self, asked: NetworkRequest, network: NetworkRecord) -> None:
        """The network's subnets and gateways, and the pools that they are. All or nothing. Raises: NotFound, BerthError."""
        space = str(self._ask("GetDefaultAddressSpaces", {}).get("LocalDefaultAddressSpace") or "")
        wanted = [(subnet, subnet.is_ipv6) for subnet in asked.subnets]
        for six, enabled in ((False, asked.ipv4), (True, asked.ipv6)):
            if enabled and not any(subnet.is_ipv6 == six for subnet in asked.subnets):
                wanted.append((Subnet(""), six))
        try:
            for subnet, six in wanted:
                network.subnets.append(self._pool(space, subnet, six, network))
        except BaseException:
            self.drop(network)
            raise

    def _pool(self, space: str, asked: Subnet, six: bool, network: NetworkRecord) -> Subnet:
        answer = self._ask("RequestPool", {
            "AddressSpace": space, "Pool": asked.subnet, "SubPool": asked.ip_range, "Options": network.ipam_options or {},
            "V6": six,
        })  # fmt: skip
        pool_id, pool = str(answer.get("PoolID") or ""), str(answer.get("Pool") or "")
        if not pool_id or "/" not in pool:
            raise InvalidArgument(f"plugin {self._name} gave no pool: {answer}")
        subnet = msgspec.structs.replace(asked, subnet=pool)
        network.pools[pool] = pool_id
        given = str((answer.get("Data") or {}).get(_GATEWAY) or "").partition("/")[0]
        if given and not asked.gateway:
            subnet.gateway = given
        else:
            subnet.gateway = self._request(pool_id, asked.gateway, {_PURPOSE: _GATEWAY})[0]
        for address in subnet.aux.values():
            self._request(pool_id, address, {})
        return subnet

    def acquire(self, network: NetworkRecord, version: int, wanted: str, mac: str) -> tuple[str, int]:
        """An address for an endpoint, and its prefix length. Raises: BerthError of what the plugin says."""
        subnet = network.v6 if version == 6 else network.v4
        assert subnet is not None
        return self._request(network.pools[subnet.subnet], wanted, {_MAC: mac} if mac else {})

    def _request(self, pool_id: str, address: str, options: dict[str, str]) -> tuple[str, int]:
        answer = self._ask("RequestAddress", {"PoolID": pool_id, "Address": address, "Options": options})
        found, _, length = str(answer.get("Address") or "").partition("/")
        if not found or not length:
            raise InvalidArgument(f"plugin {self._name} gave no address: {answer}")
        return found, int(length)

    def release(self, network: NetworkRecord, address: str) -> None:
        subnet = network.v6 if ":" in address else network.v4
        if subnet is not None:
            self._tell("ReleaseAddress", {"PoolID": network.pools.get(subnet.subnet, ""), "Address": address})

    def drop(self, network: NetworkRecord) -> None:
        """Gateways and pools are given back."""
        for subnet in network.subnets:
            for address in filter(None, (subnet.gateway, *subnet.aux.values())):
                self.release(network, address)
        for pool_id in network.pools.values():
            self._tell("ReleasePool", {"PoolID": pool_id})
        network.pools = {}

    def _tell(self, method: str, body: dict[str, Any]) -> None:
        try:
            self._ask(method, body)
        except BerthError as err:
            log.warning("plugin %s: %s", self._name, err)
