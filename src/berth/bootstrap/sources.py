"""Where a suite comes from.

``--mirror`` alone, else what the host's apt uses for that distribution (/etc/apt/sources.list and sources.list.d), else the
distribution's own archive. A suite's updates and security fixes are taken along where the archive has them.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from berth.base.errors import InvalidArgument, NotFound

_VERSIONS = {
    "debian": {"10": "buster", "11": "bullseye", "12": "bookworm", "13": "trixie", "14": "forky", "latest": "stable"},
    "ubuntu": {
        "20.04": "focal", "22.04": "jammy", "24.04": "noble", "25.10": "questing", "26.04": "resolute", "latest": "noble",
    },
}  # fmt: skip
_ARCHIVES = {"debian": "http://deb.debian.org/debian", "ubuntu": "http://archive.ubuntu.com/ubuntu"}
_PORTS = "http://ports.ubuntu.com/ubuntu-ports"
_SECURITY = "http://deb.debian.org/debian-security"
_COMPONENTS = {"debian": ("main",), "ubuntu": ("main", "universe")}
_KEYRINGS = {
    "debian": "/usr/share/keyrings/debian-archive-keyring.gpg",
    "ubuntu": "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
}
_SUITE = re.compile(r"[a-z][a-z0-9.+-]*")
_NO_FIXES = frozenset({"sid", "unstable", "experimental", "devel"})


class Wanted(NamedTuple):
    """What a name like ``debian:bookworm-slim`` asks for. ``variant``: minbase or slim."""

    distribution: str
    suite: str
    variant: str


class Source(NamedTuple):
    """One suite of one archive. ``optional``: an archive need not have it (updates, security)."""

    uri: str
    suite: str
    components: tuple[str, ...]
    optional: bool = False

    @property
    def base(self) -> str:
        return f"{self.uri}/dists/{self.suite}"


def parse_wanted(repository: str, tag: str, variant: str = "") -> Wanted:
    """Raises: NotFound for a distribution that is not known, InvalidArgument for what can be no suite."""
    distribution = repository.rpartition("/")[2]
    if distribution not in _ARCHIVES:
        raise NotFound(f'no package archive is known for "{distribution}": bootstrap makes debian and ubuntu images')
    if variant not in ("", "minbase", "slim"):
        raise InvalidArgument(f'there is no variant "{variant}": minbase and slim are there')
    suite = tag.removesuffix("-slim")
    suite = _VERSIONS[distribution].get(suite, suite)
    if not _SUITE.fullmatch(suite):
        raise InvalidArgument(f'"{suite}" is no suite of {distribution}: a name like {_example(distribution)} is')
    return Wanted(distribution, suite, variant or ("slim" if tag.endswith("-slim") else "minbase"))


def _example(distribution: str) -> str:
    return "bookworm" if distribution == "debian" else "noble"


def sources(wanted: Wanted, architecture: str, mirror: str, components: tuple[str, ...]) -> list[Source]:
    """The suite itself, then its updates and fixes."""
    parts = components or _COMPONENTS[wanted.distribution]
    archive = mirror.rstrip("/") or _archive(wanted.distribution, architecture)
    found = [Source(archive, wanted.suite, parts)]
    if wanted.suite in _NO_FIXES:
        return found
    found.append(Source(archive, f"{wanted.suite}-updates", parts, optional=True))
    if wanted.distribution == "ubuntu" or mirror:
        found.append(Source(archive, f"{wanted.suite}-security", parts, optional=True))
    else:
        found.append(
            Source(_configured("debian-security") or _SECURITY, f"{wanted.suite}-security", parts, optional=True)
        )
    return found


def public(source: Source, distribution: str, architecture: str) -> Source:
    """The source as the image's own apt names it: an archive that only this host reaches becomes the distribution's own."""
    if re.match(r"https?://(?!localhost\b|127\.|\[::1\])", source.uri):
        return source
    return source._replace(uri=_default(distribution, architecture))


def keyring(distribution: str) -> str:
    """Where the distribution's package puts the archive's keys, on the host and in the image."""
    return _KEYRINGS[distribution]


def _archive(distribution: str, architecture: str) -> str:
    return _configured(distribution) or _default(distribution, architecture)


def _default(distribution: str, architecture: str) -> str:
    ported = distribution == "ubuntu" and architecture not in ("amd64", "i386")
    return _PORTS if ported else _ARCHIVES[distribution]


def _configured(name: str, etc: str = "/etc/apt") -> str:
    """The first archive of the host's apt sources that ends in ``/name``; "" where there is none."""
    for path in _files(etc):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError:
            continue
        for line in text.splitlines():
            words = re.sub(r"\[[^]]*\]", "", line).split()
            if words and words[0] in ("deb", "URIs:"):
                for word in words[1:]:
                    if re.match(r"(https?|file):", word) and word.rstrip("/").endswith(f"/{name}"):
                        return word.rstrip("/")
    return ""


def _files(etc: str) -> list[str]:
    parts = f"{etc}/sources.list.d"
    names = sorted(os.listdir(parts)) if os.path.isdir(parts) else []
    return [f"{etc}/sources.list", *(f"{parts}/{name}" for name in names if name.endswith((".list", ".sources")))]
