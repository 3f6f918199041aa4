"""The forwarding database of a VXLAN link: which hosts get what nobody has learned the place of.

struct ndmsg { __u8 family = AF_BRIDGE; __u8 pad1; __u16 pad2; __s32 ifindex; __u16 state; __u8 flags; __u8 type; };
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from berth.kernel.netlink import link
from berth.kernel.netlink.sock import NLM_F_APPEND, NLM_F_CREATE, Netlink, Request
from berth.kernel.netlink.wire import IP, MAC, Table, nested

RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETNEIGH = 28, 29, 30
AF_BRIDGE = 7
EVERYBODY = "00:00:00:00:00:00"
_NDMSG = struct.Struct("=BxHiHBB")
_NEIGH = Table(dst=(1, IP), lladdr=(2, MAC))
_LINK = Table(linkinfo=(18, nested(Table(vxlan=(2, nested(link.VXLAN))))))
_NUD_PERMANENT, _NUD_NOARP, _NTF_SELF = 0x80, 0x40, 0x02


def flood_to(nl: Netlink, index: int, addresses: Iterable[str]) -> None:
    """Broadcasts and unknown addresses of the VXLAN link go to exactly these hosts. Raises: OSError."""
    wanted, have = set(addresses), set(flooded(nl, index))
    for address in sorted(wanted - have):
        nl.ask(_entry(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_APPEND, index, address))
    for address in sorted(have - wanted):
        nl.ask(_entry(RTM_DELNEIGH, 0, index, address))


def flooded(nl: Netlink, index: int) -> list[str]:
    """The hosts that a VXLAN link floods to now."""
    found = []
    for message in nl.dump(Request(RTM_GETNEIGH, 0, _NDMSG.pack(AF_BRIDGE, 0, 0, 0, 0, 0))):
        if message.type != RTM_NEWNEIGH:
            continue
        _family, _pad, ifindex, _state, _flags, _type = _NDMSG.unpack_from(message.body)
        values = _NEIGH.decode(message.body, _NDMSG.size)
        if ifindex == index and values.get("lladdr") == EVERYBODY and values.get("dst"):
            found.append(str(values["dst"]))
    return found


def local_address(nl: Netlink, name: str) -> str:
    """The address that a VXLAN link sends from, "" for any. Raises: OSError (ENODEV)."""
    body = link.IFINFOMSG.pack(0, 0, 0, 0, 0) + link.LINK.encode({"ifname": name})
    found = _LINK.decode(nl.get(Request(link.RTM_GETLINK, 0, body)).body, link.IFINFOMSG.size)
    values = found.get("linkinfo", {}).get("vxlan", {})
    return str(values.get("local") or values.get("local6") or "")


def _entry(kind: int, flags: int, index: int, address: str) -> Request:
    head = _NDMSG.pack(AF_BRIDGE, 0, index, _NUD_PERMANENT | _NUD_NOARP, _NTF_SELF, 0)
    return Request(kind, flags, head + _NEIGH.encode({"lladdr": EVERYBODY, "dst": address}))
