"""A network's create body, checked: text in, a ``NetworkRequest`` out. Pure; the driver judges the options.

Spec: Engine API v1.51, POST /networks/create.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from berth.base.errors import Forbidden, InvalidArgument
from berth.networks.ipam.config import parse_ipam
from berth.networks.records import Subnet

PREDEFINED = ("bridge", "host", "none", "default")


class NetworkRequest(NamedTuple):
    """What a user asked for."""

    name: str
    driver: str
    internal: bool
    attachable: bool
    ipv4: bool
    ipv6: bool
    options: dict[str, str]
    labels: dict[str, str]
    subnets: list[Subnet]
    ipam_driver: str
    ipam_options: dict[str, str] | None


def parse_request(
    body: Mapping[str, Any], *, default_options: Mapping[str, Mapping[str, str]] | None = None
) -> NetworkRequest:
    """Raises: InvalidArgument, Forbidden (a predefined name) in Docker's words."""
    name = str(body.get("Name") or "")
    if not name.strip():
        raise InvalidArgument("invalid name: name is empty")
    if name in PREDEFINED:
        raise Forbidden(f"operation is not permitted on predefined {name} network")
    if body.get("Ingress") or str(body.get("Scope") or "local") == "swarm":
        raise InvalidArgument("ingress and swarm networks need a swarm: this engine is none")
    if body.get("ConfigOnly") or (body.get("ConfigFrom") or {}).get("Network"):
        raise InvalidArgument("config-only networks are swarm's: give the options to this network itself")
    ipam = body.get("IPAM") or {}
    driver = str(body.get("Driver") or "bridge")
    subnets = parse_ipam(ipam.get("Config"))
    ipv4 = body.get("EnableIPv4") is not False
    ipv6 = bool(body.get("EnableIPv6"))
    _check_families(subnets, ipv4, ipv6)
    options = {**((default_options or {}).get(driver) or {}), **_texts(body.get("Options"))}
    return NetworkRequest(
        name, driver, bool(body.get("Internal")), bool(body.get("Attachable")), ipv4, ipv6, options,
        _texts(body.get("Labels")), subnets, str(ipam.get("Driver") or "default"),
        _texts(ipam["Options"]) if ipam.get("Options") is not None else None,
    )  # fmt: skip


def _check_families(subnets: list[Subnet], ipv4: bool, ipv6: bool) -> None:
    if not ipv4 and not ipv6:
        raise InvalidArgument("IPv4 or IPv6 must be enabled")
    if not ipv4 and any(not s.is_ipv6 for s in subnets):
        raise InvalidArgument("IPv4 is disabled for this network, but an IPv4 subnet was given")


def _texts(given: Mapping[str, Any] | None) -> dict[str, str]:
    return {str(key): str(value) for key, value in (given or {}).items()}
