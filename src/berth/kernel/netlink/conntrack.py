"""Tracked connections: forgetting the UDP flows of a port or an address that changed hands.

A UDP flow that was tracked before a port was published keeps going where it went, and one that was tracked to a container
that is gone keeps going nowhere, for as long as the peer sends. TCP needs none of this: it opens anew.

    struct nfgenmsg { __u8 family; __u8 version; __be16 res_id; };
    Spec: linux/netfilter/nfnetlink_conntrack.h; CTA_FILTER since Linux 5.8 (before, the dump is not filtered).
"""

from __future__ import annotations

import errno
import struct
from typing import Any

from berth.kernel.netlink.sock import NETLINK_NETFILTER, Netlink, NetlinkError, Request
from berth.kernel.netlink.wire import BE16, IP, U8, U32, Table, nested

_SUBSYS = 1 << 8
_CT_GET, _CT_DELETE = _SUBSYS | 1, _SUBSYS | 2
_NFGENMSG = struct.Struct("!BBH")
_AF_INET = 2
_UDP = 17
_F_IP_SRC, _F_PROTO_NUM, _F_DST_PORT = 1 << 0, 1 << 3, 1 << 5

_CT_IP = Table(src=(1, IP), dst=(2, IP))
_CT_PROTO = Table(num=(1, U8), sport=(2, BE16), dport=(3, BE16))
_TUPLE = Table(ip=(1, nested(_CT_IP)), proto=(2, nested(_CT_PROTO)))
_FILTER = Table(orig=(1, U32), reply=(2, U32))
_CT = Table(orig=(1, nested(_TUPLE)), reply=(2, nested(_TUPLE)), filter=(25, nested(_FILTER)))


def forget_udp_port(host_port: int) -> int:
    """Forget the IPv4 flows that were sent to ``host_port``; returns how many."""
    wanted: dict[str, dict[str, Any]] = {"proto": {"num": _UDP, "dport": host_port}}
    return _forget({"orig": wanted, "filter": {"orig": _F_PROTO_NUM | _F_DST_PORT, "reply": 0}}, "orig", wanted)


def forget_udp_address(address: str) -> int:
    """Forget the IPv4 flows that a container at ``address`` answered or was to answer; returns how many."""
    wanted: dict[str, dict[str, Any]] = {"ip": {"src": address}, "proto": {"num": _UDP}}
    return _forget({"reply": wanted, "filter": {"orig": 0, "reply": _F_IP_SRC | _F_PROTO_NUM}}, "reply", wanted)


def _forget(query: dict[str, Any], side: str, wanted: dict[str, dict[str, Any]]) -> int:
    head = _NFGENMSG.pack(_AF_INET, 0, 0)
    done = 0
    with Netlink(NETLINK_NETFILTER) as nl:
        for message in nl.dump(Request(_CT_GET, 0, head + _CT.encode(query))):
            flow = _CT.decode(message.body, _NFGENMSG.size)
            if not _matches(flow.get(side, {}), wanted):
                continue
            try:
                nl.ask(Request(_CT_DELETE, 0, head + _CT.encode({"orig": flow["orig"]})))
                done += 1
            except NetlinkError as err:
                if err.errno != errno.ENOENT:
                    raise
    return done


def _matches(found: dict[str, dict[str, Any]], wanted: dict[str, dict[str, Any]]) -> bool:
    return all(found.get(part, {}).get(key) == value for part, keys in wanted.items() for key, value in keys.items())
