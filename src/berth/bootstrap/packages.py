"""A suite's packages, as its Packages file lists them, and the order of their versions.

Spec: Debian Policy 5.6.12 (versions), 7.1 (relationship fields); deb822(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import quote

from berth.base.errors import DataLoss

_IN_PATHS = "/+~:@=,"
_NAME = re.compile(r"[a-z0-9][a-z0-9.+-]+")


class Package(NamedTuple):
    """One binary package. ``depends``: groups of alternatives, names only; ``url``: of its file."""

    name: str
    version: str
    priority: str
    essential: bool
    depends: tuple[tuple[str, ...], ...]
    provides: tuple[str, ...]
    url: str
    size: int
    sha256: str

    @property
    def file(self) -> str:
        return f"{self.name}_{self.version.replace(':', '%3a')}.deb"


def paragraphs(text: str) -> Iterator[dict[str, str]]:
    """The paragraphs of a control file; a field's continuation lines are joined by newlines."""
    fields: dict[str, str] = {}
    name = ""
    for line in text.split("\n"):
        if not line.strip():
            if fields:
                yield fields
            fields, name = {}, ""
        elif line[0] in " \t":
            if name:
                fields[name] += "\n" + line[1:]
        elif not line.startswith("#"):
            name, _, value = line.partition(":")
            fields[name] = value.strip()
    if fields:
        yield fields


def parse_packages(text: str, uri: str) -> Iterator[Package]:
    """Raises: DataLoss for an entry without what every package has."""
    for fields in paragraphs(text):
        try:
            yield _package(fields, uri)
        except (KeyError, ValueError) as err:
            raise DataLoss(f"the index of packages has a broken entry: {fields.get('Package', '?')}: {err}") from err


def _package(fields: dict[str, str], uri: str) -> Package:
    name = fields["Package"]
    if not _NAME.fullmatch(name) or "/" in fields["Version"] or not fields["Version"].isprintable():
        raise ValueError("no name or version of a package")
    needs = ", ".join(text for field in ("Pre-Depends", "Depends") if (text := fields.get(field)))
    return Package(
        name, fields["Version"], fields.get("Priority", "optional"), fields.get("Essential") == "yes",
        tuple(tuple(_bare(one) for one in group.split("|")) for group in needs.split(",") if group.strip()),
        tuple(_bare(one) for one in fields.get("Provides", "").split(",") if one.strip()),
        f"{uri}/{quote(fields['Filename'], _IN_PATHS)}", int(fields["Size"]), fields["SHA256"],
    )  # fmt: skip


def _bare(relation: str) -> str:
    """``libc6:any (>= 2.36)`` → libc6: within one suite the versions fit."""
    return re.split(r"[\s(:\[<]", relation.strip(), maxsplit=1)[0]


def is_newer(version: str, other: str) -> bool:
    return _key(version) > _key(other)


class _Part:
    """One stretch of a version under Debian's order: ``~`` before the end, letters before everything else."""

    def __init__(self, text: str) -> None:
        self.keys = [-1 if c == "~" else ord(c) if c.isalpha() else ord(c) + 256 for c in text] + [0]

    def __lt__(self, other: _Part) -> bool:
        return self.keys < other.keys

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Part) and self.keys == other.keys

    __hash__ = None  # type: ignore[assignment]


def _key(version: str) -> tuple[object, ...]:
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, dash, revision = rest.rpartition("-")
    if not dash:
        upstream, revision = rest, ""
    return int(epoch), _stretches(upstream), _stretches(revision)


def _stretches(text: str) -> list[tuple[_Part, int]]:
    """Text and number in turn; the end counts as ("", 0)."""
    found = re.findall(r"(\D*)(\d*)", text)
    return [(_Part(word), int(number or 0)) for word, number in found]
