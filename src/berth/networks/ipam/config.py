"""The IPAM part of a network's create body: text in, checked ``Subnet`` values out. Pure.

Spec: Engine API v1.51, IPAM and IPAMConfig. Docker collects everything that is wrong and tells it together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

from berth.base.errors import InvalidArgument
from berth.networks.ipam.leases import AnyNetwork
from berth.networks.records import Subnet


def parse_ipam(configs: Sequence[Mapping[str, Any]] | None) -> list[Subnet]:
    """The subnets that were asked for, in their order; gateways only where they were given. Raises: InvalidArgument."""
    found: list[Subnet] = []
    wrong: list[str] = []
    for config in configs or ():
        text = str(config.get("Subnet") or "")
        if not text:
            if any(config.get(key) for key in ("IPRange", "Gateway", "AuxiliaryAddresses", "AuxAddress")):
                raise InvalidArgument(
                    "invalid network config:\nno subnet specified for an ip-range, gateway or auxiliary address"
                )
            continue
        subnet = _parse_subnet(text, wrong)
        if subnet is not None:
            found.append(_one(subnet, config, wrong))
    if wrong:
        raise InvalidArgument("invalid network config:\n" + "\n".join(wrong))
    return found


def _parse_subnet(text: str, wrong: list[str]) -> AnyNetwork | None:
    try:
        subnet = ip_network(text, strict=False)
        if "/" not in text:
            raise ValueError(text)
    except ValueError:
        wrong.append(f"invalid subnet {text}: invalid CIDR block notation")
        return None
    if str(subnet.network_address) != str(ip_address(text.partition("/")[0])):
        wrong.append(f"invalid subnet {text}: it should be {subnet}")
    return subnet


def _one(subnet: AnyNetwork, config: Mapping[str, Any], wrong: list[str]) -> Subnet:
    gateway, pool = str(config.get("Gateway") or ""), str(config.get("IPRange") or "")
    aux = {str(k): str(v) for k, v in (config.get("AuxiliaryAddresses") or config.get("AuxAddress") or {}).items()}
    if pool:
        _check_range(subnet, pool, wrong)
    if gateway:
        _check_address(subnet, gateway, "gateway", wrong)
    for name, address in aux.items():
        _check_address(subnet, address, f"auxiliary address {name}", wrong)
    return Subnet(str(subnet), gateway, pool, aux)


def _check_range(subnet: AnyNetwork, text: str, wrong: list[str]) -> None:
    try:
        pool = ip_network(text)
    except ValueError:
        wrong.append(f"invalid ip-range {text}: invalid CIDR block notation")
        return
    if pool.version != subnet.version:
        wrong.append(f"invalid ip-range {text}: parent subnet is an IPv{subnet.version} block")
    elif pool.prefixlen < subnet.prefixlen:
        wrong.append(f"invalid ip-range {text}: CIDR block is bigger than its parent subnet {subnet}")
    elif not subnet.overlaps(pool):
        wrong.append(f"invalid ip-range {text}: parent subnet {subnet} doesn't contain ip-range")


def _check_address(subnet: AnyNetwork, text: str, what: str, wrong: list[str]) -> None:
    try:
        address = ip_address(text)
    except ValueError:
        wrong.append(f"invalid {what} {text}: invalid address")
        return
    if address.version != subnet.version:
        wrong.append(f"invalid {what} {text}: parent subnet is an IPv{subnet.version} block")
    elif address not in subnet:
        wrong.append(f"invalid {what} {text}: parent subnet {subnet} doesn't contain this address")
