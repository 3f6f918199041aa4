"""Packet filters for netlink sockets that listen: what a program need not hear does not wake it.

Classic BPF on the nlmsghdr that every notification begins with; its loads are of network order, the header's fields are not.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Sequence

from berth.kernel.netlink.sock import HEADER

_SO_ATTACH_FILTER = 26
_LD_WORD, _LD_HALF, _JUMP_EQ, _RETURN = 0x20, 0x28, 0x15, 0x06
_ALL, _NOTHING = 0xFFFFFFFF, 0
_TYPE_AT, _PID_AT = 4, HEADER.size - 4

Step = tuple[int, int, int, int]


def pass_over(sock: socket.socket, port_id: int) -> None:
    """Notifications of what the socket with this address changed are not heard."""
    jump = (_JUMP_EQ, 0, 1, socket.htonl(port_id))
    _attach(sock, ((_LD_WORD, 0, 0, _PID_AT), jump, (_RETURN, 0, 0, _NOTHING), (_RETURN, 0, 0, _ALL)))


def only_types(sock: socket.socket, types: Sequence[int]) -> None:
    """Only messages of these types are heard."""
    jumps = [(_JUMP_EQ, len(types) - n, 0, socket.htons(kind)) for n, kind in enumerate(types)]
    _attach(sock, ((_LD_HALF, 0, 0, _TYPE_AT), *jumps, (_RETURN, 0, 0, _NOTHING), (_RETURN, 0, 0, _ALL)))


def _attach(sock: socket.socket, steps: Sequence[Step]) -> None:
    """struct sock_fprog: a count and a pointer to its instructions; the kernel copies them."""
    text = b"".join(struct.pack("=HBBI", *step) for step in steps)
    buffer = ctypes.create_string_buffer(text, len(text))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(steps), ctypes.addressof(buffer)))
