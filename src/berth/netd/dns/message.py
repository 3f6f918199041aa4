"""DNS messages, as much of them as a resolver for names of containers needs. Pure: bytes in, bytes out.

struct { u16 id, flags, qdcount, ancount, nscount, arcount; } questions, answers, authority, additional
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from typing import NamedTuple

HEADER = struct.Struct("!6H")
_PAIR = struct.Struct("!HH")
_RECORD = struct.Struct("!HHIH")
A, PTR, AAAA, OPT, ANY = 1, 12, 28, 41, 255
IN = 1
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = 0, 1, 2, 3, 4, 5
QR, AA, TC, RD, RA = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080
_OPCODE = 0x7800
UDP_SIZE = 512
OUR_UDP_SIZE = 4096
TTL_S = 10
"""Short: a container's address is another's soon after its end."""


class Malformed(ValueError):
    """Not a question that can be answered: ``rcode`` says why."""

    def __init__(self, rcode: int) -> None:
        super().__init__(f"rcode {rcode}")
        self.rcode = rcode


class Question(NamedTuple):
    """The one question of a query. ``name`` is in lower case without the final dot; ``raw`` is the question as it came."""

    id: int
    flags: int
    name: str
    type: int
    cls: int
    raw: bytes
    udp_size: int
    edns: bool


def parse(packet: bytes) -> Question:
    """Raises: Malformed."""
    if len(packet) < HEADER.size:
        raise Malformed(FORMERR)
    ident, flags, questions, answers, authority, additional = HEADER.unpack_from(packet)
    if flags & QR or questions != 1 or answers or authority:
        raise Malformed(FORMERR)
    if flags & _OPCODE:
        raise Malformed(NOTIMP)
    name, at = _name(packet, HEADER.size)
    if at + 4 > len(packet):
        raise Malformed(FORMERR)
    kind, cls = _PAIR.unpack_from(packet, at)
    size, edns = _edns(packet, at + 4, additional)
    return Question(ident, flags, name.lower(), kind, cls, packet[HEADER.size : at + 4], size, edns)


def _name(packet: bytes, at: int) -> tuple[str, int]:
    """A name without compression (a question's never has any) and where it ends. Raises: Malformed."""
    labels: list[str] = []
    total = 0
    while at < len(packet):
        length = packet[at]
        at += 1
        if length == 0:
            return ".".join(labels), at
        total += length + 1
        if length > 63 or total > 255 or at + length > len(packet):
            break
        labels.append(packet[at : at + length].decode("latin-1"))
        at += length
    raise Malformed(FORMERR)


def _edns(packet: bytes, at: int, additional: int) -> tuple[int, bool]:
    """The sender's UDP size, from an OPT record that comes first among the additional ones, as everybody sends it."""
    if additional and at + 11 <= len(packet) and packet[at] == 0:
        kind, size = _PAIR.unpack_from(packet, at + 1)
        if kind == OPT:
            return max(UDP_SIZE, size), True
    return UDP_SIZE, False


def addresses(question: Question, found: Sequence[str]) -> list[bytes]:
    """A or AAAA records of these addresses."""
    family = socket.AF_INET if question.type == A else socket.AF_INET6
    return [_answer(question.type, socket.inet_pton(family, address)) for address in found]


def pointer(name: str) -> list[bytes]:
    """The PTR record to a name."""
    return [_answer(PTR, encode_name(name))]


def encode_name(name: str) -> bytes:
    """Labels with their lengths; what is too long for a label is cut."""
    labels = [label.encode("latin-1", "replace")[:63] for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def _answer(kind: int, value: bytes) -> bytes:
    return b"\xc0\x0c" + _RECORD.pack(kind, IN, TTL_S, len(value)) + value  # the name is the question's, by its offset


def reply(
    question: Question, rcode: int, records: Sequence[bytes] = (), *, limit: int = 65535, authoritative: bool = True
) -> bytes:
    """The answer, its records cut and TC set where they don't fit into ``limit`` bytes."""
    opt = b"\0" + _PAIR.pack(OPT, OUR_UDP_SIZE) + bytes(6) if question.edns else b""
    room = limit - HEADER.size - len(question.raw) - len(opt)
    kept: list[bytes] = []
    for record in records:
        room -= len(record)
        if room < 0:
            break
        kept.append(record)
    flags = QR | RA | (question.flags & RD) | rcode
    flags |= (AA if authoritative else 0) | (TC if len(kept) < len(records) else 0)
    head = HEADER.pack(question.id, flags, 1, len(kept), 0, 1 if opt else 0)
    return head + question.raw + b"".join(kept) + opt


def refuse(packet: bytes, rcode: int) -> bytes:
    """The answer to what could not be read: its id and the reason. b"" when there isn't even an id, or it was an answer."""
    if len(packet) < 4 or packet[2] & 0x80:
        return b""
    ident, flags = _PAIR.unpack_from(packet)
    return HEADER.pack(ident, QR | RA | (flags & (_OPCODE | RD)) | rcode, 0, 0, 0, 0)


def with_id(packet: bytes, ident: int) -> bytes:
    """The same message under another id."""
    return ident.to_bytes(2, "big") + packet[2:]


def answers_it(packet: bytes, ident: int, question: Question) -> bool:
    """Whether it is the answer to our question: id, QR and the question itself (names compare without case)."""
    end = HEADER.size + len(question.raw)
    return (
        len(packet) >= HEADER.size
        and int.from_bytes(packet[:2], "big") == ident
        and bool(packet[2] & 0x80)
        and (packet[HEADER.size : end].lower() == question.raw.lower() or packet[4:6] == b"\0\0")
    )


def rcode_of(packet: bytes) -> int:
    return packet[3] & 0x0F


def fitted(packet: bytes, question: Question) -> bytes:
    """An answer from outside as the asker can take it over UDP: whole, or the question alone with TC set."""
    if len(packet) <= question.udp_size:
        return packet
    flags = int.from_bytes(packet[2:4], "big") | TC
    return HEADER.pack(question.id, flags, 1, 0, 0, 0) + question.raw


def address_of_pointer(name: str) -> str:
    """``5.0.18.172.in-addr.arpa`` → ``172.18.0.5``, also of IPv6; "" for any other name."""
    if name.endswith(".in-addr.arpa"):
        parts = name.removesuffix(".in-addr.arpa").split(".")
        if len(parts) == 4 and all(p.isdigit() and len(p) <= 3 and int(p) < 256 for p in parts):
            return ".".join(reversed(parts))
    elif name.endswith(".ip6.arpa"):
        nibbles = name.removesuffix(".ip6.arpa").split(".")
        if len(nibbles) == 32 and all(len(n) == 1 and n in "0123456789abcdef" for n in nibbles):
            return socket.inet_ntop(socket.AF_INET6, bytes.fromhex("".join(reversed(nibbles))))
    return ""
