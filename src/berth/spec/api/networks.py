"""Engine API objects: networks (v1.51 wire shapes; every key optional, versions differ)."""

from __future__ import annotations

from typing import TypedDict

from berth.spec.api.containers import EndpointSettings


class Network(TypedDict, total=False):
    """Engine API v1.51, definition Network."""

    Name: str
    Id: str
    Created: str
    Scope: str
    Driver: str
    EnableIPv4: bool
    EnableIPv6: bool
    IPAM: IPAM
    Internal: bool
    Attachable: bool
    Ingress: bool
    ConfigFrom: ConfigReference
    ConfigOnly: bool
    Containers: dict[str, NetworkContainer]
    Options: dict[str, str]
    Labels: dict[str, str]
    Peers: list[PeerInfo] | None


class ConfigReference(TypedDict, total=False):
    """Engine API v1.51, definition ConfigReference."""

    Network: str


class IPAM(TypedDict, total=False):
    """Engine API v1.51, definition IPAM."""

    Driver: str
    Config: list[IPAMConfig]
    Options: dict[str, str]


class IPAMConfig(TypedDict, total=False):
    """Engine API v1.51, definition IPAMConfig."""

    Subnet: str
    IPRange: str
    Gateway: str
    AuxiliaryAddresses: dict[str, str]


class NetworkContainer(TypedDict, total=False):
    """Engine API v1.51, definition NetworkContainer."""

    Name: str
    EndpointID: str
    MacAddress: str
    IPv4Address: str
    IPv6Address: str


class PeerInfo(TypedDict, total=False):
    """Engine API v1.51, definition PeerInfo."""

    Name: str
    IP: str


class NetworkCreateResponse(TypedDict, total=False):
    """Engine API v1.51, definition NetworkCreateResponse."""

    Id: str
    Warning: str


class NetworkCreateRequest(TypedDict, total=False):
    """Engine API v1.51, the body of POST /networks/create."""

    Name: str
    Driver: str
    Scope: str
    Internal: bool
    Attachable: bool
    Ingress: bool
    ConfigOnly: bool
    ConfigFrom: ConfigReference | None
    IPAM: IPAM | None
    EnableIPv4: bool
    EnableIPv6: bool
    Options: dict[str, str]
    Labels: dict[str, str]


class NetworkConnectRequest(TypedDict, total=False):
    """Engine API v1.51, the body of POST /networks/{id}/connect."""

    Container: str
    EndpointConfig: EndpointSettings | None


class NetworkDisconnectRequest(TypedDict, total=False):
    """Engine API v1.51, the body of POST /networks/{id}/disconnect."""

    Container: str
    Force: bool
