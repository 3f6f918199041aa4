"""Writing tar: ustar, with PAX records for what ustar cannot say. The other direction of ``tar.py``.

The same members give the same bytes: no record that isn't needed, records in the order of their keys, no times of now.
Spec: POSIX.1-2017 pax, "pax Interchange Format"; extended attributes as ``SCHILY.xattr.*``, which every reader of layers knows.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any

from berth.base.errors import InvalidArgument
from berth.snapshots.tar import BLOCK, DIRECTORY, REGULAR, Member

_FIELDS = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s8s8s155s12x")
_PAX = b"x"
_MAX_OCTAL_7 = 0o7777777
_MAX_OCTAL_11 = 0o77777777777
_SECOND_NS = 1_000_000_000
_ZEROS = bytes(64 << 10)

Write = Callable[[bytes | memoryview], object]


class TarWriter:
    """``add`` each member, then ``finish``. ``write`` gets every byte in order."""

    def __init__(self, write: Write) -> None:
        self._write = write

    def add(self, member: Member, content: Iterable[bytes | memoryview] = ()) -> None:
        """One member, with the ``stored`` bytes of its content. Times are cut to seconds, as Docker's are.

        What is missing of the content (a file that shrinks while it is read) comes as zeros, what is too much stays away.
        Raises: InvalidArgument for a name that no tar can hold.
        """
        self._write(header(member))
        left = member.stored
        for piece in content:
            if len(piece) > left:
                piece = memoryview(piece)[:left]
            if piece:
                self._write(piece)
                left -= len(piece)
            if not left:
                break
        self._pad(left + (-member.stored % BLOCK))

    def finish(self) -> None:
        """The end of the archive."""
        self._write(bytes(2 * BLOCK))

    def _pad(self, count: int) -> None:
        while count:
            step = min(count, len(_ZEROS))
            self._write(_ZEROS[:step])
            count -= step


def header(member: Member) -> bytes:
    """The blocks in front of a member's content. Raises: InvalidArgument."""
    name = member.name + b"/" if member.type == DIRECTORY and not member.name.endswith(b"/") else member.name
    if not name or b"\0" in name or b"\0" in member.linkname:
        raise InvalidArgument(f"no tar can hold the name {name[:200]!r}")
    records: dict[bytes, bytes] = {}
    prefix, short = _split(name)
    if short is None:
        records[b"path"], short = name, _fallback(name)
    link = member.linkname
    if not _plain(link) or len(link) > 100:
        records[b"linkpath"], link = link, _fallback(link)
    seconds = member.mtime_ns // _SECOND_NS
    numbers = {}
    for key, value, largest in (
        (b"uid", member.uid, _MAX_OCTAL_7), (b"gid", member.gid, _MAX_OCTAL_7),
        (b"size", member.stored if member.type == REGULAR else 0, _MAX_OCTAL_11), (b"mtime", seconds, _MAX_OCTAL_11),
    ):  # fmt: skip
        fits = 0 <= value <= largest
        numbers[key] = value if fits else 0
        if not fits:
            records[key] = b"%d" % value
    for key, value_bytes in (member.xattrs or {}).items():
        records[b"SCHILY.xattr." + key] = value_bytes
    block = _block(
        short, member.type, link, member.mode & 0o7777, numbers, prefix, member.major, member.minor,
    )  # fmt: skip
    return _pax(name, records) + block if records else block


def _plain(text: bytes) -> bool:
    return text.isascii()


def _split(name: bytes) -> tuple[bytes, bytes | None]:
    """ustar's prefix and name; None where it needs a record."""
    if not _plain(name):
        return b"", None
    if len(name) <= 100:
        return b"", name
    at = name.rfind(b"/", 0, min(156, len(name) - 1))
    if at <= 0 or len(name) - at - 1 > 100:
        return b"", None
    return name[:at], name[at + 1 :]


def _fallback(name: bytes) -> bytes:
    """What a reader without PAX sees."""
    return bytes(byte if byte < 128 else 0x5F for byte in name)[-100:].lstrip(b"/") or b"_"


def _pax(name: bytes, records: dict[bytes, bytes]) -> bytes:
    if any(not _is_utf8(records.get(key, b"")) for key in (b"path", b"linkpath")):
        records = {b"hdrcharset": b"BINARY", **records}
    content = b"".join(_record(key, records[key]) for key in sorted(records, key=_order))
    base = _fallback(name.rstrip(b"/").rpartition(b"/")[2])
    numbers = {b"uid": 0, b"gid": 0, b"size": len(content), b"mtime": 0}
    block = _block((b"PaxHeaders.0/" + base)[:100], _PAX, b"", 0, numbers, b"", 0, 0)
    return block + content + bytes(-len(content) % BLOCK)


def _order(key: bytes) -> tuple[bool, bytes]:
    return key != b"hdrcharset", key  # the charset speaks of what follows it


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _record(key: bytes, value: bytes) -> bytes:
    """``<length> <key>=<value>\\n``, whose length counts its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    if len(str(length)) != len(str(rest)):
        length = rest + len(str(length))
    return b"%d %b=%b\n" % (length, key, value)


def _block(
    name: bytes, kind: bytes, link: bytes, mode: int, numbers: dict[bytes, int], prefix: bytes, major: int, minor: int
) -> bytes:
    fields: list[Any] = [
        name, b"%07o" % mode, b"%07o" % numbers[b"uid"], b"%07o" % numbers[b"gid"], b"%011o" % numbers[b"size"],
        b"%011o" % numbers[b"mtime"], b" " * 8, kind, link, b"ustar\x0000", b"", b"", b"%07o" % major, b"%07o" % minor,
        prefix,
    ]  # fmt: skip
    block = bytearray(_FIELDS.pack(*fields))
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)
