"""The daemon's network settings, as one value."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from berth.networks.ipam.pools import DEFAULT_POOLS, Pool


class NetworkOptions(NamedTuple):
    """dockerd's flags of the same names; every default is Docker's."""

    bridge: str = ""  # --bridge: "" picks docker0 or berth0; "none" makes no default bridge
    bip: str = ""  # --bip: address and prefix of the bridge, 172.17.0.1/16
    fixed_cidr: str = ""  # --fixed-cidr: where the default bridge's addresses come from
    ipv6: bool = False  # --ipv6: the default bridge speaks IPv6 too
    bip6: str = ""  # --bip6: address and prefix of the bridge, fd00:1::1/64
    fixed_cidr_v6: str = ""  # --fixed-cidr-v6: its IPv6 subnet, or with --bip6 a part of it
    default_gateway: str = ""  # --default-gateway: where containers' default route leads; "" is the bridge
    default_gateway_v6: str = ""  # --default-gateway-v6
    mtu: int = 1500  # --mtu
    icc: bool = True  # --icc: containers of the default bridge may talk to each other
    ip_masq: bool = True  # --ip-masq
    ip_forward: bool = True  # --ip-forward: enable net.ipv4.ip_forward when it is off
    ip_forward_no_drop: bool = False  # --ip-forward-no-drop: no guard rule when we enabled it
    default_ip: str = ""  # --ip: the host address of -p 8080:80; "" is 0.0.0.0 and ::
    dns: tuple[str, ...] = ()  # --dns
    dns_search: tuple[str, ...] = ()  # --dns-search
    dns_opts: tuple[str, ...] = ()  # --dns-opt
    pools: tuple[Pool, ...] = DEFAULT_POOLS  # --default-address-pool
    default_network_opts: Mapping[str, Mapping[str, str]] = MappingProxyType({})  # --default-network-opt, by driver
