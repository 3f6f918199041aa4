"""``--network`` as run and create read it: several of them, each a name or ``name=x,alias=y,ip=...``; and the flags beside it.

The flags (``--ip``, ``--network-alias``, ...) speak of the first network, as docker's do.
"""

from __future__ import annotations

from berth.base.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from berth.cli.flags import Flags


def parse_network(text: str) -> tuple[str, dict[str, Any]]:
    """``frontend`` or ``name=frontend,alias=web,ip=172.20.0.5,...`` → name and EndpointSettings. Raises: InvalidArgument."""
    if "=" not in text:
        return text, {}
    name = ""
    settings: dict[str, Any] = {}
    ipam: dict[str, Any] = {}
    for field in text.split(","):
        key, eq, value = field.partition("=")
        key, value = key.strip().lower(), value.strip()
        if not eq or not value:
            raise InvalidArgument(f"invalid field {field}")
        if key == "name":
            name = value
        elif key == "alias":
            settings.setdefault("Aliases", []).append(value)
        elif key in ("ip", "ip6"):
            ipam["IPv4Address" if key == "ip" else "IPv6Address"] = value
        elif key == "mac-address":
            settings["MacAddress"] = value
        elif key == "link-local-ip":
            ipam.setdefault("LinkLocalIPs", []).append(value)
        elif key == "driver-opt":
            option, sep, setting = value.partition("=")
            if not sep:
                raise InvalidArgument("invalid key value pair format in driver options")
            settings.setdefault("DriverOpts", {})[option] = setting
        elif key == "gw-priority":
            settings["GwPriority"] = _whole(value)
        else:
            raise InvalidArgument(f"invalid field key {key}")
    if not name:
        raise InvalidArgument("network name/id is not specified")
    if ipam:
        settings["IPAMConfig"] = ipam
    return name, settings


def _whole(value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise InvalidArgument(f"invalid gw-priority ({value})") from None


def networks(flags: Flags) -> list[tuple[str, dict[str, Any]]]:
    """The networks that were asked for, in order; the default one when there is none. Raises: InvalidArgument."""
    found = [parse_network(text) for text in flags.list_("network") or flags.list_("net")] or [("default", {})]
    if any(not name for name, _ in found):
        raise InvalidArgument("no name set for network")
    if len({name for name, _ in found}) < len(found):
        twice = next(name for at, (name, _) in enumerate(found) if name in [n for n, _ in found[:at]])
        raise InvalidArgument(f'network "{twice}" is specified multiple times')
    return found


_BOTH = (
    (("network-alias", "net-alias"), "Aliases", "--network-alias and per-network alias"),
    (("ip",), "IPv4Address", "--ip and per-network IPv4 address"),
    (("ip6",), "IPv6Address", "--ip6 and per-network IPv6 address"),
    (("mac-address",), "MacAddress", "--mac-address and per-network MAC address"),
    (("link-local-ip",), "LinkLocalIPs", "--link-local-ip and per-network link-local IP addresses"),
)


def _check_once(flags: Flags, settings: dict[str, Any]) -> None:
    """What the first network says for itself cannot be said by a flag too. Raises: InvalidArgument."""
    given = {**settings, **(settings.get("IPAMConfig") or {})}
    for names, key, both in _BOTH:
        if key in given and any(flags.given(name) for name in names):
            raise InvalidArgument(f"conflicting options: cannot specify both {both}")


def network_mode(flags: Flags) -> str:
    """``HostConfig.NetworkMode``: the first network."""
    return networks(flags)[0][0]


def endpoints(flags: Flags) -> dict[str, Any]:
    """``NetworkingConfig.EndpointsConfig``. Raises: InvalidArgument."""
    found = networks(flags)
    first, settings = found[0]
    _check_once(flags, settings)
    ipam = dict(settings.get("IPAMConfig") or {})
    for flag, key in (("ip", "IPv4Address"), ("ip6", "IPv6Address")):
        if flags.text(flag):
            ipam[key] = flags.text(flag)
    if flags.list_("link-local-ip"):
        ipam["LinkLocalIPs"] = flags.list_("link-local-ip")
    if ipam:
        settings["IPAMConfig"] = ipam
    if first in ("default", "bridge", "host", "none") and (flags.list_("network-alias") or flags.list_("net-alias")):
        raise InvalidArgument("network-scoped aliases are only supported for user-defined networks")
    aliases = flags.list_("network-alias") or flags.list_("net-alias")
    if aliases:
        settings["Aliases"] = [*(settings.get("Aliases") or []), *aliases]
    if flags.text("mac-address"):
        settings["MacAddress"] = flags.text("mac-address")
    if (
        flags.list_("link")
        and first not in ("default", "bridge", "host", "none")
        and not first.startswith("container:")
    ):
        settings["Links"] = flags.list_("link")
    if len(found) == 1 and not settings:
        return {}
    return dict(found)
