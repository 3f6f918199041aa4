"""Netlink attributes, declared: a ``Table`` names the attributes of one message or nest and how each is packed.

    struct nlattr { __u16 nla_len; __u16 nla_type; };   payload follows, padded to 4 bytes

``Table.encode({"ifname": "eth0", "mtu": 1500})`` gives bytes in the order of the mapping; ``decode`` gives the mapping
back and passes over attributes it doesn't name.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

_NLATTR = struct.Struct("=HH")
_TYPE_MASK = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER
NLA_F_NESTED = 0x8000


class Codec(NamedTuple):
    """How one attribute's payload is written and read."""

    pack: Callable[[Any], bytes]
    unpack: Callable[[bytes], Any]
    nested: bool = False


def _integer(fmt: str) -> Codec:
    packed = struct.Struct(fmt)
    return Codec(packed.pack, lambda raw: packed.unpack_from(raw)[0])


def _pack_mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _unpack_mac(raw: bytes) -> str:
    return raw.hex(":")


def pack_ip(text: str) -> bytes:
    """4 or 16 bytes of an address in text. Raises: OSError when it is none."""
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def unpack_ip(raw: bytes) -> str:
    """The text of a 4 or 16 byte address; anything else in hex."""
    if len(raw) == 4:
        return socket.inet_ntop(socket.AF_INET, raw)
    if len(raw) == 16:
        return socket.inet_ntop(socket.AF_INET6, raw)
    return raw.hex()


U8 = _integer("=B")
U16 = _integer("=H")
U32 = _integer("=I")
BE16 = _integer("!H")
BE32 = _integer("!I")
STR = Codec(lambda text: text.encode() + b"\0", lambda raw: raw.split(b"\0", 1)[0].decode(errors="replace"))
RAW = Codec(bytes, bytes)
MAC = Codec(_pack_mac, _unpack_mac)
IP = Codec(pack_ip, unpack_ip)
FLAG = Codec(lambda _on: b"", lambda _raw: True)


def attr(number: int, payload: bytes) -> bytes:
    """One attribute with its padding. Raises: OverflowError above 64 KiB (a u16 length must never wrap)."""
    length = 4 + len(payload)
    if length > 0xFFFF:
        raise OverflowError(f"netlink attribute {number & _TYPE_MASK} of {length} bytes")
    return _NLATTR.pack(length, number) + payload + b"\0" * (-length & 3)


def nest(number: int, payload: bytes) -> bytes:
    """One attribute that holds attributes."""
    return attr(number | NLA_F_NESTED, payload)


def attrs(raw: bytes | memoryview, at: int = 0) -> Iterator[tuple[int, bytes]]:
    """``(number, payload)`` of each attribute from offset ``at``; stops at a malformed length."""
    end = len(raw)
    while at + 4 <= end:
        length, number = _NLATTR.unpack_from(raw, at)
        if length < 4 or at + length > end:
            return
        yield number & _TYPE_MASK, bytes(raw[at + 4 : at + length])
        at += (length + 3) & ~3


class Table:
    """The attributes of one message or nest: ``Table(ifname=(3, STR), mtu=(4, U32))``."""

    def __init__(self, **fields: tuple[int, Codec]) -> None:
        self._fields = fields
        self._names = {number: (name, codec) for name, (number, codec) in fields.items()}

    def encode(self, values: Mapping[str, Any]) -> bytes:
        """Attributes for the values, in their order. Raises: KeyError for a name that isn't declared."""
        out = b""
        for name, value in values.items():
            number, codec = self._fields[name]
            out += attr(number | NLA_F_NESTED if codec.nested else number, codec.pack(value))
        return out

    def decode(self, raw: bytes | memoryview, at: int = 0) -> dict[str, Any]:
        """The declared attributes found from offset ``at``; of repeated ones the last."""
        out: dict[str, Any] = {}
        for number, payload in attrs(raw, at):
            known = self._names.get(number)
            if known is not None:
                out[known[0]] = known[1].unpack(payload)
        return out


def nested(table: Table) -> Codec:
    """A payload that is itself a ``table``."""
    return Codec(table.encode, table.decode, nested=True)
