"""Archive keys and signatures of the tests' own: a 2048-bit RSA key, its keyring, and InRelease files signed with it.

The private half is public on purpose: whoever finds it can sign nothing but test mirrors.
"""

from __future__ import annotations

import base64
import hashlib

_N = int(
    "B3B5D87C7F82EBA6C881F0BA1695CE10C560458AB2C736BE221FC6479CFB8C51A061BCD060E32B17BD548411FAA8FCC44CFD"
    "B53987B6AE9E1ED7991F1EC16E6FD4B336AD193E08A3860531471049061D7E5D944CFDF67E490468C591FCA44941BF464B5D"
    "9AAF068DC5E93F6816399DEE0006FE5A4D57EA75559C0F8857ACA038E8D79DFF4F18CEEA998562B65E7E4BD457AB03BFF7EB"
    "3D54D5FE5170C3867083D6A654DD1A17B16C400376AE5B987F1F20FC2555AA2C4E1B9975162CF35C13A2C72496A87B8296E1"
    "9D257DA3F3FE2B7BA664A94460747BF2155AFF44C5DACA30D43EEB832CE770E0CAA8FD5FC25DF20AAC1B12CD4D212FD67A7B"
    "E9BECF508BF1",
    16,
)
_D = int(
    "0AA938A7EF191551823EDA28F1F6CE60169376E0AAE9304D50812DCE3908FFBAA66EF1E8733CFAC518636387DD04CA24FB93"
    "C7FCDB191A6C11349556002935BBDEE4885375C645352D39D0E1F03C82C73C64410C5DBB12241305C3A5BCD502AF0AB1B8FE"
    "1B3373AA34B1D903FBE08C66CE7BDBBA3FF11D9CBB18CC5F9862EA68C8498E5968381DB49D5DA9C6C0BCFD09C9D549803587"
    "BCEE0ED2FAE4580506B5DFDE8CB565AC1183C910EC292802ED8281D7EF084616C7EB0ED2607000DC994EE094F9FFA091FA65"
    "1B893BFBDC4FA82F1295DD10F6C0E71869DF84A042429F39D576C4CA0C0B361DFE279712F3D990F131A2BB7714120B25715C"
    "31EF0D0DD9B9",
    16,
)
_E = 65537
_MADE = 1_700_000_000
_SHA512 = bytes.fromhex("3051300d060960864801650304020305000440")


def _mpi(number: int) -> bytes:
    return number.bit_length().to_bytes(2, "big") + number.to_bytes((number.bit_length() + 7) // 8, "big")


def _packet(tag: int, body: bytes) -> bytes:
    return bytes([0x80 | tag << 2 | 1]) + len(body).to_bytes(2, "big") + body


_KEY = b"\x04" + _MADE.to_bytes(4, "big") + b"\x01" + _mpi(_N) + _mpi(_E)
FINGERPRINT = hashlib.sha1(b"\x99" + len(_KEY).to_bytes(2, "big") + _KEY).hexdigest()


def keyring() -> bytes:
    """The public key, as a keyring file holds it."""
    return _packet(6, _KEY) + _packet(13, b"A test archive <test@example.invalid>")


def sign(text: str) -> bytes:
    """``text`` in the cleartext framework."""
    issued = b"\x21\x04" + bytes.fromhex(FINGERPRINT)
    created = b"\x02" + _MADE.to_bytes(4, "big")
    subpackets = bytes([len(created)]) + created + bytes([len(issued)]) + issued
    hashed = b"\x04\x01\x01\x0a" + len(subpackets).to_bytes(2, "big") + subpackets
    lines = text.rstrip("\n").split("\n")
    signed = "\r\n".join(line.rstrip() for line in lines).encode()
    digest = hashlib.sha512(signed + hashed + b"\x04\xff" + len(hashed).to_bytes(4, "big")).digest()
    padded = b"\x00\x01" + b"\xff" * (256 - 3 - len(_SHA512) - 64) + b"\x00" + _SHA512 + digest
    value = pow(int.from_bytes(padded, "big"), _D, _N)
    packet = _packet(2, hashed + b"\x00\x00" + digest[:2] + _mpi(value))
    armour = base64.encodebytes(packet).decode()
    body = "\n".join("- " + line if line.startswith("-") else line for line in lines)
    return (
        f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{body}\n"
        f"-----BEGIN PGP SIGNATURE-----\n\n{armour}-----END PGP SIGNATURE-----\n"
    ).encode()
