"""Where a plugin is: a socket of its name, else a file that tells an address. Nothing is asked here."""

from __future__ import annotations

import json
import os
import re
import stat
from typing import NamedTuple

from berth.base.errors import InvalidArgument

SOCKETS = "/run/docker/plugins"
SPECS = ("/etc/docker/plugins", "/usr/lib/docker/plugins")
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*(:[a-zA-Z0-9_.-]+)?")


class Tls(NamedTuple):
    """``TLSConfig`` of a .json file; "" where it says nothing."""

    insecure: bool
    ca_file: str
    cert_file: str
    key_file: str


class Place(NamedTuple):
    """``address``: unix:///path, tcp://host:port, http(s)://host:port."""

    name: str
    address: str
    tls: Tls | None = None


class Folders(NamedTuple):
    """Where is looked."""

    sockets: str = SOCKETS
    specs: tuple[str, ...] = SPECS


def find_place(name: str, folders: Folders = Folders()) -> Place | None:
    """Sockets first, then .spec before .json. Raises: InvalidArgument (a file that says nothing of use)."""
    if not _NAME.fullmatch(name):
        return None
    name = name.removesuffix(":latest")
    for path in (f"{folders.sockets}/{name}.sock", f"{folders.sockets}/{name}/{name}.sock"):
        if _is_socket(path):
            return Place(name, f"unix://{path}")
    for folder in folders.specs:
        for path in (f"{folder}/{name}", f"{folder}/{name}/{name}"):
            for kind, read in ((".spec", _read_spec), (".json", _read_json)):
                if os.path.isfile(path + kind):
                    return read(name, path + kind)
    return None


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def _read_spec(name: str, path: str) -> Place:
    return Place(name, _checked(_text(path).strip(), path))


def _read_json(name: str, path: str) -> Place:
    try:
        found = json.loads(_text(path))
        address, tls = str(found["Addr"]), found.get("TLSConfig")
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        raise InvalidArgument(f"plugin {name}: {path} is no plugin's description: {err!r}") from None
    if tls is not None:
        tls = Tls(
            bool(tls.get("InsecureSkipVerify")), *(str(tls.get(k) or "") for k in ("CAFile", "CertFile", "KeyFile"))
        )
    return Place(str(found.get("Name") or name), _checked(address, path), tls)


def _text(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read(1 << 16)


def _checked(address: str, path: str) -> str:
    if not re.fullmatch(r"unix:///.+|(tcp|https?)://.+", address):
        raise InvalidArgument(f"{path}: {address!r} is no plugin's address: write unix:///path or tcp://host:port")
    return address
