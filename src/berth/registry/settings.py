"""What the daemon's settings say about registries.

    "registry-mirrors": ["https://mirror.example"]              Docker's own key: mirrors of Docker Hub
    "insecure-registries": ["registry.lan:5000", "10.0.0.0/8"]
    "registries": {
      "ghcr.io": {"mirrors": ["https://mirror.example/ghcr"]},
      "quay.io": {"mirrors": [{"url": "http://10.0.0.7:5000", "capabilities": ["pull"]}], "insecure": false},
      "registry.corp.example": {"realms": ["login.other.example"]},
      "*": {"mirrors": ["https://everything.example"]}
    }

``capabilities``: ``resolve`` (may say which digest a tag is) and ``pull``; a mirror that only pulls cannot serve a stale tag.
``realms``: token servers outside the registry's own domain that may see its credentials.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from berth.base.errors import InvalidArgument

CERTS_DIRS = ("/etc/berth/certs.d", "/etc/docker/certs.d")
_KEYS = frozenset({"mirrors", "insecure", "realms"})
_CAPABILITIES = frozenset({"pull", "resolve"})


class Mirror(NamedTuple):
    """``resolves``: it may say which digest a tag means."""

    url: str
    resolves: bool = True


class Registry(NamedTuple):
    """One entry of ``registries``."""

    mirrors: tuple[Mirror, ...] = ()
    insecure: bool = False
    realms: tuple[str, ...] = ()


class RegistrySettings(NamedTuple):
    """``certs_dirs``: folders with ``<host[:port]>/{ca.crt, *.cert, *.key}``; the first that has the host's wins."""

    hub_mirrors: tuple[str, ...] = ()
    insecure: tuple[str, ...] = ()
    registries: Mapping[str, Registry] = {}
    certs_dirs: tuple[str, ...] = CERTS_DIRS


def parse_registries(raw: Mapping[str, Any]) -> dict[str, Registry]:
    """The ``registries`` setting; a bare string is one mirror. Raises: InvalidArgument naming the entry."""
    return {domain: _registry(domain, entry) for domain, entry in raw.items()}


def _registry(domain: str, raw: object) -> Registry:
    if isinstance(raw, str):
        raw = {"mirrors": [raw]}
    if not isinstance(raw, dict) or set(raw) - _KEYS:
        raise _wrong(domain, f"it must be an object of {', '.join(sorted(_KEYS))}")
    mirrors, realms, insecure = raw.get("mirrors", []), raw.get("realms", []), raw.get("insecure", False)
    if not isinstance(mirrors, list) or not isinstance(realms, list) or not isinstance(insecure, bool):
        raise _wrong(domain, "mirrors and realms are lists, insecure is true or false")
    if not all(isinstance(realm, str) for realm in realms):
        raise _wrong(domain, "realms are host names")
    return Registry(tuple(_mirror(domain, mirror) for mirror in mirrors), insecure, tuple(realms))


def _mirror(domain: str, raw: object) -> Mirror:
    if isinstance(raw, str):
        raw = {"url": raw}
    if not isinstance(raw, dict) or not isinstance(raw.get("url"), str) or set(raw) - {"url", "capabilities"}:
        raise _wrong(domain, "a mirror is a URL, or an object of url and capabilities")
    capabilities = raw.get("capabilities", ["pull", "resolve"])
    if not isinstance(capabilities, list) or set(map(str, capabilities)) - _CAPABILITIES or "pull" not in capabilities:
        raise _wrong(domain, 'capabilities are "pull", or "pull" and "resolve"')
    return Mirror(parse_mirror(raw["url"]), "resolve" in capabilities)


def parse_mirror(text: str) -> str:
    """A mirror's base URL without a slash at the end. Raises: InvalidArgument, with Docker's sentences."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https"):
        raise InvalidArgument(
            f"invalid mirror: no scheme specified for \"{text}\": must use either 'https://' or 'http://'"
        )
    if not parts.hostname or parts.query or parts.fragment or parts.username:
        raise InvalidArgument(f'invalid mirror: "{text}" is not a valid URI')
    return text.rstrip("/")


def _wrong(domain: str, why: str) -> InvalidArgument:
    return InvalidArgument(f"invalid registries setting for {domain!r}: {why}")
