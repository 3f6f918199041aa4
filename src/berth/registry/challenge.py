"""``WWW-Authenticate``: reading it, and deciding who may see credentials.

Credentials are for the registry that the user named them for. A token server (``realm``) gets them when it is the registry's
own: the same host, or under the same domain (auth.docker.io for registry-1.docker.io), and never less protected than the
registry. Others are asked anonymously.
Spec: RFC 9110 section 11; Docker's token authentication specification.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

_PARAMETER = re.compile(r'\s*([A-Za-z][A-Za-z0-9_-]*)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(?:,|$)')
_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9_-]*)(?:\s+|$)")
_MAX_HEADER = 8192
_SHARED = frozenset(
    "amazonaws.com appspot.com azurecr.io azurewebsites.net cloudapp.net cloudfront.net digitaloceanspaces.com github.io "
    "googleapis.com herokuapp.com pages.dev pkg.dev run.app windows.net workers.dev".split()
)
"""Domains whose hosts belong to different people: there only the registry's own host counts as its own."""


class Challenge(NamedTuple):
    """``scheme`` in lower case: basic or bearer."""

    scheme: str
    realm: str = ""
    service: str = ""
    scope: str = ""


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """The challenges of all ``WWW-Authenticate`` headers; what cannot be read is left out."""
    found = []
    for header in headers:
        text = header[:_MAX_HEADER]
        match = _SCHEME.match(text)
        if match is None:
            continue
        at = match.end()
        values: dict[str, str] = {}
        while parameter := _PARAMETER.match(text, at):
            quoted, plain = parameter[2], parameter[3]
            values[parameter[1].lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
            at = parameter.end()
        found.append(
            Challenge(match[1].lower(), values.get("realm", ""), values.get("service", ""), values.get("scope", ""))
        )
    return found


def may_see_credentials(registry_url: str, realm_url: str, realms: Iterable[str] = ()) -> bool:
    """True when the token server ``realm_url`` may get what the user gave for ``registry_url``.

    ``realms``: hosts outside the registry's own domain that the settings allow.
    """
    registry, realm = urlsplit(registry_url), urlsplit(realm_url)
    if realm.scheme not in ("http", "https") or not realm.hostname or not registry.hostname or realm.username:
        return False
    if realm.scheme == "http" and registry.scheme == "https":
        return False
    if realm.hostname == registry.hostname or realm.hostname in realms:
        return True
    domain = _domain(realm.hostname)
    return domain == _domain(registry.hostname) and domain not in _SHARED and not _is_address(realm.hostname)


def same_origin(one: str, other: str) -> bool:
    """True when two URLs have scheme, host and port in common."""
    return _origin(one) == _origin(other)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _domain(host: str) -> str:
    """The last two labels; three where the last two look like a country's second level (co.uk)."""
    labels = host.lower().rstrip(".").split(".")
    count = 3 if len(labels) > 2 and len(labels[-1]) == 2 and len(labels[-2]) <= 3 else 2
    return ".".join(labels[-count:])


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
