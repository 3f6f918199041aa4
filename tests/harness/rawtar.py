"""Tar bytes that no tar program would write."""

from __future__ import annotations

import struct

BLOCK = 512


def member(
    name: bytes, content: bytes = b"", *, kind: bytes = b"0", link: bytes = b"", mode: bytes = b"0000644",
    uid: bytes = b"0000000", gid: bytes = b"0000000", size: bytes | None = None, mtime: bytes = b"00000000000",
    major: bytes = b"0000000",
    minor: bytes = b"0000000", magic: bytes = b"ustar\x0000", prefix: bytes = b"", checksum: bytes | None = None,
) -> bytes:  # fmt: skip
    """One member; every field as its bytes, so that it can be wrong."""
    fields = (
        name, mode, uid, gid, size if size is not None else b"%011o" % len(content), mtime, b" " * 8, kind, link, magic,
        b"", b"", major, minor, prefix,
    )  # fmt: skip
    block = bytearray(struct.pack("100s8s8s8s12s12s8sc100s8s32s32s8s8s155s12x", *fields))
    block[148:156] = checksum if checksum is not None else b"%06o\0 " % sum(block)
    return bytes(block) + content + bytes(-len(content) % BLOCK)


def pax(*records: tuple[bytes, bytes], kind: bytes = b"x") -> bytes:
    """A PAX header with these records."""
    return member(b"PaxHeaders/x", b"".join(record(key, value) for key, value in records), kind=kind)


def record(key: bytes, value: bytes) -> bytes:
    length = len(key) + len(value) + 3
    while len(b"%d %b=%b\n" % (length, key, value)) != length:
        length += 1
    return b"%d %b=%b\n" % (length, key, value)


def archive(*members: bytes) -> bytes:
    """Members and the end mark."""
    return b"".join(members) + bytes(2 * BLOCK)


def base256(value: int, width: int) -> bytes:
    """GNU's binary numbers, negative ones as well."""
    raw = bytearray(value.to_bytes(width, "big", signed=True))
    if value >= 0:
        raw[0] |= 0x80
    return bytes(raw)
