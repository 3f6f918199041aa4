"""A table as a value: what it is made of, and its text as ``nft list table`` would print it."""

from __future__ import annotations

import hashlib
import socket
import struct
from collections.abc import Mapping
from typing import NamedTuple

from berth.kernel.netlink.wire import pack_ip, unpack_ip

HOOKS = {"prerouting": 0, "input": 1, "forward": 2, "output": 3, "postrouting": 4}
PRIORITIES = {"raw": -300, "dstnat": -100, "filter": 0, "srcnat": 100}
FAMILIES = {"inet": 1, "ip": 2, "bridge": 7, "ip6": 10}
PROTOCOLS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP, "sctp": 132}
_PROTOCOL_NAMES = {number: name for name, number in PROTOCOLS.items()}


class Expr(NamedTuple):
    """One expression of the kernel's virtual machine: its name and its attributes, encoded."""

    name: str
    body: bytes


class Part(NamedTuple):
    """A match or statement: its nft text and the expressions it becomes."""

    text: str
    exprs: tuple[Expr, ...]


class Rule(NamedTuple):
    """Matches and a verdict, in order. ``comment`` is for the reader of ``nft list ruleset``."""

    parts: tuple[Part, ...]
    comment: str = ""

    @property
    def text(self) -> str:
        words = " ".join(part.text for part in self.parts)
        return f'{words} comment "{self.comment}"' if self.comment else words

    @property
    def exprs(self) -> tuple[Expr, ...]:
        return tuple(expr for part in self.parts for expr in part.exprs)

    @property
    def digest(self) -> bytes:
        """8 bytes that tell this rule from any other."""
        seen = hashlib.blake2b(self.comment.encode(), digest_size=8)
        for expr in self.exprs:
            seen.update(expr.name.encode() + b"\0" + expr.body)
        return seen.digest()


def rule(*parts: Part, comment: str = "") -> Rule:
    """A rule of these parts."""
    return Rule(parts, comment)


class Hook(NamedTuple):
    """Where a base chain stands in the packet's way."""

    type: str  # filter or nat
    hook: str
    priority: str
    policy: str = "accept"


class Chain(NamedTuple):
    """A chain; without a hook it is one that others jump to."""

    name: str
    rules: tuple[Rule, ...]
    hook: Hook | None = None

    @property
    def text(self) -> str:
        lines = [f"\tchain {self.name} {{"]
        if self.hook is not None:
            kind, hook, priority, policy = self.hook
            priority = "-100" if (hook, priority) == ("output", "dstnat") else priority  # nft has no name for it there
            lines.append(f"\t\ttype {kind} hook {hook} priority {priority}; policy {policy};")
        lines += [f"\t\t{rule.text}" for rule in self.rules]
        return "\n".join([*lines, "\t}"])


class Field(NamedTuple):
    """A column of a map: nft's name and number of the type, and its bytes (before padding to 4)."""

    name: str
    number: int
    size: int


IPV4 = Field("ipv4_addr", 7, 4)
IPV6 = Field("ipv6_addr", 8, 16)
PROTO = Field("inet_proto", 12, 1)
PORT = Field("inet_service", 13, 2)
_PORT = struct.Struct("!H")


def pack_field(field: Field, value: str | int) -> bytes:
    """One column of a key or value, padded as in a register."""
    if field in (IPV4, IPV6):
        return pack_ip(str(value))
    if field is PROTO:
        return bytes([PROTOCOLS[str(value)], 0, 0, 0])
    return _PORT.pack(int(value)) + b"\0\0"


def _show_box(fields: tuple[Field, ...], low: bytes, high: bytes) -> str:
    """As nft writes it: a prefix where it is one, else ``first-last``."""
    words, at = [], 0
    for field in fields:
        first, last = low[at : at + field.size], high[at : at + field.size]
        a, b = _show((field,), first), _show((field,), last)
        if field in (IPV4, IPV6) and first != last:
            spare = (int.from_bytes(first, "big") ^ int.from_bytes(last, "big")).bit_length()
            words.append(f"{a}/{8 * field.size - spare}")
        else:
            words.append(a if a == b else f"{a}-{b}")
        at += (field.size + 3) & ~3
    return " . ".join(words)


def _show(fields: tuple[Field, ...], raw: bytes) -> str:
    words, at = [], 0
    for field in fields:
        column = raw[at : at + field.size]
        if field in (IPV4, IPV6):
            words.append(unpack_ip(column))
        elif field is PROTO:
            words.append(_PROTOCOL_NAMES.get(column[0], str(column[0])))
        else:
            words.append(str(_PORT.unpack(column)[0]))
        at += (field.size + 3) & ~3
    return " . ".join(words)


Row = tuple[str | int, ...]


class Element(NamedTuple):
    """One row, packed. ``end`` is the upper end of an interval's columns (b"" in a map of single keys)."""

    key: bytes
    value: bytes
    end: bytes = b""


class Map(NamedTuple):
    """A map from concatenated columns to concatenated columns, for statements such as ``dnat``; a set where ``value`` is empty.

    ``interval``: a key is a box, from one row to another, both included (Linux 5.6, a set of kind pipapo).
    """

    name: str
    key: tuple[Field, ...]
    value: tuple[Field, ...]
    elements: tuple[Element, ...] = ()
    interval: bool = False

    def pack_key(self, *columns: str | int) -> bytes:
        return b"".join(pack_field(field, column) for field, column in zip(self.key, columns, strict=True))

    def pack_value(self, *columns: str | int) -> bytes:
        return b"".join(pack_field(field, column) for field, column in zip(self.value, columns, strict=True))

    def holding(self, rows: dict[Row, Row]) -> Map:
        """The same map with these elements."""
        packed = (Element(self.pack_key(*key), self.pack_value(*value)) for key, value in rows.items())
        return self._replace(elements=tuple(sorted(packed)))

    def boxes(self, rows: Mapping[tuple[Row, Row], Row]) -> Map:
        """The same interval map with these elements: (lowest key, highest key) → value."""
        packed = (
            Element(self.pack_key(*low), self.pack_value(*value), self.pack_key(*high))
            for (low, high), value in rows.items()
        )
        return self._replace(elements=tuple(sorted(packed)))

    @property
    def text(self) -> str:
        key, value = (" . ".join(f.name for f in side) for side in (self.key, self.value))
        kind = f"{key} : {value}" if self.value else key
        lines = [f"\t{'map' if self.value else 'set'} {self.name} {{", f"\t\ttype {kind}"]
        if self.interval:
            lines.append("\t\tflags interval")
        if self.elements:
            rows = (self._element(each) for each in self.elements)
            lines.append("\t\telements = { " + ", ".join(rows) + " }")
        return "\n".join([*lines, "\t}"])

    def _element(self, element: Element) -> str:
        shown = _show_box(self.key, element.key, element.end) if self.interval else _show(self.key, element.key)
        return f"{shown} : {_show(self.value, element.value)}" if self.value else shown


OWNED = 2 | 4
"""Flags of a table that nobody changes or flushes but the socket that made it (Linux 5.12), and that stays when that socket is
closed (6.9): until another one claims it, it is anybody's then."""


class Table(NamedTuple):
    """Everything of ours in the firewall."""

    family: str
    name: str
    maps: tuple[Map, ...]
    chains: tuple[Chain, ...]
    flags: int = 0

    @property
    def text(self) -> str:
        """As ``nft list table`` prints it."""
        body = "\n\n".join([*(m.text for m in self.maps), *(c.text for c in self.chains)])
        return f"table {self.family} {self.name} {{\n{body}\n}}\n"
