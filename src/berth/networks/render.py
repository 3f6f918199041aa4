"""Networks and endpoints as the Engine API shows them. The only producer of these objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from berth.base.clock import rfc3339
from berth.networks.drivers.bridge import MTU_OPTION, PREFIX
from berth.networks.records import Endpoint, NetworkRecord, Subnet


def render_network(network: NetworkRecord, endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """``GET /networks/{id}``; in a list without ``endpoints``."""
    containers = {e.container_id: _render_container(e) for e in endpoints if e.network_id == network.id}
    return {
        "Name": network.name, "Id": network.id, "Created": rfc3339(network.created_ns), "Scope": network.scope,
        "Driver": network.driver, "EnableIPv4": network.ipv4, "EnableIPv6": network.ipv6,
        "IPAM": {
            "Driver": network.ipam_driver, "Options": network.ipam_options,
            "Config": [_render_subnet(s) for s in network.subnets] or (None if network.predefined else []),
        },
        "Internal": network.internal, "Attachable": network.attachable, "Ingress": False,
        "ConfigFrom": {"Network": ""}, "ConfigOnly": False,
        "Containers": containers, "Options": _render_options(network), "Labels": network.labels,
    }  # fmt: skip


def _render_subnet(subnet: Subnet) -> dict[str, Any]:
    shown: dict[str, Any] = {"Subnet": subnet.subnet}
    if subnet.ip_range:
        shown["IPRange"] = subnet.ip_range
    if subnet.gateway:
        shown["Gateway"] = subnet.gateway
    if subnet.aux:
        shown["AuxiliaryAddresses"] = subnet.aux
    return shown


def _render_container(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "Name": endpoint.container_name, "EndpointID": endpoint.id, "MacAddress": endpoint.mac,
        "IPv4Address": f"{endpoint.ipv4}/{endpoint.prefix_len}" if endpoint.ipv4 else "",
        "IPv6Address": f"{endpoint.ipv6}/{endpoint.prefix_len6}" if endpoint.ipv6 else "",
    }  # fmt: skip


def _render_options(network: NetworkRecord) -> dict[str, str]:
    if network.driver != "bridge" or not network.predefined:
        return dict(network.options)
    return {
        f"{PREFIX}default_bridge": "true",
        f"{PREFIX}enable_icc": str(network.icc).lower(),
        f"{PREFIX}enable_ip_masquerade": str(network.masquerade).lower(),
        f"{PREFIX}host_binding_ipv4": network.host_binding or "0.0.0.0",
        f"{PREFIX}name": network.link,
        MTU_OPTION: str(network.mtu),
    }


def render_endpoint(endpoint: Endpoint) -> dict[str, Any]:
    """One entry of ``NetworkSettings.Networks``."""
    asked = endpoint.asked
    return {
        "IPAMConfig": asked.get("IPAMConfig"), "Links": asked.get("Links"), "Aliases": asked.get("Aliases"),
        "MacAddress": endpoint.mac, "DriverOpts": asked.get("DriverOpts"), "GwPriority": endpoint.priority,
        "NetworkID": endpoint.network_id, "EndpointID": endpoint.id, "Gateway": endpoint.gateway,
        "IPAddress": endpoint.ipv4, "IPPrefixLen": endpoint.prefix_len, "IPv6Gateway": endpoint.gateway6,
        "GlobalIPv6Address": endpoint.ipv6, "GlobalIPv6PrefixLen": endpoint.prefix_len6,
        "DNSNames": endpoint.names or None,
    }  # fmt: skip


def render_unconnected(asked: Mapping[str, Any], network: NetworkRecord | None) -> dict[str, Any]:
    """The same for a container that doesn't run."""
    network_id = network.id if network is not None else ""
    blank = Endpoint(
        "",
        "",
        "",
        network_id,
        "",
        "",
        asked=dict(asked),
        mac=str(asked.get("MacAddress") or ""),
        priority=int(asked.get("GwPriority") or 0),
    )
    return render_endpoint(blank)


def render_settings(
    endpoints: Sequence[Endpoint], networks: dict[str, dict[str, Any]], ports: Mapping[str, Any] | None
) -> dict[str, Any]:
    """``NetworkSettings`` of a container: ``networks`` are its entries, rendered; the flat fields are the default bridge's."""
    flat = next((e for e in endpoints if e.network_name == "bridge"), None)
    mac = flat.mac if flat else networks.get("bridge", {}).get("MacAddress", "")
    return {
        "Bridge": "", "SandboxID": endpoints[0].container_id if endpoints else "",
        "SandboxKey": "", "Ports": dict(ports or {}), "HairpinMode": False, "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0, "SecondaryIPAddresses": None, "SecondaryIPv6Addresses": None,
        "EndpointID": flat.id if flat else "", "Gateway": flat.gateway if flat else "",
        "GlobalIPv6Address": flat.ipv6 if flat else "", "GlobalIPv6PrefixLen": flat.prefix_len6 if flat else 0,
        "IPAddress": flat.ipv4 if flat else "", "IPPrefixLen": flat.prefix_len if flat else 0,
        "IPv6Gateway": flat.gateway6 if flat else "", "MacAddress": mac, "Networks": networks,
    }  # fmt: skip
