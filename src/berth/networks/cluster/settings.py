"""--cluster-store, --cluster-advertise and --cluster-store-opt as one checked value; dockerd's words of 1.9 to 20.10."""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
from collections.abc import Mapping
from typing import NamedTuple

from berth.base.errors import InvalidArgument
from berth.kernel.netlink import inet, link
from berth.kernel.netlink.sock import Netlink

PATH = "berth/networks/v1"
TTL_S, HEARTBEAT_S = 20, 5
ROTATION_S = 12 * 3600
FORGET_S = 7 * 86400
_YEARS_S = 10 * 365 * 86400
_OPTIONS = (
    "kv.cacertfile", "kv.certfile", "kv.keyfile", "kv.path", "discovery.ttl", "discovery.heartbeat", "discovery.forget",
    "encryption.rotation",
)  # fmt: skip


class ClusterSettings(NamedTuple):
    """Where the store is, how this host is reached, how long it is missed before it counts as gone."""

    urls: tuple[str, ...]
    path: str
    address: str
    ttl_s: int = TTL_S
    heartbeat_s: float = HEARTBEAT_S
    tls: ssl.SSLContext | None = None
    rotation_s: float = ROTATION_S
    forget_s: float = FORGET_S


def parse_cluster(store: str, advertise: str, options: Mapping[str, str]) -> ClusterSettings | None:
    """None without a store. Raises: InvalidArgument."""
    if not store:
        if advertise or options:
            raise InvalidArgument("--cluster-advertise and --cluster-store-opt mean nothing without --cluster-store")
        return None
    unknown = sorted(set(options) - set(_OPTIONS))
    if unknown:
        raise InvalidArgument(f"--cluster-store-opt {unknown[0]}: there is {', '.join(_OPTIONS)}")
    scheme, _, rest = store.partition("://")
    members, _, path = rest.partition("/")
    hosts = members.split(",")
    if scheme != "etcd" or not all(re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:/\[\]]+):\d{1,5}", host) for host in hosts):
        raise InvalidArgument(f"--cluster-store {store!r}: write etcd://host:port[,host:port][/path]")
    tls = _tls(options)
    ttl_s = _seconds(options, "discovery.ttl", TTL_S)
    heartbeat_s = _seconds(options, "discovery.heartbeat", max(1, min(HEARTBEAT_S, ttl_s // 3)))
    if ttl_s <= heartbeat_s:
        raise InvalidArgument("--cluster-store-opt: discovery.ttl must be longer than discovery.heartbeat")
    forget_s = _seconds(options, "discovery.forget", FORGET_S, _YEARS_S)
    if forget_s <= ttl_s:
        raise InvalidArgument("--cluster-store-opt: discovery.forget must be longer than discovery.ttl")
    return ClusterSettings(
        tuple(f"{'https' if tls else 'http'}://{host}" for host in hosts),
        (options.get("kv.path") or path or PATH).strip("/"), _address(advertise, hosts[0]), ttl_s, heartbeat_s, tls,
        _seconds(options, "encryption.rotation", ROTATION_S), forget_s,
    )  # fmt: skip


def _seconds(options: Mapping[str, str], name: str, default: int, most: int = 86400) -> int:
    text = options.get(name, str(default))
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise InvalidArgument(f"--cluster-store-opt {name}={text}: it must be a number of seconds from 1 on")
    return int(text)


def _tls(options: Mapping[str, str]) -> ssl.SSLContext | None:
    files = {name: options.get(f"kv.{name}", "") for name in ("cacertfile", "certfile", "keyfile")}
    if not any(files.values()):
        return None
    try:
        context = ssl.create_default_context(cafile=files["cacertfile"] or None)
        if files["certfile"]:
            context.load_cert_chain(files["certfile"], files["keyfile"] or None)
    except (OSError, ValueError) as err:
        raise InvalidArgument(f"--cluster-store-opt kv.cacertfile, kv.certfile, kv.keyfile: {err}") from None
    return context


def _address(advertise: str, store: str) -> str:
    """Where other hosts reach this one. Without --cluster-advertise: by the address that the store is reached from."""
    if not advertise:
        return _towards(store)
    head, _, port = advertise.rpartition(":")
    name = (head if port.isdecimal() and head and not head.endswith(":") else advertise).strip("[]")
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        pass
    with Netlink() as nl:
        found = link.find_link(nl, name)
        for family in (inet.AF_INET, inet.AF_INET6):
            for address in inet.list_addresses(nl, family) if found is not None else ():
                if found is not None and address.ifindex == found.ifindex:
                    return address.address
    raise InvalidArgument(f"--cluster-advertise {advertise}: it is neither an address nor a link of this host with one")


def _towards(store: str) -> str:
    host, _, port = store.rpartition(":")
    try:
        where = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)[0]
        with socket.socket(where[0], socket.SOCK_DGRAM) as sock:
            sock.connect(where[4])
            address = str(sock.getsockname()[0])
    except OSError as err:
        raise InvalidArgument(
            f"--cluster-store {store}: there is no way to it ({err}): give --cluster-advertise"
        ) from None
    if ipaddress.ip_address(address).is_loopback:
        raise InvalidArgument(f"--cluster-store {store} is on this host: give --cluster-advertise with an address that "
                              "other hosts reach this one at")  # fmt: skip
    return address
