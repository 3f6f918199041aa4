"""How a container's network is named on the wire: ``HostConfig.NetworkMode``."""

from __future__ import annotations

from typing import NamedTuple


class NetworkMode(NamedTuple):
    """What a mode asks for: ``kind`` is "bridge", "host", "none", "container" or "network"; ``ref`` names the last two's."""

    kind: str
    ref: str = ""


def parse_network_mode(text: str) -> NetworkMode:
    """The mode as Docker reads it: "" and "default" are the default bridge, ``container:<ref>`` joins, a word is a network."""
    if text in ("", "default", "bridge"):
        return NetworkMode("bridge", "bridge")
    if text in ("host", "none"):
        return NetworkMode(text, text)
    kind, colon, ref = text.partition(":")
    if kind == "container" and colon:
        return NetworkMode("container", ref)
    return NetworkMode("network", text)
