"""Links over rtnetlink: bridges, veth pairs, flags and bridge ports.

struct ifinfomsg { __u8 family; __u8 pad; __u16 type; __s32 index; __u32 flags; __u32 change; };
RTM_NEWLINK veth:  IFLA_LINKINFO { IFLA_INFO_KIND "veth", IFLA_INFO_DATA { VETH_INFO_PEER { ifinfomsg, attributes } } }
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from berth.kernel.netlink.sock import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    Message,
    Netlink,
    NetlinkError,
    Request,
)
from berth.kernel.netlink.wire import BE16, IP, MAC, RAW, STR, U8, U16, U32, Codec, Table, nested

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
IFF_UP = 0x1

IFINFOMSG = struct.Struct("=BxHiII")
_BRIDGE_PORT = Table(isolated=(33, U8), hairpin=(4, U8))


def _pack_linkinfo(values: Mapping[str, Any]) -> bytes:
    return _LINKINFO.encode(values)


def _unpack_linkinfo(raw: bytes) -> dict[str, Any]:
    return _LINKINFO.decode(raw)


_INET6 = Table(addr_gen_mode=(8, U8))
_ADDR_GEN_NONE = 1

LINK = Table(
    address=(1, MAC),
    ifname=(3, STR),
    mtu=(4, U32),
    link=(5, U32),
    master=(10, U32),
    linkinfo=(18, Codec(_pack_linkinfo, _unpack_linkinfo, nested=True)),
    net_ns_pid=(19, U32),
    ifalias=(20, STR),
    af_spec=(26, nested(Table(inet6=(10, nested(_INET6))))),
    net_ns_fd=(28, U32),
    ext_mask=(29, U32),
    link_netnsid=(37, U32),
)


def _pack_peer(values: Mapping[str, Any]) -> bytes:
    """VETH_INFO_PEER: a header of its own before the attributes. IFF_UP here is ENOTCONN: no pair yet."""
    return IFINFOMSG.pack(0, 0, 0, 0, 0) + LINK.encode(values)


MACVLAN = Table(mode=(1, U32))
IPVLAN = Table(mode=(1, U16), flags=(2, U16))
VLAN = Table(id=(1, U16))
VXLAN = Table(id=(1, U32), local=(4, IP), ttl=(5, U8), learning=(7, U8), port=(15, BE16), local6=(17, IP))
_VETH_DATA = Table(peer=(1, Codec(_pack_peer, bytes, nested=True)))
_LINKINFO = Table(
    kind=(1, STR), data=(2, RAW), veth=(2, nested(_VETH_DATA)), slave_kind=(4, STR), port=(5, nested(_BRIDGE_PORT))
)  # fmt: skip


class Link(NamedTuple):
    """A link as the kernel describes it. ``kind`` is "" for hardware, ``master`` 0 for none."""

    ifindex: int
    name: str
    up: bool
    kind: str
    mac: str
    mtu: int
    master: int
    alias: str


class Veth(NamedTuple):
    """A veth pair: our end, and the peer that is born inside ``netns_fd``."""

    name: str
    master: int  # index of the bridge
    mtu: int
    peer_name: str
    peer_mac: str
    netns_fd: int


def _link(message: Message) -> Link:
    _family, _type, index, flags, _change = IFINFOMSG.unpack_from(message.body)
    found = LINK.decode(message.body, IFINFOMSG.size)
    return Link(
        index, found.get("ifname", ""), bool(flags & IFF_UP), found.get("linkinfo", {}).get("kind", ""),
        found.get("address", ""), found.get("mtu", 0), found.get("master", 0), found.get("ifalias", ""),
    )  # fmt: skip


def name_of(message: Message) -> str:
    """The name of the link that a notification is about."""
    return _link(message).name


def list_links(nl: Netlink) -> list[Link]:
    """Every link of the socket's network namespace."""
    return [_link(m) for m in nl.dump(Request(RTM_GETLINK, 0, IFINFOMSG.pack(0, 0, 0, 0, 0))) if m.type == RTM_NEWLINK]


def get_link(nl: Netlink, name: str) -> Link:
    """The link by name. Raises: NetlinkError (ENODEV)."""
    body = IFINFOMSG.pack(0, 0, 0, 0, 0) + LINK.encode({"ifname": name})
    return _link(nl.get(Request(RTM_GETLINK, 0, body)))


def find_link(nl: Netlink, name: str) -> Link | None:
    """The link by name, or None."""
    try:
        return get_link(nl, name)
    except NetlinkError as err:
        if err.errno == errno.ENODEV:
            return None
        raise


class NewLink(NamedTuple):
    """A link of ``kind`` with what its kind wants to know (``data``: ``MACVLAN.encode(...)``). ``parent``: an index here.

    ``netns_fd``: it is born in that namespace, and never stood in ours.
    """

    name: str
    kind: str
    data: bytes = b""
    parent: int = 0
    mac: str = ""
    mtu: int = 0
    master: int = 0
    alias: str = ""
    up: bool = False
    netns_fd: int = -1


