"""Tracked connections: forgetting the UDP flows to a port that changed hands.

A UDP flow that was tracked before a port was published keeps going where it went, and one that was tracked to a container
that is gone keeps going nowhere, for as long as the peer sends. TCP needs none of this: it opens anew.

    struct nfgenmsg { __u8 family; __u8 version; __be16 res_id; };
    Spec: linux/netfilter/nfnetlink_conntrack.h; CTA_FILTER since Linux 5.8 (before, the dump is not filtered).
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable
from socket import AF_INET

from berth.kernel.netlink.sock import NETLINK_NETFILTER, Netlink, NetlinkError, Request
from berth.kernel.netlink.wire import BE16, IP, U8, U32, Table, nested

_SUBSYS = 1 << 8
_CT_GET, _CT_DELETE = _SUBSYS | 1, _SUBSYS | 2
_NFGENMSG = struct.Struct("!BBH")
_UDP = 17
_F_PROTO_NUM = 1 << 3

_CT_IP = Table(src=(1, IP), dst=(2, IP), src6=(3, IP), dst6=(4, IP))
_CT_PROTO = Table(num=(1, U8), sport=(2, BE16), dport=(3, BE16))
_TUPLE = Table(ip=(1, nested(_CT_IP)), proto=(2, nested(_CT_PROTO)))
_FILTER = Table(orig=(1, U32), reply=(2, U32))
_CT = Table(orig=(1, nested(_TUPLE)), filter=(25, nested(_FILTER)))


def forget_udp(ports: Iterable[range], family: int = AF_INET) -> int:
    """Forget the flows that were sent to these ports; returns how many. Raises: OSError."""
    wanted = tuple(ports)
    head = _NFGENMSG.pack(family, 0, 0)
    query = {"orig": {"proto": {"num": _UDP}}, "filter": {"orig": _F_PROTO_NUM, "reply": 0}}
    done = 0
    with Netlink(NETLINK_NETFILTER) as nl:
        for message in nl.dump(Request(_CT_GET, 0, head + _CT.encode(query))):
            flow = _CT.decode(message.body, _NFGENMSG.size).get("orig", {})
            proto = flow.get("proto", {})
            if proto.get("num") != _UDP or not any(proto.get("dport") in each for each in wanted):
                continue
            try:
                nl.ask(Request(_CT_DELETE, 0, head + _CT.encode({"orig": flow})))
                done += 1
            except NetlinkError as err:
                if err.errno != errno.ENOENT:
                    raise
    return done
