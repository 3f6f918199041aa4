"""Default address pools: where the subnets come from that nobody chose.

A pool is a block cut into pieces of one size. The first piece wins that overlaps with nothing in use: other networks of this
engine, addresses and routes of the host (a VPN's route is as good a reason as a link's).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import NamedTuple

from berth.base.errors import InvalidArgument, ResourceExhausted
from berth.networks.ipam.leases import AnyNetwork


class Pool(NamedTuple):
    """``base`` cut into subnets of ``size`` bits of prefix."""

    base: str
    size: int


DEFAULT_POOLS = (
    Pool("172.17.0.0/16", 16), Pool("172.18.0.0/16", 16), Pool("172.19.0.0/16", 16), Pool("172.20.0.0/14", 16),
    Pool("172.24.0.0/14", 16), Pool("172.28.0.0/14", 16), Pool("192.168.0.0/16", 20),
)  # fmt: skip
"""Docker's own."""

GLOBAL_POOLS = (Pool("10.0.0.0/8", 24),)
"""Docker's own for networks that span hosts: the hosts' local networks come from others."""


def parse_pool(text: str | Mapping[str, object]) -> Pool:
    """``base=172.30.0.0/16,size=24``, or the file's ``{"base": "172.30.0.0/16", "size": 24}``. Raises: InvalidArgument."""
    if isinstance(text, str):
        fields = dict(part.strip().partition("=")[::2] for part in text.split(","))
    else:
        fields = {str(key): str(value) for key, value in text.items()}
    if set(fields) != {"base", "size"}:
        raise InvalidArgument(f"invalid default address pool {text!r}: write base=172.30.0.0/16,size=24")
    try:
        base, size = ip_network(fields["base"]), int(fields["size"])
    except ValueError as err:
        raise InvalidArgument(f"invalid default address pool {text!r}: {err}") from None
    if not base.prefixlen <= size <= base.max_prefixlen:
        raise InvalidArgument(f"invalid default address pool {text!r}: a piece of /{size} does not fit into {base}")
    return Pool(str(base), size)


def ula_pool(instance_id: str) -> Pool:
    """This engine's block of unique local IPv6 addresses, cut into /64. Spec: RFC 4193, section 3.2."""
    digest = hashlib.blake2b(b"ula\0" + instance_id.encode(), digest_size=5).digest()
    return Pool(str(IPv6Network((b"\xfd" + digest + bytes(10), 48))), 64)


def free_subnet(pools: Sequence[Pool], used: Iterable[AnyNetwork], version: int = 4) -> AnyNetwork:
    """The first piece of a pool of this IP version that overlaps with nothing in use. Raises: ResourceExhausted."""
    spans = sorted((int(n.network_address), int(n.broadcast_address)) for n in used if n.version == version)
    for pool in pools:
        base = ip_network(pool.base)
        if base.version == version:
            for piece in _free(base, pool.size, spans):
                return piece
    raise ResourceExhausted("all predefined address pools have been fully subnetted")


def _free(base: AnyNetwork, size: int, spans: list[tuple[int, int]]) -> Iterator[AnyNetwork]:
    """The free pieces, in order; what is in use is stepped over, so a /48 of /64 costs what is in use, not what is not."""
    step = 1 << (base.max_prefixlen - size)
    at, end = int(base.network_address), int(base.broadcast_address)
    while at <= end:
        clash = next((high for low, high in spans if low <= at + step - 1 and at <= high), None)
        if clash is None:
            yield IPv4Network((at, size)) if base.version == 4 else IPv6Network((at, size))
            at += step
        else:
            at += ((clash - at) // step + 1) * step
