"""The use cases of ``/networks``: create, list, inspect, remove, prune, connect, disconnect.

Locks: connect and disconnect hold the container's. They run to their end even when the client hangs up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from berth.base.errors import BerthError, Forbidden
from berth.engine.containers import network_files
from berth.engine.containers.deps import Deps, persist
from berth.engine.containers.endpoints import member_of, ports_wished, publish_network, resolvers_of
from berth.engine.containers.filters import prune_until_ns
from berth.engine.containers.record import Container
from berth.networks import endpoints as ep
from berth.networks import filters as rules
from berth.networks.records import Endpoint, NetworkRecord
from berth.networks.request import parse_request
from berth.spec.api.networks import Network, NetworkCreateResponse

Filters = Mapping[str, list[str]]


class NetworkVerbs:
    """The Protocol ``Networks`` of the API's seam."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    async def list_(self, filters: Filters) -> list[Network]:
        return self._deps.networks.list_(filters)

    async def inspect(self, ref: str) -> Network:
        return self._deps.networks.inspect(ref)

    async def create(self, body: Mapping[str, Any]) -> NetworkCreateResponse:
        result: NetworkCreateResponse = await self._deps.tasks.run(self._create(body), "network create")
        return result

    async def _create(self, body: Mapping[str, Any]) -> NetworkCreateResponse:
        asked = parse_request(body, default_options=self._deps.networks.options.default_network_opts)
        network = await self._deps.networks.create(asked)
        self._tell("create", network)
        return {"Id": network.id, "Warning": ""}

    async def remove(self, ref: str) -> None:
        await self._deps.tasks.run(self._remove(self._deps.networks.resolve(ref)), "network remove")

    async def _remove(self, network: NetworkRecord) -> None:
        await self._deps.networks.remove(network)
        self._tell("destroy", network)

    async def prune(self, filters: Filters) -> dict[str, Any]:
        result: dict[str, Any] = await self._deps.tasks.run(self._prune(filters), "network prune")
        return result

    async def _prune(self, filters: Filters) -> dict[str, Any]:
        rules.check_prune(filters)
        until = prune_until_ns(filters)
        removed = []
        for network in self._deps.networks.users_made():
            if rules.prune_fits(network, filters, until) and not self._wished_for(network):
                try:
                    await self._remove(network)
                except Forbidden:
                    continue  # somebody joined it meanwhile
                removed.append(network.name)
        return {"NetworksDeleted": removed or None}

    def _wished_for(self, network: NetworkRecord) -> bool:
        """A stopped container counts too: without its network it could not start again."""
        return any(network.name in c.row.endpoints for c in self._deps.containers)

    def _tell(self, action: str, network: NetworkRecord) -> None:
        self._deps.events.publish("network", action, network.id, {"name": network.name, "type": network.driver})

    # --- containers

    async def connect(self, ref: str, container: str, settings: Mapping[str, Any] | None) -> None:
        self._deps.containers.get(container)  # of two that are not there Docker names the container
        network = self._deps.networks.resolve(ref)
        await self._deps.tasks.run(self._connect(network, container, dict(settings or {})), "network connect")

    async def _connect(self, network: NetworkRecord, ref: str, asked: dict[str, Any]) -> None:
        container = self._deps.containers.get(ref)
        async with self._deps.locks.hold(container.id):
            self._check_connect(container, network)
            ep.check_settings(network, asked)
            if container.running:
                await self._plug(container, network, asked)
            container.row.endpoints = {**container.row.endpoints, network.name: asked}
            await persist(self._deps, container)

    def _check_connect(self, container: Container, network: NetworkRecord) -> None:
        mode = container.network_mode
        if container.row.phase in ("removing", "dead"):
            raise Forbidden(
                f"container is marked for removal and cannot be connected or disconnected to the network: {container.id}"
            )
        if mode.startswith("container:") or mode == "host":
            raise Forbidden(
                "container sharing network namespace with another container or host cannot be connected to any other network"
            )
        if network.name == "host":
            raise Forbidden("container cannot be disconnected from host network or connected to host network")
        if "none" in container.row.endpoints or network.name == "none":
            raise Forbidden(
                "container cannot be connected to multiple networks with one of the networks in private (none) mode"
            )
        if network.name in container.row.endpoints:
            raise Forbidden(f"endpoint with name {container.name} already exists in network {network.name}")

    async def _plug(self, container: Container, network: NetworkRecord, asked: dict[str, Any]) -> None:
        deps, beside = self._deps, container.endpoints
        endpoint = await deps.networks.admit(member_of(container), network, asked, beside)
        try:
            await deps.networks.connect(
                endpoint, beside, container.row.pid, ports_wished(container), resolvers_of(container)
            )
        except BaseException:
            await deps.networks.release([endpoint])
            raise
        container.endpoints = [*beside, endpoint]
        self._show_ports(container)
        network_files.connected(deps, container, endpoint)
        publish_network(deps, "connect", endpoint)

    async def disconnect(self, ref: str, container: str, *, force: bool) -> None:
        await self._deps.tasks.run(self._disconnect(ref, container, force), "network disconnect")

    async def _disconnect(self, ref: str, container_ref: str, force: bool) -> None:
        container = self._deps.containers.get(container_ref)
        network = self._deps.networks.resolve(ref)
        async with self._deps.locks.hold(container.id):
            if network.name == "host":
                raise Forbidden("container cannot be disconnected from host network or connected to host network")
            if network.name not in container.row.endpoints:
                raise Forbidden(f"container {container.id} is not connected to network {network.name}")
            endpoint = next((e for e in container.endpoints if e.network_id == network.id), None)
            if endpoint is not None:
                await self._unplug(container, endpoint, force)
            container.row.endpoints = {n: s for n, s in container.row.endpoints.items() if n != network.name}
            await persist(self._deps, container)

    async def _unplug(self, container: Container, endpoint: Endpoint, force: bool) -> None:
        beside = [e for e in container.endpoints if e is not endpoint]
        try:
            await self._deps.networks.disconnect(endpoint, beside, container.row.pid, ports_wished(container))
        except (BerthError, OSError):
            if not force:
                raise
            await self._deps.networks.release([endpoint])
        container.endpoints = beside
        network_files.disconnected(self._deps, container, endpoint)
        self._show_ports(container)
        publish_network(self._deps, "disconnect", endpoint)

    def _show_ports(self, container: Container) -> None:
        exposed = container.row.config.get("ExposedPorts") or {}
        container.ports = self._deps.networks.port_map(container.endpoints, exposed)
