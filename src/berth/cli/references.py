"""Image names as the client takes them apart; the engine has the last word on what they mean."""

from __future__ import annotations


def split_name(image: str, tag: str = "") -> tuple[str, str]:
    """Name and tag (or digest) of a reference; ``tag`` where neither was given."""
    if "@" in image:
        name, _, digest = image.partition("@")
        return name, digest
    last = image.rpartition("/")[2]
    if ":" in last:
        name, _, found = image.rpartition(":")
        return name, found
    return image, tag
