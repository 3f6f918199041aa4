"""Identifiers: 64 lower-case hex digits, 256 random bits, as Docker's."""

from __future__ import annotations

import os

ID_LEN = 64
SHORT_LEN = 12
_HEX = frozenset("0123456789abcdef")


def new_id() -> str:
    """A fresh 64-digit id whose first 12 digits are never all decimal (they would read as a number in YAML)."""
    while True:
        ident = os.urandom(32).hex()
        if not ident[:SHORT_LEN].isdigit():
            return ident


def short_id(ident: str) -> str:
    """The first 12 digits, after any ``sha256:``."""
    return ident.removeprefix("sha256:")[:SHORT_LEN]


def is_hex(text: str) -> bool:
    """True for a non-empty string of lower-case hex digits."""
    return bool(text) and _HEX.issuperset(text)


def is_id(text: str) -> bool:
    """True for a full 64-digit id."""
    return len(text) == ID_LEN and is_hex(text)
