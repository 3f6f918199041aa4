"""Networks and ports of a container as words of ``run``."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Document = dict[str, Any]

_PLAIN = ("", "default", "bridge")


def networks(found: Document) -> list[str]:
    """``--network`` for each, with what was asked of it; the default one is not named."""
    mode = str(found["HostConfig"].get("NetworkMode") or "")
    if mode in ("host", "none") or mode.startswith("container:"):
        return ["--network", mode]
    endpoints = dict((found.get("NetworkSettings") or {}).get("Networks") or {})
    first = endpoints.pop(mode, None) or endpoints.pop("bridge" if mode in _PLAIN else mode, None) or {}
    mac = found["Config"].get("MacAddress") or ""
    line: list[str] = []
    settings = _settings(first)
    if mode in _PLAIN:
        line += _of_the_default(first, mac)
    else:
        settings += [f"mac-address={mac}"] if mac else []
        line += ["--network", ",".join([f"name={mode}", *settings]) if settings else mode]
    for name, endpoint in endpoints.items():
        asked = _settings(endpoint)
        line += ["--network", ",".join([f"name={name}", *asked]) if asked else name]
    return line


def _of_the_default(endpoint: Document, mac: str) -> list[str]:
    """The default network takes flags, not fields."""
    ipam, line = endpoint.get("IPAMConfig") or {}, list[str]()
    for key, name in (("IPv4Address", "ip"), ("IPv6Address", "ip6")):
        line += [f"--{name}", ipam[key]] if ipam.get(key) else []
    line += [word for address in ipam.get("LinkLocalIPs") or () for word in ("--link-local-ip", address)]
    return line + (["--mac-address", mac] if mac else [])


def _settings(endpoint: Document) -> list[str]:
    ipam, fields = endpoint.get("IPAMConfig") or {}, list[str]()
    for key, name in (("IPv4Address", "ip"), ("IPv6Address", "ip6")):
        fields += [f"{name}={ipam[key]}"] if ipam.get(key) else []
    fields += [f"link-local-ip={address}" for address in ipam.get("LinkLocalIPs") or ()]
    fields += [f"alias={alias}" for alias in endpoint.get("Aliases") or ()]
    fields += [f"driver-opt={key}={value}" for key, value in (endpoint.get("DriverOpts") or {}).items()]
    return fields + ([f"gw-priority={endpoint['GwPriority']}"] if endpoint.get("GwPriority") else [])


def ports(config: Document, host: Document, given: Document) -> list[str]:
    """``--publish`` for each binding, ``--expose`` for what is exposed beyond these and the image's own."""
    line: list[str] = []
    bindings = host.get("PortBindings") or {}
    for key, places in bindings.items():
        for place in places or [{}]:
            line += ["--publish", _publish(key, place)]
    for key in config.get("ExposedPorts") or ():
        if key not in bindings and key not in (given.get("ExposedPorts") or ()):
            line += ["--expose", key]
    return line


def _publish(key: str, place: Document) -> str:
    port, _, proto = key.partition("/")
    address, outside = place.get("HostIp") or "", place.get("HostPort") or ""
    shown = f"[{address}]" if ":" in address else address
    text = f"{shown}:{outside}:{port}" if shown else f"{outside}:{port}" if outside else port
    text += f"/{proto}" if proto not in ("", "tcp") else ""
    return f"{text},from={place['From']}" if place.get("From") else text
