"""Which proxy stands between us and a URL, by the rules of Go's programs (and so of Docker's).

``HTTP_PROXY``, ``HTTPS_PROXY`` and ``NO_PROXY``, upper case first. Loopback is never proxied. ``NO_PROXY`` is a list of ``*``,
addresses, CIDR blocks, and domains (``example.com`` and ``.example.com`` mean its subdomains too; only the first means
itself), each with an optional port.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


def find_proxy(url: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """The proxy's URL for ``url``, None for a direct connection."""
    parts = urlsplit(url)
    host, port = (parts.hostname or "").rstrip("."), parts.port or _PORTS.get(parts.scheme, 0)
    proxy = _variable(environ, f"{parts.scheme}_proxy")
    if not proxy or not host or _is_direct(host, port, _variable(environ, "no_proxy")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _variable(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name.upper()) or environ.get(name) or ""


def _is_direct(host: str, port: int, no_proxy: str) -> bool:
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    return any(_matches(entry.strip().lower(), host.lower(), port, address) for entry in no_proxy.split(","))


def _matches(entry: str, host: str, port: int, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None) -> bool:
    if not entry:
        return False
    if entry == "*":
        return True
    if "/" in entry:
        try:
            return address is not None and address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    name, wanted_port = _split_port(entry)
    if wanted_port and wanted_port != port:
        return False
    if (wanted := _address(name)) is not None:
        return wanted == address
    if name.startswith("*."):
        name = name[1:]
    return host.endswith(name) if name.startswith(".") else host == name or host.endswith(f".{name}")


def _split_port(entry: str) -> tuple[str, int]:
    if entry.startswith("["):
        name, _, tail = entry[1:].partition("]")
        return name, int(tail[1:]) if tail[1:].isdigit() else 0
    name, colon, port = entry.rpartition(":")
    return (name, int(port)) if colon and ":" not in name and port.isdigit() else (entry, 0)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None
