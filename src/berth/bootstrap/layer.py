"""A container's filesystem → one layer. The same packages give the same bytes.

Members are sorted, times later than the image's date become that date, a file with several names is stored under the first of
them; owners are numbers. What a machine writes for itself is left out: mount targets, logs, caches, ids, backups.

Spec: OCI image-spec layer.md; reproducible-builds.org, SOURCE_DATE_EPOCH.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Iterator
from typing import IO

_OUT = re.compile(
    r"""
      \.dockerenv | (dev|proc|sys|run|tmp)/.+
    | etc/(hostname|hosts|resolv\.conf|mtab|machine-id|\.pwd\.lock|(passwd|group|shadow|gshadow|subuid|subgid)-)
    | var/lib/dbus/machine-id | var/lib/systemd/random-seed | var/lib/dpkg/(.+-old|lock|lock-frontend|triggers/Lock)
    | var/lib/dpkg/available | var/cache/ldconfig/.+ | var/cache/debconf/.+-old | var/cache/bootstrap(/.*)?
    | var/cache/apt/(.+/.+|.+\.bin) | var/lib/apt/lists/.+ | root/\.(wget-hsts|bash_history)
    """,
    re.VERBOSE,
)
_LOGS = "var/log/"
_EMPTY_FOLDERS = ("var/cache/apt/archives/partial", "var/lib/apt/lists/partial")
_CHUNK = 1 << 20


def normalise(source: IO[bytes], target: IO[bytes], date_s: int, began_s: int) -> str:
    """Write the layer; returns its diff id.

    ``began_s``: when the container was started; what is newer was made by it, and gets the image's date.
    """
    with tarfile.open(fileobj=source, mode="r:") as tar:
        members = {_path(member): member for member in tar if _is_kept(member)}
        firsts, others = _hard_links(members)
        hashing = _Hashing(target)
        with tarfile.open(fileobj=hashing, mode="w", format=tarfile.PAX_FORMAT) as out:  # type: ignore[call-overload]
            for path in sorted(members):
                first = others.get(path, path)
                member = members[firsts.get(first, first)]
                content = tar.extractfile(member) if member.isreg() and path not in others else None
                clean = _clean(member, path, date_s, began_s)
                if path in others:
                    clean.type, clean.linkname, clean.size = tarfile.LNKTYPE, others[path], 0
                out.addfile(clean, content)
        return hashing.digest()


class _Hashing:
    """A file that is hashed while it is written."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._seen = hashlib.sha256()
        self._at = 0

    def write(self, piece: bytes) -> int:
        self._seen.update(piece)
        self._at += len(piece)
        return self._out.write(piece)

    def tell(self) -> int:
        return self._at

    def digest(self) -> str:
        return "sha256:" + self._seen.hexdigest()


def _path(member: tarfile.TarInfo) -> str:
    return member.name.removeprefix("./").strip("/")


def _is_kept(member: tarfile.TarInfo) -> bool:
    path = _path(member)
    if path in _EMPTY_FOLDERS:
        return True
    if path in ("", ".") or _OUT.fullmatch(path):
        return False
    return member.isdir() or not path.startswith(_LOGS)


def _hard_links(members: dict[str, tarfile.TarInfo]) -> tuple[dict[str, str], dict[str, str]]:
    """(first name of a file → the name that has its content, each later name → the first)."""
    names: dict[str, list[str]] = {}
    for path, member in members.items():
        if member.islnk():
            names.setdefault(member.linkname.removeprefix("./").strip("/"), []).append(path)
    firsts, others = {}, {}
    for holder, links in names.items():
        first, *rest = sorted([holder, *links])
        firsts[first] = holder
        others.update(dict.fromkeys(rest, first))
    return firsts, others


def _clean(member: tarfile.TarInfo, path: str, date_s: int, began_s: int) -> tarfile.TarInfo:
    clean = tarfile.TarInfo(path)
    clean.type, clean.mode, clean.size = member.type, member.mode, member.size if member.isreg() else 0
    clean.uid, clean.gid, clean.linkname = member.uid, member.gid, member.linkname
    clean.devmajor, clean.devminor = member.devmajor, member.devminor
    modified_s = int(member.mtime)
    clean.mtime = date_s if modified_s > date_s or modified_s >= began_s else modified_s
    clean.pax_headers = dict(_xattrs(member))
    return clean


def _xattrs(member: tarfile.TarInfo) -> Iterator[tuple[str, str]]:
    for key, value in sorted(member.pax_headers.items()):
        if key.startswith("SCHILY.xattr.") and not key.startswith("SCHILY.xattr.security.selinux"):
            yield key, value
