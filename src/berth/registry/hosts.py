"""Which servers a name means, and how they may be spoken to.

    docker.io          the mirrors in their order, then https://registry-1.docker.io
    any other          its mirrors of ``registries``, else those of ``registries["*"]``, then the registry itself
    loopback hosts     https, certificate unchecked, then http: nobody is in between
    insecure ones      the same, because a setting says so
    all others         https, certificate checked

A mirror's URL is its root (``https://host[/prefix]``, ``/v2`` comes after it); one whose path has ``/v2`` in it already is
taken as it is (``https://harbor.example/v2/proxy-quay``: a proxy project). Mirrors of ``registries`` are told by ``?ns=``
which registry is meant. A mirror is never sent credentials, and never written to.
"""

from __future__ import annotations

import ipaddress
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from berth.registry.settings import Mirror, RegistrySettings, parse_mirror
from berth.spec.distribution import HUB_DOMAIN, HUB_HOST


class Endpoint(NamedTuple):
    """``root`` is the API's base URL, ``https://host[:port][/prefix]/v2``.

    ``resolves``: may say what a tag means (a mirror that only pulls serves digests alone). ``namespace``: the registry that
    a mirror is asked for. ``realms``: token servers elsewhere that may see the registry's credentials.
    """

    root: str
    is_mirror: bool = False
    resolves: bool = True
    namespace: str = ""
    realms: tuple[str, ...] = ()

    @property
    def host(self) -> str:
        """The host's name without port."""
        return urlsplit(self.root).hostname or ""

    def url(self, path: str, **query: str) -> str:
        """``path`` below ``/v2/``, with a query."""
        fields = {**query, **({"ns": self.namespace} if self.namespace else {})}
        tail = "&".join(f"{key}={quote(value, safe=':')}" for key, value in fields.items())
        return f"{self.root}/{path}" + (f"?{tail}" if tail else "")


def endpoints(domain: str, settings: RegistrySettings = RegistrySettings()) -> list[Endpoint]:
    """Where to read names of ``domain``, in order: mirrors first."""
    return [*_mirrors(domain, settings), *origins(domain, settings)]


def origins(domain: str, settings: RegistrySettings = RegistrySettings()) -> list[Endpoint]:
    """The registry itself: where to write, and where credentials belong."""
    own = settings.registries.get(domain)
    realms = own.realms if own is not None else ()
    if domain == HUB_DOMAIN:
        return [Endpoint(f"https://{HUB_HOST}/v2", realms=realms)]
    if is_insecure(domain, settings):
        return [Endpoint(f"https://{domain}/v2", realms=realms), Endpoint(f"http://{domain}/v2", realms=realms)]
    return [Endpoint(f"https://{domain}/v2", realms=realms)]


def _mirrors(domain: str, settings: RegistrySettings) -> list[Endpoint]:
    found = [_mirror_endpoint(Mirror(url), "") for url in settings.hub_mirrors if domain == HUB_DOMAIN]
    own = settings.registries.get(domain) or settings.registries.get("*")
    return found + [_mirror_endpoint(mirror, domain) for mirror in (own.mirrors if own is not None else ())]


def _mirror_endpoint(mirror: Mirror, namespace: str) -> Endpoint:
    url = parse_mirror(mirror.url)
    root = url if "v2" in urlsplit(url).path.split("/") else f"{url}/v2"
    return Endpoint(root, True, mirror.resolves, namespace)


def is_loopback(host: str) -> bool:
    """True for localhost, 127.0.0.0/8 and ::1 (a name is never looked up for this)."""
    host = host.strip("[]")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_insecure(netloc: str, settings: RegistrySettings) -> bool:
    """True for a server whose certificate is not looked at, and that may be spoken to without TLS."""
    host = urlsplit(f"//{netloc}").hostname or ""
    own = settings.registries.get(netloc)
    if is_loopback(host) or (own is not None and own.insecure):
        return True
    return any(_covers(entry, netloc, host) for entry in settings.insecure)


def _covers(entry: str, netloc: str, host: str) -> bool:
    entry = entry.removeprefix("https://").removeprefix("http://").rstrip("/")
    if "/" in entry:
        try:
            return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    return entry.lower() in (netloc.lower(), host.lower())
