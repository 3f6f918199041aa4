"""Addresses from somebody else's program: Docker's remote IPAM protocol (libnetwork, docs/ipam.md)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from berth.base.errors import BerthError, InvalidArgument, NotFound
from berth.networks.records import NetworkRecord, Subnet
from berth.networks.request import NetworkRequest
from berth.plugins.client import Plugins

log = logging.getLogger(__name__)

KIND = "IpamDriver"
_GATEWAY = "com.docker.network.gateway"
_PURPOSE = "RequestAddressType"
_MAC = "com.docker.network.endpoint.macaddress"


class Pools(NamedTuple):
    """What a plugin gave a network: its subnets, and by subnet what the plugin calls it."""

    subnets: list[Subnet]
    ids: dict[str, str]


class RemoteIpam:
    """A plugin by name. Blocking, on its own thread."""

    def __init__(self, plugins: Plugins, name: str) -> None:
        self._plugins = plugins
        self.name = name

    def _ask(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._plugins.get(self.name, KIND).ask(f"{KIND}.{method}", body)

    def fill(self, asked: NetworkRequest) -> Pools:
        """A network's subnets with their gateways. All or nothing. Raises: NotFound, BerthError."""
        space = self._space()
        wanted = [(subnet, subnet.is_ipv6) for subnet in asked.subnets]
        for six, enabled in ((False, asked.ipv4), (True, asked.ipv6)):
            if enabled and not any(subnet.is_ipv6 == six for subnet in asked.subnets):
                wanted.append((Subnet(""), six))
        pools = Pools([], {})
        try:
            for subnet, six in wanted:
                pools.subnets.append(self._pool(space, subnet, six, asked.ipam_options, pools))
        except BaseException:
            self.drop(pools)
            raise
        return pools

    def replay(self, network: NetworkRecord, taken: Sequence[tuple[str, str]]) -> bool:
        """What the network has of the plugin is asked for again, if the plugin wants that when an engine starts
        (RequiresRequestReplay): pools, gateways, auxiliary addresses, then ``taken``, containers' with their MACs.

        True when it was; ``pools`` are the plugin's new names then. Raises: BerthError of what the plugin says.
        """
        if not self._wants_replay():
            return False
        space, pools = self._space(), Pools([], {})
        for subnet in network.subnets:
            self._pool(space, subnet, subnet.is_ipv6, network.ipam_options, pools)
        network.pools = pools.ids
        for address, mac in taken:
            self.acquire(network, 6 if ":" in address else 4, address, mac)
        return True

    def _wants_replay(self) -> bool:
        try:
            return bool(self._ask("GetCapabilities", {}).get("RequiresRequestReplay"))
        except NotFound:
            return False

    def _space(self) -> str:
        return str(self._ask("GetDefaultAddressSpaces", {}).get("LocalDefaultAddressSpace") or "")

    def _pool(self, space: str, asked: Subnet, six: bool, options: dict[str, str] | None, pools: Pools) -> Subnet:
        answer = self._ask("RequestPool", {
            "AddressSpace": space, "Pool": asked.subnet, "SubPool": asked.ip_range, "Options": options or {}, "V6": six,
        })  # fmt: skip
        pool_id, pool = str(answer.get("PoolID") or ""), str(answer.get("Pool") or "")
        if not pool_id or "/" not in pool:
            raise InvalidArgument(f"plugin {self.name} gave no pool: {answer}")
        subnet = msgspec.structs.replace(asked, subnet=pool)
        pools.ids[pool] = pool_id
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
            raise InvalidArgument(f"plugin {self.name} gave no address: {answer}")
        return found, int(length)

    def release(self, network: NetworkRecord, address: str) -> None:
        subnet = network.v6 if ":" in address else network.v4
        if subnet is not None:
            self._tell("ReleaseAddress", {"PoolID": network.pools.get(subnet.subnet, ""), "Address": address})

    def drop(self, pools: Pools) -> None:
        """Gateways and pools are given back."""
        for subnet in pools.subnets:
            for address in filter(None, (subnet.gateway, *subnet.aux.values())):
                self._tell("ReleaseAddress", {"PoolID": pools.ids.get(subnet.subnet, ""), "Address": address})
        for pool_id in pools.ids.values():
            self._tell("ReleasePool", {"PoolID": pool_id})

    def _tell(self, method: str, body: dict[str, Any]) -> None:
        try:
            self._ask(method, body)
        except BerthError as err:
            log.warning("plugin %s: %s", self.name, err)
