"""Signatures of archives: enough of OpenPGP to check an InRelease file against a keyring.

What is here: version 4 RSA keys and signatures over SHA-256 and SHA-512, cleartext framework. Debian's and Ubuntu's archive keys
are RSA; a file that several keys signed needs one that is known. Being in the keyring file is what makes a key trusted.

Spec: RFC 4880, sections 4.2 (packets), 5.2.2–5.2.4 (signatures), 5.5.2 (keys), 7 (cleartext), RFC 8017, 8.2.2 (RSA).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator
from typing import NamedTuple

from berth.base.errors import DataLoss, InvalidArgument

_HASHES = {  # OpenPGP's number → name, DigestInfo before the hash
    8: ("sha256", bytes.fromhex("3031300d060960864801650304020105000420")),
    9: ("sha384", bytes.fromhex("3041300d060960864801650304020205000430")),
    10: ("sha512", bytes.fromhex("3051300d060960864801650304020305000440")),
}
_RSA = (1, 3)
_SIGNATURE, _KEY, _SUBKEY = 2, 6, 14
_MIN_BITS = 2048


class Key(NamedTuple):
    """An RSA key."""

    fingerprint: str
    n: int
    e: int


class _Signature(NamedTuple):
    kind: int
    algorithm: int
    hash_number: int
    hashed: bytes
    left: bytes
    value: int


def read_keyring(content: bytes) -> dict[str, Key]:
    """RSA keys by their 16-digit ids. Raises: InvalidArgument for what is no keyring."""
    if content.startswith(b"-----BEGIN PGP"):
        content = _unarmoured(content.decode("ascii", "replace"))
    keys = {}
    for tag, body in _packets(content):
        if tag in (_KEY, _SUBKEY) and body[:1] == b"\x04" and body[5:6] and body[5] in _RSA:
            n, rest = _number(body[6:])
            e, _ = _number(rest)
            print_ = hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body, usedforsecurity=False).hexdigest()
            if n.bit_length() >= _MIN_BITS:
                keys[print_[-16:]] = Key(print_, n, e)
    return keys


def verify_cleartext(content: bytes, keys: dict[str, Key]) -> tuple[bytes, str]:
    """The text inside and the fingerprint of a known key that signed it. Raises: DataLoss when none did."""
    text, armour = _split(content.decode("utf-8", "surrogateescape"))
    signed = "\r\n".join(line.rstrip(" \t\r") for line in text.split("\n")).encode("utf-8", "surrogateescape")
    unknown = []
    for tag, body in _packets(_unarmoured(armour)):
        if tag != _SIGNATURE or body[:1] != b"\x04":
            continue
        signature, issuer = _parse_signature(body)
        key = keys.get(issuer)
        if key is None or signature.algorithm not in _RSA or signature.kind not in (0, 1):
            unknown.append(issuer or "unknown")
        elif _is_good(signature, signed, key):
            return text.encode("utf-8", "surrogateescape"), key.fingerprint
        else:
            raise DataLoss(f"the signature by key {key.fingerprint[-16:].upper()} is wrong: the file was changed")
    raise DataLoss(
        f"none of the keys that signed it is in the keyring ({', '.join(unknown).upper() or 'no signature'})"
    )


def _split(content: str) -> tuple[str, str]:
    """(the text without its dashes, the armoured signature)."""
    head, begin, rest = content.partition("-----BEGIN PGP SIGNED MESSAGE-----\n")
    body, middle, armour = rest.partition("\n-----BEGIN PGP SIGNATURE-----\n")
    if head.strip() or not begin or not middle:
        raise DataLoss("it is not a signed file")
    _, blank, text = body.partition("\n\n")
    if not blank:
        raise DataLoss("it is not a signed file")
    lines = [line.removeprefix("- ") for line in text.split("\n")]
    return "\n".join(lines), armour


def _unarmoured(text: str) -> bytes:
    """The bytes of an armoured block; its headers and checksum are left out."""
    _, _, body = text.strip().partition("\n\n")
    lines = []
    for line in (body or text).splitlines():
        if line.startswith(("=", "-----END")):
            break
        if not line.startswith("-----") and ":" not in line:
            lines.append(line.strip())
    try:
        return base64.b64decode("".join(lines), validate=True)
    except (binascii.Error, ValueError) as err:
        raise InvalidArgument(f"not an OpenPGP block: {err}") from err


def _packets(content: bytes) -> Iterator[tuple[int, bytes]]:
    """(tag, body) of each packet. Raises: InvalidArgument."""
    at = 0
    try:
        while at < len(content):
            first = content[at]
            if not first & 0x80:
                raise InvalidArgument("not OpenPGP data")
            tag, size, at = _new_head(content, at) if first & 0x40 else _old_head(content, at)
            if at + size > len(content):
                raise InvalidArgument("OpenPGP data ends in the middle of a packet")
            yield tag, content[at : at + size]
            at += size
    except IndexError as err:
        raise InvalidArgument("OpenPGP data ends in the middle of a packet") from err


def _new_head(content: bytes, at: int) -> tuple[int, int, int]:
    tag, first = content[at] & 0x3F, content[at + 1]
    if first < 192:
        return tag, first, at + 2
    if first < 224:
        return tag, ((first - 192) << 8) + content[at + 2] + 192, at + 3
    if first == 255:
        return tag, int.from_bytes(content[at + 2 : at + 6], "big"), at + 6
    raise InvalidArgument("OpenPGP packets of unknown length")


def _old_head(content: bytes, at: int) -> tuple[int, int, int]:
    tag, kind = (content[at] >> 2) & 0x0F, content[at] & 3
    if kind == 3:
        raise InvalidArgument("OpenPGP packets of unknown length")
    width = 1 << kind
    return tag, int.from_bytes(content[at + 1 : at + 1 + width], "big"), at + 1 + width


def _number(content: bytes) -> tuple[int, bytes]:
    """A multiprecision integer and what follows it."""
    size = (int.from_bytes(content[:2], "big") + 7) // 8
    return int.from_bytes(content[2 : 2 + size], "big"), content[2 + size :]


def _parse_signature(body: bytes) -> tuple[_Signature, str]:
    """(the signature, the id of the key that made it)."""
    hashed_size = int.from_bytes(body[4:6], "big")
    hashed_end = 6 + hashed_size
    loose_end = hashed_end + 2 + int.from_bytes(body[hashed_end : hashed_end + 2], "big")
    issuer = _issuer(body[6:hashed_end]) or _issuer(body[hashed_end + 2 : loose_end])
    value, _ = _number(body[loose_end + 2 :])
    return _Signature(body[1], body[2], body[3], body[:hashed_end], body[loose_end : loose_end + 2], value), issuer


def _issuer(subpackets: bytes) -> str:
    """From the subpackets 33 (fingerprint) or 16 (key id); "" for none."""
    at = 0
    while at < len(subpackets):
        size = subpackets[at]
        at += 1
        if size == 255:
            size = int.from_bytes(subpackets[at : at + 4], "big")
            at += 4
        elif size >= 192:
            size = ((size - 192) << 8) + subpackets[at] + 192
            at += 1
        kind, value = subpackets[at] & 0x7F, subpackets[at + 1 : at + size]
        if kind in (16, 33):
            return value[-8:].hex()
        at += size
    return ""


def _is_good(signature: _Signature, signed: bytes, key: Key) -> bool:
    if signature.hash_number not in _HASHES:
        raise DataLoss("it is signed over a hash that is not trusted")
    name, info = _HASHES[signature.hash_number]
    trailer = b"\x04\xff" + len(signature.hashed).to_bytes(4, "big")
    digest = hashlib.new(name, signed + signature.hashed + trailer).digest()
    size = (key.n.bit_length() + 7) // 8
    wanted = b"\x00\x01" + b"\xff" * (size - len(info) - len(digest) - 3) + b"\x00" + info + digest
    return pow(signature.value, key.e, key.n) == int.from_bytes(wanted, "big")
