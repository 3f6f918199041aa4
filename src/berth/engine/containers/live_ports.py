"""Ports of a container that exists: ``PublishAdd`` and ``PublishRemove`` of ``update``, while it runs or not.

Both change the wish (``PortBindings``); what is published follows it as a whole, or both stay as they were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from berth.base.errors import InvalidArgument
from berth.engine.containers.deps import Deps
from berth.engine.containers.endpoints import ports_wished
from berth.engine.containers.record import Container
from berth.networks.host_ports import exposed_ports, plan_publish
from berth.spec.api.containers import PortBinding
from berth.spec.ports import ANY_PORT, parse_host_ip, parse_host_port, parse_port

Bindings = dict[str, list[PortBinding]]
PortMap = Mapping[str, Sequence[PortBinding] | None]


async def change_ports(deps: Deps, container: Container, add: PortMap, remove: PortMap) -> None:
    """Set the new wishes in the row, and publish them where it runs. The caller persists, or calls ``restore_ports``.

    Raises: InvalidArgument (a port that is not published, a network mode without published ports), ResourceExhausted (a port of
    the host's is taken): nothing is changed then.
    """
    _check_mode(container, add)
    row = container.row
    hc, config = row.host_config, row.config
    bindings = spread(hc.get("PortBindings") or {})
    publish_all = bool(hc.get("PublishAllPorts"))
    if publish_all and remove:  # -P would publish it again at the next start: its ports become wishes of their own
        for number, proto in exposed_ports(config.get("ExposedPorts") or {}):
            bindings.setdefault(f"{number}/{proto}", [{"HostIp": "", "HostPort": ""}])
        publish_all = False
    bindings = with_ports(without_ports(bindings, spread(remove), container.ports), spread(add))
    plan_publish(bindings, (), False)
    before = hc, config
    row.host_config = {**hc, "PortBindings": bindings, "PublishAllPorts": publish_all}
    row.config = {**config, "ExposedPorts": {**(config.get("ExposedPorts") or {}), **{key: {} for key in spread(add)}}}
    try:
        await follow(deps, container)
    except BaseException:
        row.host_config, row.config = before
        raise


async def follow(deps: Deps, container: Container) -> None:
    """What is published is what the row wishes for. Raises: ResourceExhausted."""
    if container.running and container.endpoints:
        container.ports = await deps.networks.publish(container.endpoints, ports_wished(container))


def _check_mode(container: Container, add: PortMap) -> None:
    mode = container.network_mode
    if add and (mode in ("host", "none") or mode.startswith("container:")):
        raise InvalidArgument(f"conflicting options: port publishing and the network mode {mode}")


def spread(ports: PortMap) -> Bindings:
    """The same with a key a port: ``8000-8001/tcp`` is two. Raises: InvalidArgument."""
    found: Bindings = {}
    for key, entries in ports.items():
        numbers, proto = parse_port(key)
        for number in range(numbers.first, numbers.last + 1):
            found.setdefault(f"{number}/{proto}", []).extend(dict(e) for e in entries or ())  # type: ignore[misc]
    return found


def without_ports(bindings: Bindings, remove: Bindings, shown: Mapping[str, Any]) -> Bindings:
    """Without what ``remove`` names: a port's bindings all, or those at a port (address) of the host. ``shown`` are the ports as
    they are published now, for what was the engine's choice. Raises: InvalidArgument for one that is not there."""
    left = {key: list(entries) for key, entries in bindings.items()}
    for key, wanted in remove.items():
        entries = left.get(key) or []
        now = {str(e["HostPort"]) for e in shown.get(key) or ()}
        gone = [e for e in entries if not wanted or any(_means(which, e, now) for which in wanted)]
        if not gone:
            raise InvalidArgument(f"port {key} is not published{_place(wanted)}")
        left[key] = [e for e in entries if e not in gone]
        if not left[key]:
            del left[key]
    return left


def _means(which: PortBinding, entry: PortBinding, now: set[str]) -> bool:
    address, number = which.get("HostIp") or "", which.get("HostPort") or ""
    if address and parse_host_ip(address) != parse_host_ip(entry.get("HostIp") or ""):
        return False
    if not number or number == (entry.get("HostPort") or ""):
        return True
    choice = parse_host_port(entry.get("HostPort") or "")
    chosen = parse_host_port(number)
    return number in now and (choice == ANY_PORT or choice.first <= chosen.first <= choice.last)


def _place(wanted: Sequence[PortBinding]) -> str:
    places = [f"{e.get('HostIp') or ''}:{e.get('HostPort') or ''}".strip(":") for e in wanted]
    return f" at {', '.join(places)}" if any(places) else ""


def with_ports(bindings: Bindings, add: Bindings) -> Bindings:
    """With these too; one that is wished for already stays one."""
    found = {key: list(entries) for key, entries in bindings.items()}
    for key, entries in add.items():
        there = found.setdefault(key, [])
        for entry in entries or [{}]:
            whole: PortBinding = {"HostIp": "", "HostPort": "", **entry}
            if whole not in there:
                there.append(whole)
    return found
