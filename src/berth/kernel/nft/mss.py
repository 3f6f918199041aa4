"""Clamping TCP's segment size to the route's MTU: what leaves by a narrower link fits, also where ICMP that says so is lost."""

from __future__ import annotations

from berth.kernel.netlink.wire import BE32, U8, Table
from berth.kernel.nft.model import Expr, Part
from berth.kernel.nft.statements import compare, l4proto, masked, payload

_RT = Table(dreg=(1, BE32), key=(2, BE32))
_BYTEORDER = Table(sreg=(1, BE32), dreg=(2, BE32), op=(3, BE32), len=(4, BE32), size=(5, BE32))
_EXTHDR = Table(type=(2, U8), offset=(3, BE32), len=(4, BE32), op=(6, BE32), sreg=(7, BE32))
_RT_TCPMSS = 3
_HTON = 1
_TCPOPT, _MAXSEG = 1, 2
_TRANSPORT, _FLAGS_AT = 2, 13
_SYN, _SYN_RST = 0x02, 0x06


def opens_tcp() -> Part:
    """The first packet of either side of a TCP connection."""
    flags = (payload(_TRANSPORT, _FLAGS_AT, 1), masked(bytes([_SYN_RST])), compare(bytes([_SYN])))
    return Part("tcp flags & (syn | rst) == syn", (*l4proto("tcp"), *flags))


def clamp() -> Part:
    """The segment size is at most what the narrower of both ways takes; never raised. In the forward hook; after: it is TCP."""
    size = Expr("rt", _RT.encode({"dreg": 1, "key": _RT_TCPMSS}))
    swap = Expr("byteorder", _BYTEORDER.encode({"sreg": 1, "dreg": 1, "op": _HTON, "len": 2, "size": 2}))
    write = Expr("exthdr", _EXTHDR.encode({"type": _MAXSEG, "offset": 2, "len": 2, "op": _TCPOPT, "sreg": 1}))
    return Part("tcp option maxseg size set rt mtu", (size, swap, write))
