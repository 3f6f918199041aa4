"""Manifest lists that are being made, where docker keeps them, so that either client goes on with the other's.

    <config folder>/manifests/<list>/<manifest>     one JSON object (manifest_documents.py)

A file is named by a reference in full, ``/`` as ``_`` and ``:`` as ``-``.
"""

from __future__ import annotations

import os

from berth.base.errors import InvalidArgument, NotFound
from berth.cli import config
from berth.client import quick_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from berth.spec.reference import Reference

    Entry = dict[str, Any]


def entries(list_: Reference) -> list[Entry]:
    """What a list is made of so far, by file name. Raises: NotFound."""
    folder = _folder(list_)
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        raise _no(list_) from None
    return [_read(os.path.join(folder, name)) for name in names if not name.endswith(".tmp")]


def get(list_: Reference, manifest: Reference) -> Entry:
    """Raises: NotFound."""
    try:
        return _read(os.path.join(_folder(list_), _file(manifest)))
    except FileNotFoundError:
        raise _no(manifest) from None


def save(list_: Reference, manifest: Reference, entry: Entry) -> None:
    """Raises: OSError."""
    import json

    folder = _folder(list_)
    os.makedirs(folder, exist_ok=True)
    partial = os.path.join(folder, f".{os.getpid()}.tmp")
    with open(partial, "w", encoding="utf-8") as file:
        json.dump(entry, file, separators=(",", ":"), ensure_ascii=False)
    os.replace(partial, os.path.join(folder, _file(manifest)))


def remove(list_: Reference) -> None:
    """Raises: NotFound, OSError."""
    import shutil

    folder = _folder(list_)
    if not os.path.isdir(folder):
        raise _no(list_)
    shutil.rmtree(folder)


def _folder(list_: Reference) -> str:
    return os.path.join(config.directory(), "manifests", _file(list_))


def _file(ref: Reference) -> str:
    return str(ref).replace(":", "-").replace("/", "_")


def _read(path: str) -> Entry:
    with open(path, encoding="utf-8") as file:
        try:
            entry: Entry = quick_json.loads(file.read())
            entry["Ref"], entry["Descriptor"]["digest"]
        except (ValueError, KeyError, TypeError) as err:
            raise InvalidArgument(f"{path} is no manifest of a list") from err
    return entry


def _no(ref: Reference) -> NotFound:
    return NotFound(f"No such manifest: {ref}")
