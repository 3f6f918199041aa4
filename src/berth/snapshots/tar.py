"""The tar format, read as a stream: v7, ustar, GNU and PAX, with long names, extended attributes and sparse files.

    block 512:  name 0+100  mode 100+8  uid 108+8  gid 116+8  size 124+12  mtime 136+12  checksum 148+8  type 156
                linkname 157+100  magic 257+8  uname 265+32  gname 297+32  major 329+8  minor 337+8  prefix 345+155
    GNU sparse: four (offset 12, size 12) from 386, more to follow? 482, real size 483+12; then blocks of 21 and a flag at 504

Names stay bytes: a layer may hold any. Nothing here touches a file system.
Spec: POSIX.1-2017 pax; GNU tar manual, Sparse Formats. Where tar programs differ, this reads as Go's archive/tar does, since
that is what every image was written and checked with (links and directories have no content, whatever their size says).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from berth.base.errors import InvalidArgument, TooLarge
from berth.snapshots.source import Source

BLOCK = 512
_ZERO = bytes(BLOCK)
_MAX_SPECIAL = 1 << 20
"""Bytes of a PAX header or GNU long name that are accepted (Go's bound)."""
_MAX_SPARSE = 100_000
_MAX_SIZE = (1 << 63) - 1
_XATTR = b"SCHILY.xattr."
_FIELDS = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s8s8s155s12x")

REGULAR, HARDLINK, SYMLINK, CHAR, BLOCK_DEVICE, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
_HEADER_ONLY = frozenset((HARDLINK, SYMLINK, CHAR, BLOCK_DEVICE, DIRECTORY, FIFO))
_KNOWN = _HEADER_ONLY | {REGULAR}
_REGULAR_TOO = frozenset((REGULAR, b"\0", b"7"))
_USTAR = b"ustar\x0000"
_PAX, _PAX_GLOBAL, _GNU_NAME, _GNU_LINK, _GNU_SPARSE = b"x", b"g", b"L", b"K", b"S"

Extents = list[tuple[int, int]]
"""Where a sparse file has content: (offset, length), ascending."""


class Member(NamedTuple):
    """One entry. ``stored`` bytes of content follow it in the stream; ``size`` is the file's length once written.

    Units: ``mtime_ns`` nanoseconds since the epoch. ``extents`` is None for a file that isn't sparse.
    """

    name: bytes
    linkname: bytes
    type: bytes
    mode: int
    uid: int
    gid: int
    size: int
    stored: int
    mtime_ns: int
    major: int
    minor: int
    xattrs: dict[bytes, bytes] | None
    extents: Extents | None


def read_members(source: Source) -> Iterator[Member]:
    """Each member in turn; the caller reads its ``stored`` bytes or leaves them. Reads to the end-of-archive mark.

    Raises: InvalidArgument for what is no tar, TooLarge for headers above their bounds.
    """
    pax: dict[bytes, bytes] = {}
    long_name: bytes | None = None
    long_link: bytes | None = None
    while True:
        block = source.take_or_end(BLOCK)
        if block is None:
            return
        if block == _ZERO:
            second = source.take_or_end(BLOCK)
            if second is None or second == _ZERO:
                return
            raise _invalid("a zero block inside the archive")
        fields = _fields(block)
        kind = fields[7]
        if kind == _PAX:
            pax.update(_parse_pax(_special(source, fields)))
            continue
        if kind == _PAX_GLOBAL:
            _special(source, fields)  # as Docker: read and ignored
            continue
        if kind in (_GNU_NAME, _GNU_LINK):
            text = _special(source, fields).split(b"\0", 1)[0]
            if kind == _GNU_NAME:
                long_name = text
            else:
                long_link = text
            continue
        member = _member(source, block, fields, pax, long_name, long_link)
        pax, long_name, long_link = {}, None, None
        before = source.position
        yield member
        left = member.stored - (source.position - before)
        source.skip(left + (-member.stored % BLOCK))


def _fields(block: bytes) -> tuple[bytes, ...]:
    fields = _FIELDS.unpack(block)
    expected = _number(fields[6], "checksum")
    total = sum(block) - sum(fields[6]) + 256
    if total != expected:
        signed = total - 256 * sum(byte > 127 for byte in (*block[:148], *block[156:]))
        if signed != expected:
            raise _invalid("its header's checksum is wrong")
    return fields


def _special(source: Source, fields: tuple[bytes, ...]) -> bytes:
    size = _number(fields[4], "size")
    if size > _MAX_SPECIAL:
        raise TooLarge(f"archive/tar: a header of {size} bytes is above {_MAX_SPECIAL}")
    content = source.take(size)
    source.skip(-size % BLOCK)
    return content


def _member(
    source: Source, block: bytes, fields: tuple[bytes, ...], pax: dict[bytes, bytes], long_name: bytes | None,
    long_link: bytes | None,
) -> Member:  # fmt: skip
    name, mode, uid, gid, size, mtime, _, kind, link, magic, _, _, major, minor, prefix = fields
    path = name.split(b"\0", 1)[0]
    if magic == _USTAR and prefix[0]:
        path = prefix.split(b"\0", 1)[0] + b"/" + path
    path = long_name if long_name is not None else path
    linkname = long_link if long_link is not None else link.split(b"\0", 1)[0]
    is_sparse = kind == _GNU_SPARSE
    if kind in _REGULAR_TOO or is_sparse:
        kind = DIRECTORY if path.endswith(b"/") and not is_sparse else REGULAR  # the slash: how v7 wrote directories
    stored = 0 if kind in _HEADER_ONLY else _number(size, "size")
    is_device = kind in (CHAR, BLOCK_DEVICE)
    member = Member(
        path, linkname, kind, _number(mode, "mode") & 0o7777, _number(uid, "uid"), _number(gid, "gid"), stored, stored,
        _number(mtime, "mtime") * 1_000_000_000, _number(major, "major") if is_device else 0,
        _number(minor, "minor") if is_device else 0, None, None,
    )  # fmt: skip
    if pax:
        member = _with_pax(member, pax)
    if is_sparse:
        extents, real_size = _gnu_sparse(source, block)
        member = member._replace(extents=extents, size=real_size)
    elif kind == REGULAR and (b"GNU.sparse.map" in pax or b"GNU.sparse.major" in pax):
        member = _pax_sparse(source, pax, member)
    _check(member)
    return member


def _with_pax(member: Member, pax: dict[bytes, bytes]) -> Member:
    size = 0 if member.type in _HEADER_ONLY else _pax_number(pax, b"size", member.size)
    xattrs = {key[len(_XATTR) :]: value for key, value in pax.items() if key.startswith(_XATTR)}
    return member._replace(
        name=pax.get(b"path") or member.name,
        linkname=pax.get(b"linkpath") or member.linkname,
        uid=_pax_number(pax, b"uid", member.uid),
        gid=_pax_number(pax, b"gid", member.gid),
        size=size,
        stored=size,
        mtime_ns=_pax_time(pax[b"mtime"]) if pax.get(b"mtime") else member.mtime_ns,
        xattrs=xattrs or None,
    )


def _check(member: Member) -> None:
    if member.type not in _KNOWN:
        raise InvalidArgument(f"archive/tar: unhandled header type {member.type!r}")
    if member.stored > _MAX_SIZE or member.size > _MAX_SIZE:
        raise _invalid("a size beyond 63 bits")
    if b"\0" in member.name or b"\0" in member.linkname:
        raise _invalid("a name with a NUL byte")
    if member.extents is None:
        return
    end = 0
    for offset, length in member.extents:
        if offset < end or offset + length > member.size:
            raise _invalid("a sparse map")
        end = offset + length
    if sum(length for _, length in member.extents) != member.stored:
        raise _invalid("a sparse map")


def _number(field: bytes, what: str) -> int:
    """Octal text, or GNU's base 256 where the first bit is set. Only times may be negative."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big")
        bits = len(field) * 8
        if field[0] & 0x40:
            value -= 1 << bits
        else:
            value -= 1 << (bits - 1)
        if value < 0 and what != "mtime":
            raise _invalid(f"a negative {what}")
        return value
    text = field.split(b"\0", 1)[0].strip(b" ")
    if not text:
        return 0
    try:
        value = int(text, 8)
    except ValueError:
        raise _invalid(f"the {what} field") from None
    if value < 0:
        raise _invalid(f"a negative {what}")
    return value


# --- PAX


def _parse_pax(content: bytes) -> dict[bytes, bytes]:
    """Records ``<length> <key>=<value>\\n``. GNU.sparse 0.0 repeats keys: those are joined with commas."""
    records: dict[bytes, bytes] = {}
    at = 0
    while at < len(content):
        space = content.find(b" ", at, at + 21)
        length_text = content[at:space]
        if space < 0 or not length_text.isdigit():
            raise _invalid("a PAX record")
        end = at + int(length_text)
        if end > len(content) or end <= space + 1 or content[end - 1 : end] != b"\n":
            raise _invalid("a PAX record's length")
        key, equals, value = content[space + 1 : end - 1].partition(b"=")
        if not equals or not key:
            raise _invalid("a PAX record without a key")
        if b"\0" in key or (b"\0" in value and not key.startswith(_XATTR)):
            raise _invalid("a PAX record with a NUL byte")
        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            records[b"GNU.sparse.map"] = (
                records[b"GNU.sparse.map"] + b"," if b"GNU.sparse.map" in records else b""
            ) + value
        else:
            records[key] = value
        at = end
    return records


def _pax_number(pax: dict[bytes, bytes], key: bytes, default: int) -> int:
    text = pax.get(key)
    if not text:
        return default
    if not text.isdigit() or len(text) > 20:
        raise _invalid(f"the PAX record {key.decode()}")
    return int(text)


def _pax_time(text: bytes) -> int:
    """``[-]seconds[.fraction]`` in nanoseconds, exactly."""
    sign = -1 if text.startswith(b"-") else 1
    whole, _, fraction = text.lstrip(b"-").partition(b".")
    if not whole.isdigit() or len(whole) > 20 or (fraction and not fraction.isdigit()):
        raise _invalid("the PAX record mtime")
    return sign * (int(whole) * 1_000_000_000 + int(fraction[:9].ljust(9, b"0") or b"0"))


# --- sparse files


def _gnu_sparse(source: Source, block: bytes) -> tuple[Extents, int]:
    real_size = _number(block[483:495], "real size")
    extents: Extents = []
    more = _gnu_extents(block, 386, 4, extents) and block[482] != 0
    while more:
        block = source.take(BLOCK)
        more = _gnu_extents(block, 0, 21, extents) and block[504] != 0
        _bound_extents(len(extents))
    return extents, real_size


def _gnu_extents(block: bytes, at: int, count: int, extents: Extents) -> bool:
    """Append up to ``count`` extents; False where the list ends inside this block."""
    for start in range(at, at + count * 24, 24):
        if block[start] == 0:
            return False
        extents.append(
            (_number(block[start : start + 12], "offset"), _number(block[start + 12 : start + 24], "length"))
        )
    return True


def _pax_sparse(source: Source, pax: dict[bytes, bytes], member: Member) -> Member:
    if pax.get(b"GNU.sparse.major", b"0") == b"0":
        numbers = [_decimal(text) for text in pax.get(b"GNU.sparse.map", b"").split(b",") if text]
        map_bytes = 0
    elif (pax[b"GNU.sparse.major"], pax.get(b"GNU.sparse.minor")) == (b"1", b"0"):
        numbers, map_bytes = _sparse_map_1_0(source)
    else:
        raise _invalid("a sparse format of the future")
    _bound_extents(len(numbers) // 2)
    if len(numbers) % 2 or map_bytes > member.stored:
        raise _invalid("a sparse map")
    size = _pax_number(pax, b"GNU.sparse.realsize", _pax_number(pax, b"GNU.sparse.size", member.size))
    return member._replace(
        name=pax.get(b"GNU.sparse.name") or member.name,
        size=size,
        stored=member.stored - map_bytes,
        extents=list(zip(numbers[::2], numbers[1::2], strict=True)),
    )


def _sparse_map_1_0(source: Source) -> tuple[list[int], int]:
    """The map in front of the content: a count, then that many offsets and lengths, a line each; padded to blocks."""
    lines: list[bytes] = []
    rest = b""
    blocks = 0
    wanted = 1
    while len(lines) < wanted:
        blocks += 1
        *whole, rest = (rest + source.take(BLOCK)).split(b"\n")
        lines += whole
        if lines and wanted == 1:
            count = _decimal(lines[0])
            _bound_extents(count)
            wanted = 1 + 2 * count
        if len(rest) > BLOCK:
            raise _invalid("a sparse map")
    return [_decimal(line) for line in lines[1:wanted]], blocks * BLOCK


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > 20:
        raise _invalid("a sparse map")
    return int(text)


def _bound_extents(count: int) -> None:
    if count > _MAX_SPARSE:
        raise TooLarge(f"archive/tar: a sparse file of more than {_MAX_SPARSE} parts")


def _invalid(what: str) -> InvalidArgument:
    return InvalidArgument(f"archive/tar: invalid tar header: {what}")
