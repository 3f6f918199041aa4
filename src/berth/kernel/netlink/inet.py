"""Addresses, routes and neighbours over rtnetlink.

struct ifaddrmsg { __u8 family; __u8 prefixlen; __u8 flags; __u8 scope; __u32 index; };
struct rtmsg     { __u8 family, dst_len, src_len, tos, table, protocol, scope, type; __u32 flags; };
struct ndmsg     { __u8 family; __u8 pad1; __u16 pad2; __s32 ifindex; __u16 state; __u8 flags; __u8 type; };
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from berth.kernel.netlink.sock import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    Message,
    Netlink,
    Request,
)
from berth.kernel.netlink.wire import IP, MAC, STR, U32, Table

RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWNEIGH, RTM_GETNEIGH = 28, 30
AF_INET, AF_INET6 = 2, 10

_IFADDRMSG = struct.Struct("=BBBBI")
_RTMSG = struct.Struct("=8BI")
_NDMSG = struct.Struct("=BxHiHBB")
_ADDR = Table(address=(1, IP), local=(2, IP), label=(3, STR), broadcast=(4, IP))
_ROUTE = Table(dst=(1, IP), oif=(4, U32), gateway=(5, IP), priority=(6, U32), prefsrc=(7, IP), table=(15, U32))
_NEIGH = Table(dst=(1, IP), lladdr=(2, MAC))
_RT_TABLE_MAIN, _RT_TABLE_LOCAL, _RTPROT_BOOT, _RTN_UNICAST = 254, 255, 3, 1
_NUD_STALE = 0x04
_IFA_F_NODAD = 0x02


def _family(address: str) -> int:
    return AF_INET6 if ":" in address else AF_INET


class Address(NamedTuple):
    """An address of a link."""

    ifindex: int
    address: str
    prefix_len: int


class Route(NamedTuple):
    """A route of any table. ``dst`` is "" for a default route."""

    dst: str
    dst_len: int
    gateway: str
    oif: int
    table: int
    type: int


class Neighbour(NamedTuple):
    """An entry of the neighbour table."""

    ifindex: int
    address: str
    mac: str
    state: int


def index_of(message: Message) -> int:
    """The link that a notification about an address names."""
    return int(_IFADDRMSG.unpack_from(message.body)[4])


def add_address(index: int, address: str, prefix_len: int, *, broadcast: str = "") -> Request:
    """The request that gives a link an address. Raises (when asked): EEXIST, ENODEV."""
    values = {"local": address, "address": address}
    if broadcast:
        values["broadcast"] = broadcast
    flags = _IFA_F_NODAD if ":" in address else 0  # we gave it: nobody else has it, and it must serve at once
    head = _IFADDRMSG.pack(_family(address), prefix_len, flags, 0, index)
    return Request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, head + _ADDR.encode(values))


def delete_address(index: int, address: str, prefix_len: int) -> Request:
    """The request that takes an address from a link. Raises (when asked): EADDRNOTAVAIL."""
    head = _IFADDRMSG.pack(_family(address), prefix_len, 0, 0, index)
    return Request(RTM_DELADDR, 0, head + _ADDR.encode({"local": address}))


def list_addresses(nl: Netlink, family: int = AF_INET) -> list[Address]:
    """The addresses of every link."""
    found = []
    for message in nl.dump(Request(RTM_GETADDR, 0, _IFADDRMSG.pack(family, 0, 0, 0, 0))):
        kind, prefix_len, _flags, _scope, index = _IFADDRMSG.unpack_from(message.body)
        if message.type == RTM_NEWADDR and kind == family:
            values = _ADDR.decode(message.body, _IFADDRMSG.size)
            found.append(Address(index, values.get("local") or values.get("address", ""), prefix_len))
    return found


def add_route(dst: str, dst_len: int, *, gateway: str = "", oif: int = 0, family: int = 0) -> Request:
    """The request for a unicast route; ``dst`` "" with ``dst_len`` 0 is the default route.

    Without a gateway everybody is a neighbour on the link ``oif``; ``family`` tells which default route then.
    """
    family = family or _family(dst or gateway)
    head = _RTMSG.pack(family, dst_len, 0, 0, _RT_TABLE_MAIN, _RTPROT_BOOT, 0 if gateway else 253, _RTN_UNICAST, 0)
    values: dict[str, str | int] = {}
    if dst:
        values["dst"] = dst
    if gateway:
        values["gateway"] = gateway
    if oif:
        values["oif"] = oif
    return Request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, head + _ROUTE.encode(values))


def delete_route(dst: str, dst_len: int, *, gateway: str = "", oif: int = 0, family: int = 0) -> Request:
    """The request that removes a route by a gateway or a link. Raises (when asked): ESRCH."""
    family = family or _family(dst or gateway)
    head = _RTMSG.pack(family, dst_len, 0, 0, _RT_TABLE_MAIN, 0, 0, _RTN_UNICAST, 0)
    given: dict[str, str | int] = {"dst": dst, "gateway": gateway, "oif": oif}
    values = {key: value for key, value in given.items() if value}
    return Request(RTM_DELROUTE, 0, head + _ROUTE.encode(values))


def list_routes(nl: Netlink, family: int = AF_INET) -> list[Route]:
    """The routes of every table but the kernel's own of local addresses."""
    found = []
    for message in nl.dump(Request(RTM_GETROUTE, 0, _RTMSG.pack(family, 0, 0, 0, 0, 0, 0, 0, 0))):
        if message.type != RTM_NEWROUTE:
            continue
        head = _RTMSG.unpack_from(message.body)
        values = _ROUTE.decode(message.body, _RTMSG.size)
        table = values.get("table", head[4])
        if head[0] == family and table != _RT_TABLE_LOCAL:
            found.append(
                Route(values.get("dst", ""), head[1], values.get("gateway", ""), values.get("oif", 0), table, head[7])
            )
    return found


def set_neighbour(index: int, address: str, mac: str) -> Request:
    """The request that tells a link's neighbour table an address's MAC, to be verified when it is used next."""
    head = _NDMSG.pack(_family(address), 0, index, _NUD_STALE, 0, 0)
    values = {"dst": address, "lladdr": mac}
    return Request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, head + _NEIGH.encode(values))


def list_neighbours(nl: Netlink, family: int = AF_INET) -> list[Neighbour]:
    """The neighbour tables of every link."""
    found = []
    for message in nl.dump(Request(RTM_GETNEIGH, 0, _NDMSG.pack(family, 0, 0, 0, 0, 0))):
        if message.type != RTM_NEWNEIGH:
            continue
        _kind, _pad, index, state, _flags, _type = _NDMSG.unpack_from(message.body)
        values = _NEIGH.decode(message.body, _NDMSG.size)
        found.append(Neighbour(index, values.get("dst", ""), values.get("lladdr", ""), state))
    return found
