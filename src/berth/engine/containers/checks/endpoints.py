"""The hardware address that a container asks for."""

from __future__ import annotations

import re
from typing import Any

from berth.base.errors import InvalidArgument

_MAC = re.compile(r"[0-9a-fA-F]{2}(([:-])[0-9a-fA-F]{2}(\2[0-9a-fA-F]{2}){4})")


def settle_mac(config: dict[str, Any], hc: dict[str, Any], wishes: dict[str, dict[str, Any]]) -> None:
    """One hardware address in both of its places: the container's (API < 1.44) and its first network's (in place).

    After: networks and their mode are settled. Raises: InvalidArgument.
    """
    name = str(hc["NetworkMode"])
    if name == "host" and config.pop("MacAddress", None) and not (wishes.get(name) or {}).get("MacAddress"):
        return  # nothing of its own there
    mine = wishes.get(name) or next(iter(wishes.values()), {})
    mac = str(mine.get("MacAddress") or config.get("MacAddress") or "")
    if not mac or name.startswith("container:"):
        return
    if not _MAC.fullmatch(mac):
        raise InvalidArgument(f"invalid config for network {name}: invalid MAC address {mac}")
    config["MacAddress"] = mac
    mine["MacAddress"] = mac
