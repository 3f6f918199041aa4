"""Platforms: ``os/architecture[/variant]``, how they are written, normalised and matched.

Spec: OCI image-spec, image-index.md, platform; the normalisation that Docker and containerd apply to what people write.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from berth.base.errors import InvalidArgument

_PART = re.compile(r"[A-Za-z0-9_.-]+")
_ARCHITECTURES = {
    "i386": ("386", ""), "i486": ("386", ""), "i586": ("386", ""), "i686": ("386", ""),
    "x86_64": ("amd64", ""), "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"), "armel": ("arm", "v6"), "armv6l": ("arm", "v6"), "armv7l": ("arm", "v7"),
    "armv8l": ("arm", "v8"),
}  # fmt: skip
_KNOWN_ARCHITECTURES = frozenset(
    "386 amd64 arm arm64 loong64 mips mips64 mips64le mipsle ppc64 ppc64le riscv64 s390x wasm".split()
)
_OS_WORDS = frozenset("linux windows darwin freebsd wasip1 macos".split())


class Platform(NamedTuple):
    """A normalised platform; ``variant`` is "" where it says nothing beyond the architecture."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in self if part)


def normalise(os_name: str, architecture: str, variant: str = "") -> Platform:
    """One spelling for each platform: ``x86_64`` is amd64, ``arm64/v8`` is arm64, ``arm`` is arm/v7."""
    os_name = os_name.lower()
    architecture, variant = architecture.lower(), variant.lower()
    if variant and not variant.startswith("v") and variant.isdigit():
        variant = f"v{variant}"
    if architecture in _ARCHITECTURES:
        architecture, implied = _ARCHITECTURES[architecture]
        variant = variant or implied
    if (architecture, variant) in (("amd64", "v1"), ("arm64", "v8")):
        variant = ""
    if architecture == "arm" and not variant:
        variant = "v7"
    return Platform("darwin" if os_name == "macos" else os_name, architecture, variant)


def parse_platform(text: str, host: Platform | None = None) -> Platform:
    """``linux/amd64``, ``arm64``, ``linux``: what is left out comes from the host. Raises: InvalidArgument."""
    parts = text.split("/")
    if not text or len(parts) > 3 or any(_PART.fullmatch(part) is None for part in parts):
        raise InvalidArgument(
            f'"{text}" is an invalid OS component of "{text}": OSAndVersion specifier component must match'
        )
    host = host or host_platform()
    if len(parts) > 1:
        return normalise(parts[0], parts[1], parts[2] if len(parts) == 3 else "")
    word = parts[0].lower()
    if word in _OS_WORDS:
        return normalise(word, host.architecture, host.variant)
    if word in _ARCHITECTURES or word in _KNOWN_ARCHITECTURES:
        return normalise(host.os, word)
    raise InvalidArgument(f'"{text}": unknown operating system or architecture')


def host_platform() -> Platform:
    """The machine that this runs on."""
    return normalise("linux", os.uname().machine)


def acceptable(wanted: Platform) -> list[Platform]:
    """What runs where ``wanted`` is asked for, best first: an arm/v7 machine takes v6 and v5, an amd64 one its older levels."""
    os_name, architecture, variant = wanted
    if architecture == "arm":
        newest = int(variant[1:]) if variant[1:].isdecimal() and len(variant) < 10 else 7
        return [Platform(os_name, "arm", f"v{level}") for level in range(newest, 4, -1)]
    if architecture == "amd64" and variant[1:].isdecimal() and len(variant) < 10:
        levels = [f"v{level}" for level in range(int(variant[1:]), 1, -1)]
        return [Platform(os_name, "amd64", level) for level in [*levels, ""]]
    if architecture == "arm64" and variant:
        return [wanted, Platform(os_name, "arm64", "")]
    return [wanted]


def matches(wanted: Platform, offered: Platform) -> bool:
    """True when an image for ``offered`` satisfies ``wanted``."""
    return offered in acceptable(wanted)
