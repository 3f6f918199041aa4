"""Namespaces that are shared: with the host, with another container; and what contradicts it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from berth.base.errors import InvalidArgument, NotFound
from berth.engine.containers.record import Container

CONTAINER = "container:"


def check_modes(config: dict[str, Any], hc: dict[str, Any], find: Callable[[str], object]) -> None:
    """``find`` raises NotFound for a container that is not there. Raises: InvalidArgument."""
    _check_network(config, hc)
    if str(hc.get("Isolation") or "default").lower() != "default":
        raise InvalidArgument(f"invalid isolation ({hc['Isolation']}): linux only supports 'default'")
    ipc = str(hc.get("IpcMode") or "")
    if ipc not in ("", "none", "private", "shareable", "host") and not ipc.startswith(CONTAINER):
        raise InvalidArgument(f"invalid IPC mode: {ipc}")
    for key, word in (("PidMode", "PID"), ("UTSMode", "UTS")):
        mode = str(hc.get(key) or "")
        joins = key == "PidMode" and mode.startswith(CONTAINER) and mode != CONTAINER
        if mode not in ("", "host") and not joins:
            raise InvalidArgument(f"invalid {word} mode: {mode}")
    if str(hc.get("CgroupnsMode") or "") not in ("", "private", "host"):
        raise InvalidArgument(f"invalid cgroup namespace mode: {hc['CgroupnsMode']}")
    for key in ("IpcMode", "PidMode"):
        other = str(hc.get(key) or "").partition(CONTAINER)[2]
        if other:
            try:
                find(other)
            except NotFound as err:  # the stock CLI takes a 404 of create for a missing image
                raise InvalidArgument(err.message) from err


def _check_network(config: dict[str, Any], hc: dict[str, Any]) -> None:
    mode = str(hc.get("NetworkMode") or "")
    if mode == "container" or mode == CONTAINER:
        raise InvalidArgument("invalid network mode: invalid container format container:<name|id>")
    joins = mode.startswith(CONTAINER)
    if joins and config.get("Hostname"):
        raise InvalidArgument("conflicting options: hostname and the network mode")
    if hc.get("UTSMode") == "host" and config.get("Hostname"):
        raise InvalidArgument("conflicting options: hostname and the UTS mode")
    if (joins or mode == "host") and hc.get("Links"):
        kind = "host type networking" if mode == "host" else "container type network"
        raise InvalidArgument(
            f"conflicting options: {kind} can't be used with links. This would result in undefined behavior"
        )
    if not joins:
        return
    if hc.get("Dns"):
        raise InvalidArgument("conflicting options: dns and the network mode")
    if hc.get("ExtraHosts"):
        raise InvalidArgument("conflicting options: custom host-to-IP mapping and the network mode")
    if hc.get("PortBindings") or hc.get("PublishAllPorts"):
        raise InvalidArgument("conflicting options: port publishing and the container type network mode")
    if config.get("ExposedPorts"):
        raise InvalidArgument("conflicting options: port exposing and the container type network mode")


def name_network_owner(find: Callable[[str], Container | None], hc: dict[str, Any]) -> None:
    """``container:name`` → ``container:id`` (in place): the name may be another's by the next start."""
    mode = str(hc["NetworkMode"])
    owner = find(mode.removeprefix(CONTAINER)) if mode.startswith(CONTAINER) else None
    if owner is not None:
        hc["NetworkMode"] = CONTAINER + owner.id
