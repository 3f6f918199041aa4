"""Digests: ``sha256:<64 hex>``, the name of a blob by its bytes.

Spec: OCI image-spec, descriptor.md, Digests. Only sha256 names what Berth stores; the other registered algorithms are
recognised so that the refusal can say so.
"""

from __future__ import annotations

import hashlib

from berth.base.errors import InvalidArgument
from berth.base.ids import is_hex

_HEX_LEN = {"sha256": 64, "sha384": 96, "sha512": 128}


def digest_of(blob: bytes) -> str:
    """The digest of ``blob``."""
    return "sha256:" + hashlib.sha256(blob).hexdigest()


def find_error(text: str) -> str | None:
    """Why ``text`` is no digest, in Docker's words; None when it is one."""
    algorithm, colon, hex_part = text.partition(":")
    if not colon or not algorithm or not hex_part:
        return "invalid checksum digest format"
    length = _HEX_LEN.get(algorithm)
    if length is None:
        return "unsupported digest algorithm"
    if len(hex_part) != length:
        return "invalid checksum digest length"
    return None if is_hex(hex_part) else "invalid checksum digest format"


def is_digest(text: object) -> bool:
    """True for a digest by any registered algorithm."""
    return isinstance(text, str) and find_error(text) is None


def parse_sha256(text: object) -> str:
    """``text`` when it is a sha256 digest. Never lets through anything that could be a path.

    Raises: InvalidArgument.
    """
    if not isinstance(text, str):
        raise InvalidArgument("invalid checksum digest format")
    reason = find_error(text)
    if reason is None and not text.startswith("sha256:"):
        reason = "unsupported digest algorithm"
    if reason is not None:
        raise InvalidArgument(f"{reason}: {text[:200]!r}")
    return text


def hex_of(digest: str) -> str:
    """The hex part of a digest that was parsed before."""
    return digest.partition(":")[2]


def chain_ids(diff_ids: list[str]) -> list[str]:
    """The chain id of every layer, bottom first: what the stack up to that layer is called.

    Spec: OCI image-spec, config.md, Layer ChainID.
    """
    chain: list[str] = []
    for diff_id in diff_ids:
        chain.append(digest_of(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
    return chain
