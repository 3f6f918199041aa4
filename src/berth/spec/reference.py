"""Image references: ``busybox`` means ``docker.io/library/busybox:latest``.

    reference   = [domain "/"] path [":" tag] ["@" digest]
    domain      = host[":"port], only where it has a dot or a colon, is "localhost", or has an upper-case letter
    path        = component {"/" component}, lower case;  tag = up to 128 of [A-Za-z0-9_.-]

The names without ``docker.io/library/`` are the familiar ones: what Docker prints. Parsing happens at the doors; inside,
a ``Reference`` is always complete: domain and path never empty.
Spec: the grammar of the distribution project's reference package, and Docker's normalisation of short names.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from berth.base.errors import InvalidArgument
from berth.base.ids import is_id
from berth.spec.digest import find_error, is_digest

DEFAULT_DOMAIN = "docker.io"
_LEGACY_DOMAIN = "index.docker.io"
_OFFICIAL = "library/"
DEFAULT_TAG = "latest"
PATH_MAX = 255

_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_HOST_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = rf"(?:{_HOST_LABEL}(?:\.{_HOST_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(rf"({_DOMAIN})/({_COMPONENT}(?:/{_COMPONENT})*)(?::({_TAG}))?(?:@({_DIGEST}))?")
_TAG_ONLY = re.compile(_TAG)


class Reference(NamedTuple):
    """A complete name. ``tag`` and ``digest`` are None where they were not given."""

    domain: str
    path: str
    tag: str | None = None
    digest: str | None = None

    @property
    def name(self) -> str:
        """``docker.io/library/busybox``."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """``busybox``."""
        if self.domain != DEFAULT_DOMAIN:
            return f"{self.domain}/{self.path}"
        short = self.path.removeprefix(_OFFICIAL)
        return self.path if "/" in short else short

    @property
    def familiar(self) -> str:
        """``busybox:latest``, ``busybox@sha256:...``: as much as was given, the name short."""
        return self.familiar_name + self._suffix()

    def __str__(self) -> str:
        return self.name + self._suffix()

    def _suffix(self) -> str:
        tag = f":{self.tag}" if self.tag is not None else ""
        return f"{tag}@{self.digest}" if self.digest is not None else tag

    def with_tag(self, tag: str) -> Reference:
        return self._replace(tag=tag, digest=None)

    def with_digest(self, digest: str) -> Reference:
        """The same name by digest only."""
        return self._replace(tag=None, digest=digest)

    def tagged(self) -> Reference:
        """The name to look up: with ``latest`` when there was neither tag nor digest; a digest makes the tag idle."""
        if self.digest is not None:
            return self._replace(tag=None) if self.tag is not None else self
        return self if self.tag is not None else self._replace(tag=DEFAULT_TAG)


def parse_reference(text: str) -> Reference:
    """A name as people write it, made complete. Raises: InvalidArgument, with Docker's sentences."""
    if is_id(text):
        raise InvalidArgument(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
    domain, remainder = _split_domain(text)
    path_text = remainder.partition(":")[0]
    if path_text != path_text.lower():
        raise InvalidArgument(f"invalid reference format: repository name ({path_text}) must be lowercase")
    match = _REFERENCE.fullmatch(f"{domain}/{remainder}")
    if match is None:
        raise InvalidArgument("invalid reference format")
    _, path, tag, digest = match.groups()
    if len(path) > PATH_MAX:
        raise InvalidArgument(f"repository name must not be more than {PATH_MAX} characters")
    if digest is not None:
        reason = find_error(digest)
        if reason is not None:
            raise InvalidArgument(reason)
    return Reference(domain, path, tag, digest)


def parse_any(text: str) -> Reference | str:
    """A reference, or the digest where ``text`` is a full id (64 hex digits, or ``sha256:`` and 64).

    Raises: InvalidArgument.
    """
    if is_id(text):
        return f"sha256:{text}"
    if is_digest(text):
        return text
    return parse_reference(text)


def check_tag(tag: str) -> str:
    """``tag`` when it is one. Raises: InvalidArgument."""
    if _TAG_ONLY.fullmatch(tag) is None:
        raise InvalidArgument("invalid tag format")
    return tag


def _split_domain(text: str) -> tuple[str, str]:
    domain, slash, remainder = text.partition("/")
    if not slash:
        domain, remainder = DEFAULT_DOMAIN, text
    elif domain == _LEGACY_DOMAIN:
        domain = DEFAULT_DOMAIN
    elif domain != "localhost" and not ("." in domain or ":" in domain) and domain == domain.lower():
        domain, remainder = DEFAULT_DOMAIN, text
    if domain == DEFAULT_DOMAIN and "/" not in remainder:
        remainder = _OFFICIAL + remainder
    return domain, remainder