def add_link(nl: Netlink, new: NewLink) -> None:
    """Raises: EEXIST, ENODEV (no parent), EOPNOTSUPP (this kernel knows no such kind), EINVAL (what its kind refuses)."""
    values: dict[str, Any] = {"ifname": new.name, "link": new.parent, "address": new.mac, "mtu": new.mtu,
                              "master": new.master}  # fmt: skip
    values = {key: value for key, value in values.items() if value}
    if new.netns_fd >= 0:
        values["net_ns_fd"] = new.netns_fd
    info: dict[str, Any] = {"kind": new.kind}
    if new.data:
        info["data"] = new.data
    flags = IFF_UP if new.up else 0
    body = IFINFOMSG.pack(0, 0, 0, flags, flags) + LINK.encode({**values, "linkinfo": info})
    nl.ask(Request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body))
    if new.alias:  # the kernel takes an alias for a link that is there, and ignores it while it makes one
        nl.ask(set_link(get_link(nl, new.name).ifindex, alias=new.alias))


def knows_kind(nl: Netlink, kind: str) -> bool:
    """Whether this kernel has links of a kind. Nothing is made: what is asked for has no name and no parent."""
    body = IFINFOMSG.pack(0, 0, 0, 0, 0) + LINK.encode({"ifname": "/", "linkinfo": {"kind": kind}})
    try:
        nl.ask(Request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body))
    except NetlinkError as err:
        return err.errno != errno.EOPNOTSUPP
    return True


def add_bridge(nl: Netlink, name: str, *, mac: str, mtu: int) -> None:
    """A bridge, up. Its address is given so that it doesn't follow the lowest of its ports'. Raises: EEXIST."""
    body = IFINFOMSG.pack(0, 0, 0, IFF_UP, IFF_UP) + LINK.encode(
        {"ifname": name, "address": mac, "mtu": mtu, "linkinfo": {"kind": "bridge"}}
    )
    nl.ask(Request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body))


def add_veth(nl: Netlink, pair: Veth) -> None:
    """A veth pair in one request: our end up and in its bridge, the peer in its own namespace, still down.

    A peer that is created here and moved there waits for RCU twice (20 ms); one that is born there doesn't (1 ms).
    Raises: EEXIST (either name is taken), ENODEV (the bridge is gone), EBADF/EINVAL (no network namespace).
    """
    peer = {"ifname": pair.peer_name, "address": pair.peer_mac, "mtu": pair.mtu, "net_ns_fd": pair.netns_fd}
    body = IFINFOMSG.pack(0, 0, 0, IFF_UP, IFF_UP) + LINK.encode(
        {
            "ifname": pair.name,
            "mtu": pair.mtu,
            "master": pair.master,
            "linkinfo": {"kind": "veth", "veth": {"peer": peer}},
        }
    )
    nl.ask(Request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body))


def set_link(
    index: int,
    *,
    up: bool | None = None,
    name: str | None = None,
    alias: str | None = None,
    mtu: int | None = None,
    master: int | None = None,
    mac: str | None = None,
) -> Request:
    """The request that changes what is given, nothing else."""
    values = {"ifname": name, "ifalias": alias, "mtu": mtu, "master": master, "address": mac}
    flags = IFF_UP if up else 0
    change = 0 if up is None else IFF_UP
    body = IFINFOMSG.pack(0, 0, index, flags, change)
    return Request(RTM_NEWLINK, 0, body + LINK.encode({k: v for k, v in values.items() if v is not None}))


def leave_without_ipv6(nl: Netlink, *, index: int = 0, name: str = "") -> None:
    """IPv6 makes no address for a link by itself. Where nobody asked for one, probing and reporting it costs the kernel more
    than the link does. After: it is down, or has no carrier yet. Where there is no IPv6 at all (MTU, kernel): nothing."""
    values = {"af_spec": {"inet6": {"addr_gen_mode": _ADDR_GEN_NONE}}, **({"ifname": name} if name else {})}
    with suppress(NetlinkError):
        nl.ask(Request(RTM_NEWLINK, 0, IFINFOMSG.pack(0, 0, index, 0, 0) + LINK.encode(values)))


def move_link(index: int, netns_fd: int, name: str, mac: str = "") -> Request:
    """The request that moves a link into another network namespace under a new name, and perhaps with another MAC."""
    values = {"net_ns_fd": netns_fd, "ifname": name, **({"address": mac} if mac else {})}
    return Request(RTM_NEWLINK, 0, IFINFOMSG.pack(0, 0, index, 0, 0) + LINK.encode(values))


def set_bridge_port(index: int, *, isolated: bool | None = None, hairpin: bool | None = None) -> Request:
    """The request that changes what is given of a bridge's port. ``isolated``: it reaches the bridge only, never another
    isolated port (Linux 4.18). ``hairpin``: what comes in by it may go out by it again."""
    given = {"isolated": isolated, "hairpin": hairpin}
    port = {key: int(value) for key, value in given.items() if value is not None}
    body = IFINFOMSG.pack(0, 0, index, 0, 0) + LINK.encode({"linkinfo": {"slave_kind": "bridge", "port": port}})
    return Request(RTM_NEWLINK, 0, body)


def delete_link(nl: Netlink, name: str) -> None:
    """Delete by name; nothing when it is gone. Never on the hot path: a veth waits for RCU (16 ms)."""
    body = IFINFOMSG.pack(0, 0, 0, 0, 0) + LINK.encode({"ifname": name})
    try:
        nl.ask(Request(RTM_DELLINK, 0, body))
    except NetlinkError as err:
        if err.errno != errno.ENODEV:
            raise
