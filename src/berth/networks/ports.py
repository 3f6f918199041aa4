"""``Ports``: the published ports of a container, by its endpoints."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

from berth.base.errors import ResourceExhausted
from berth.networks import endpoints as ep
from berth.networks.host_ports import exposed_ports, plan_publish
from berth.networks.port_changes import Change, plan_change
from berth.networks.records import Endpoint, NetworkRecord
from berth.networks.state import State
from berth.spec.api.containers import PortBinding

if TYPE_CHECKING:
    from berth.networks.drivers.remote import RemoteDriver

PortMap = dict[str, list[PortBinding] | None]
"""``NetworkSettings.Ports``: ``{"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "443/tcp": None}``."""


class PortWishes(NamedTuple):
    """What a container wants published: ``PortBindings``, its exposed ports, ``-P``."""

    bindings: Mapping[str, Sequence[PortBinding] | None]
    exposed: Iterable[str] = ()
    publish_all: bool = False


class Ports:
    """Behind ``NetworkService``."""

    def __init__(self, state: State) -> None:
        self._state = state

    def port_map(self, endpoints: Sequence[Endpoint], exposed: Iterable[str]) -> PortMap:
        """``NetworkSettings.Ports``: published ports with their host's, exposed ones with None."""
        ports: PortMap = {f"{number}/{proto}": None for number, proto in exposed_ports(exposed)}
        for port in (p for e in endpoints for p in e.published):
            for n in range(port.count):
                key = f"{port.container_port + n}/{port.proto}"
                entry: PortBinding = {
                    "HostIp": port.host_ip,
                    "HostPort": str(port.host_port + n) if port.host_port else "",
                }
                ports[key] = [*(ports.get(key) or []), entry]
        return ports

    async def publish(self, endpoints: Sequence[Endpoint], wishes: PortWishes) -> PortMap:
        """What is published is what is wished for, at the endpoint with the default route; returns the map with the host ports
        chosen. ``published`` of endpoints is set: save them after.

        What is right already is not touched; a port moves with its number when the default route moved. All or nothing.
        Raises: ResourceExhausted with Docker's sentence (port allocated, or in use on the host), InvalidArgument (a malformed
        port).
        """
        remote = next((e for e in endpoints if e.routes4 or e.routes6), None)
        if remote is not None and self._state.driver_of(remote).keeps:
            driver = cast("RemoteDriver", self._state.driver_of(remote))
            bindings = {key: list(found) for key, found in wishes.bindings.items() if found}
            await self._state.ask(
                driver.name, driver.program, self._state.network_of(remote), remote, bindings, list(wishes.exposed)
            )
        endpoint = ep.publisher(endpoints, lambda name: self._state.drivers[name].publishes)
        holder = next((e for e in endpoints if e.published), endpoint)
        if endpoint is not None and holder is not None:
            change = self._plan(holder, endpoint, wishes)
            if holder is not endpoint or change.wanted or change.keep != holder.published:
                await self._state.call(self._publish, holder, endpoint, change)
        elif holder is not None:
            await self._state.call(self._state.publisher.withdraw, holder)
        return self.port_map(endpoints, wishes.exposed)

    def _plan(self, holder: Endpoint, endpoint: Endpoint, wishes: PortWishes) -> Change:
        network = self._state.network_of(endpoint)
        default_ip = network.host_binding or self._state.options.default_ip
        wanted = plan_publish(
            wishes.bindings, wishes.exposed, wishes.publish_all, default_ip=default_ip, ipv6=_have_ipv6()
        )
        return plan_change(wanted, holder.published, _routed(network))

    def _publish(self, holder: Endpoint, endpoint: Endpoint, change: Change) -> None:
        network = self._state.network_of(endpoint)
        try:
            self._state.publisher.change(holder, endpoint, change.keep, change.wanted, _routed(network))
        except ResourceExhausted as err:
            raise ResourceExhausted(
                f"failed to set up container networking: driver failed programming external connectivity on "
                f"endpoint {endpoint.container_name} ({endpoint.id}): {err.message}"
            ) from err
        self._state.driver_of(endpoint).expose(network, endpoint)


def _routed(network: NetworkRecord) -> frozenset[int]:
    """The IP versions whose published ports are at the container's own address."""
    return frozenset(v for v, mode in ((4, network.gateway_mode), (6, network.gateway_mode6)) if mode == "routed")


def _have_ipv6() -> bool:
    """Whether this host speaks IPv6 at all: else only IPv4 addresses are published."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM):
            pass
        with open("/proc/net/if_inet6", encoding="ascii") as file:
            return bool(file.read(1))
    except OSError:
        return False
