"""Endpoints as values: a container's names on a network, its interfaces' names, which of them has the default route. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from berth.base.errors import InvalidArgument
from berth.networks.records import Endpoint, NetworkRecord
from berth.networks.sandbox import IFNAME_OPTION

MESSAGE_HEAD = "invalid config for network {}: invalid endpoint settings:\n{}"


class Member(NamedTuple):
    """A container as networks know it. ``mac`` is the legacy ``Config.MacAddress``."""

    container_id: str
    name: str
    hostname: str = ""
    mac: str = ""


def names_of(member: Member, asked: Mapping[str, Any]) -> list[str]:
    """What neighbours may call it by, each once: name, aliases, short id, host name."""
    given = (member.name, *(str(a) for a in asked.get("Aliases") or ()), member.container_id[:12], member.hostname)
    return list(dict.fromkeys(filter(None, given)))


def check_settings(network: NetworkRecord, asked: Mapping[str, Any]) -> None:
    """Raises: InvalidArgument in Docker's words: what this network cannot give."""
    ipam = asked.get("IPAMConfig") or {}
    wrong: list[str] = []
    addresses = [(str(ipam[key]), family) for key, family in _FAMILIES if ipam.get(key)]
    if network.predefined:
        if addresses:
            wrong.append("user specified IP address is supported on user defined networks only")
        if asked.get("Aliases"):
            wrong.append("network-scoped alias is supported only for containers in user defined networks")
    wrong += [f"invalid IPv{family} address: {text}" for text, family in addresses if not _is_address(text, family)]
    if addresses and not network.subnets_asked:
        wrong.append(
            "user specified IP address is supported only when connecting to networks with user configured subnets"
        )
    if wrong:
        lines = wrong if len(wrong) == 1 else [f"* {line}" for line in wrong]
        raise InvalidArgument(MESSAGE_HEAD.format(network.name, "\n".join(lines)))


_FAMILIES = (("IPv4Address", 4), ("IPv6Address", 6))


def _is_address(text: str, family: int) -> bool:
    try:
        return ipaddress.ip_address(text).version == family
    except ValueError:
        return False


def free_ifname(endpoints: Sequence[Endpoint], asked: Mapping[str, Any]) -> str:
    """``eth<N>``, or the one that was asked for. Raises: InvalidArgument."""
    taken = {e.ifname for e in endpoints}
    wanted = str((asked.get("DriverOpts") or {}).get(IFNAME_OPTION) or "")
    if wanted:
        if len(wanted) > 15 or "/" in wanted or wanted in ("lo", ".", "..") or wanted in taken:
            raise InvalidArgument(f"invalid interface name {wanted!r} in {IFNAME_OPTION}")
        return wanted
    return next(name for name in (f"eth{n}" for n in range(len(taken) + 1)) if name not in taken)


def choose_routes(endpoints: Sequence[Endpoint]) -> bool:
    """Give the default routes to the endpoints with the highest priority, of equal ones to the first by name of network.

    True when that changed anything.
    """
    ranked = sorted(endpoints, key=lambda e: (-e.priority, not (e.gateway and e.gateway6), e.network_name))
    first4 = next((e for e in ranked if e.gateway and e.ipv4), None)
    first6 = next((e for e in ranked if e.gateway6 and e.ipv6), None)
    changed = False
    for endpoint in endpoints:
        wanted = (endpoint is first4, endpoint is first6)
        changed = changed or wanted != (endpoint.routes4, endpoint.routes6)
        endpoint.routes4, endpoint.routes6 = wanted
    return changed


def publisher(endpoints: Sequence[Endpoint], publishes: Callable[[str], bool]) -> Endpoint | None:
    """The endpoint that published ports lead to: the one with the default route, if its driver can."""
    for routed in ([e for e in endpoints if e.routes4], [e for e in endpoints if e.routes6]):
        for endpoint in routed:
            if publishes(endpoint.driver):
                return endpoint
    return None
