"""Which networks a container joins: settled at create, changed by connect and disconnect, allocated at each start.

``row.endpoints`` is the wish: name of network → EndpointSettings asked for, the network mode's own first. ``container.endpoints``
is what there is while it runs. A container of ``--network container:<id>`` wishes for none: it lives in the other's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from berth.base.errors import Forbidden, InvalidArgument, NotFound
from berth.engine.containers.record import Container
from berth.engine.containers.runtime_spec import hostname_of
from berth.networks import endpoints as ep
from berth.networks.ports import PortWishes
from berth.networks.records import Endpoint

if TYPE_CHECKING:
    from berth.engine.containers.deps import Deps

Wishes = dict[str, dict[str, Any]]


def settle_networks(deps: Deps, host_config: Mapping[str, Any], asked: Mapping[str, Any]) -> Wishes:
    """The create body's networks by name, whichever name or id was used; a network that isn't there is the start's to tell.

    Where some are asked for, the network mode's own is one only if it is among them: "bridge" is what a client says that
    names none.

    Raises: InvalidArgument (settings that a network can't give, networks beside ``host``, ``none`` or ``container:``).
    """
    mode = str(host_config.get("NetworkMode") or "bridge")
    wishes: Wishes = {}
    if not mode.startswith("container:") and (not asked or _name(deps, mode) in {_name(deps, ref) for ref in asked}):
        wishes[_name(deps, mode)] = {}
    for ref, settings in asked.items():
        if ref == mode and mode.startswith("container:"):
            continue  # whatever it asks for there, it gets what the other has
        name = _name(deps, ref)
        wishes[name] = {**wishes.get(name, {}), **dict(settings or {})}
    if any(name != mode for name in wishes) and mode in ("host", "none"):
        raise InvalidArgument(f"conflicting options: cannot attach both {mode} network mode and user-defined networks")
    if mode.startswith("container:") and wishes:
        raise InvalidArgument("conflicting options: container type network can't be used with links or other networks")
    for name, settings in wishes.items():
        network = deps.networks.find(name)
        if network is not None:
            ep.check_settings(network, settings)
    return wishes


def _name(deps: Deps, ref: str) -> str:
    network = deps.networks.find(ref)
    return network.name if network is not None else ref


def member_of(container: Container) -> ep.Member:
    """The container as networks know it."""
    config = container.row.config
    return ep.Member(container.id, container.name, hostname_of(container.row), str(config.get("MacAddress") or ""))


async def allocate(deps: Deps, container: Container, made: list[Endpoint]) -> None:
    """An endpoint a network into ``made``, which the caller releases whatever happens. Memory only, but for shared networks.

    Raises: NotFound (a network is gone), Forbidden (the host's network beside another), Conflict, ResourceExhausted,
    InvalidArgument, Unavailable (the cluster store is away).
    """
    member = member_of(container)
    if "host" in container.row.endpoints and container.network_mode != "host":
        raise Forbidden("container cannot be disconnected from host network or connected to host network")
    for name, asked in container.row.endpoints.items():
        if (asked.get("IPAMConfig") or {}).get("LinkLocalIPs"):
            raise InvalidArgument(
                f"network {name}: link-local addresses of one's own are not supported: leave them out"
            )
        try:
            network = deps.networks.resolve(name)
        except NotFound as err:
            raise NotFound(f"failed to set up container networking: {err.message}") from None
        made.append(await deps.networks.admit(member, network, asked, made))
    ep.choose_routes(made)


def resolvers_of(container: Container) -> tuple[str, ...]:
    """``--dns``."""
    return tuple(str(server) for server in container.row.host_config.get("Dns") or ())


def ports_wished(container: Container) -> PortWishes:
    """What it wants published."""
    hc, config = container.row.host_config, container.row.config
    return PortWishes(hc.get("PortBindings") or {}, config.get("ExposedPorts") or {}, bool(hc.get("PublishAllPorts")))


def publish_network(deps: Deps, action: str, endpoint: Endpoint) -> None:
    """The event ``connect`` or ``disconnect`` of a network."""
    deps.events.publish(
        "network", action, endpoint.network_id,
        {"container": endpoint.container_id, "name": endpoint.network_name, "type": endpoint.driver},
    )  # fmt: skip
