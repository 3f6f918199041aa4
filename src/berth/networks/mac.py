"""Hardware addresses: made from what they belong to, so that the same address on the same network always has the same one.

A container that gets a released IP address also gets its MAC, so no neighbour's ARP cache is ever wrong about it, and no
gratuitous ARP is needed at the start.
"""

from __future__ import annotations

import hashlib
import re

from berth.base.errors import InvalidArgument

_MAC = re.compile(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}")


def mac_for(*owner: str) -> str:
    """A locally administered unicast MAC, the same for the same ``owner`` (instance, network, address)."""
    digest = hashlib.blake2b("\0".join(owner).encode(), digest_size=5).digest()
    return "02:" + digest.hex(":")


def parse_mac(text: str) -> str:
    """A user's MAC in lower case with colons. Raises: InvalidArgument."""
    if not _MAC.fullmatch(text):
        raise InvalidArgument(f"invalid MAC address: {text}")
    return text.replace("-", ":").lower()
