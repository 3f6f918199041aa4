"""Writing a packet's ports: a stateless translation, for one direction at a time. The checksum is kept right by the kernel.

Where both directions of a flow are known beforehand this needs no connection tracking, which would cost every packet of the
network namespace it is switched on in.
"""

from __future__ import annotations

from berth.kernel.netlink.wire import BE32, Table
from berth.kernel.nft.model import Expr, Part
from berth.kernel.nft.statements import immediate, l4proto, transport_load

_PAYLOAD_SET = Table(
    base=(2, BE32), offset=(3, BE32), len=(4, BE32), sreg=(5, BE32), csum_type=(6, BE32), csum_offset=(7, BE32)
)
_TRANSPORT = 2
_CSUM_INET = 1
_CHECKSUMS = {"tcp": 16, "udp": 6}
_OFFSETS = {"sport": 0, "dport": 2}


def port_is(proto: str, side: str, port: int) -> Part:
    """``udp dport 53``."""
    return Part(f"{proto} {side} {port}", (*l4proto(proto), *transport_load(_OFFSETS[side], port)))


def set_port(proto: str, side: str, port: int) -> Part:
    """``udp dport set 5353``. After: the protocol was matched."""
    values = {
        "base": _TRANSPORT, "offset": _OFFSETS[side], "len": 2, "sreg": 1, "csum_type": _CSUM_INET,
        "csum_offset": _CHECKSUMS[proto],
    }  # fmt: skip
    write = Expr("payload", _PAYLOAD_SET.encode(values))
    return Part(f"{proto} {side} set {port}", (immediate(port.to_bytes(2, "big")), write))
