"""The first tree: every package unpacked, none installed, and the packages themselves beside it.

/bin, /lib and /sbin are links into /usr from the start (merged /usr), so members below them are renamed on their way in. Users
and groups are those of base-passwd's own master files, since packages name users before base-passwd is installed.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterable

from berth.bootstrap.deb import open_data
from berth.bootstrap.packages import Package

PACKAGES = "var/cache/bootstrap"
_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "libo32")
_USERS = {"usr/share/base-passwd/passwd.master": "etc/passwd", "usr/share/base-passwd/group.master": "etc/group"}
_FOLDERS = {"tmp": 0o1777, "proc": 0o555, "sys": 0o555, "dev": 0o755, PACKAGES: 0o755}


class Tree:
    """``skipped``: beginnings of paths that a slim image leaves out; ``kept``: endings of those that stay."""

    def __init__(self, tar: tarfile.TarFile, skipped: tuple[str, ...] = (), kept: tuple[str, ...] = ()) -> None:
        self._tar = tar
        self._skipped, self._kept = skipped, kept
        self._folders: set[str] = set()

    def begin(self) -> None:
        for name in _MERGED[:5]:
            self._folder(f"usr/{name}")
            link = tarfile.TarInfo(name)
            link.type, link.linkname, link.mode = tarfile.SYMTYPE, f"usr/{name}", 0o777
            self._tar.addfile(link)
        for name, mode in _FOLDERS.items():
            self._folder(name, mode)

    def _folder(self, name: str, mode: int = 0o755) -> None:
        folder = tarfile.TarInfo(name)
        folder.type, folder.mode = tarfile.DIRTYPE, mode
        self._folders.add(name)
        self._tar.addfile(folder)

    def unpack(self, path: str) -> None:
        """Add a package's files."""
        with open_data(path) as data:
            for member in data:
                member.name = _merged(member.name)
                if not member.name or self._is_out(member.name):
                    continue
                if member.isdir():
                    if member.name in self._folders or member.name in _MERGED:
                        continue
                    self._folders.add(member.name)
                if member.islnk():
                    member.linkname = _merged(member.linkname)
                content = data.extractfile(member) if member.isreg() else None
                if content is not None and member.name in _USERS:
                    blob = content.read()
                    self.write(_USERS[member.name], blob)
                    content = io.BytesIO(blob)
                self._tar.addfile(member, content)

    def _is_out(self, name: str) -> bool:
        return name.startswith(self._skipped) and not name.endswith(self._kept) if self._skipped else False

    def write(self, name: str, content: bytes, mode: int = 0o644) -> None:
        """Add a file of our own."""
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(content), mode
        self._tar.addfile(member, io.BytesIO(content))

    def carry(self, folder: str, packages: Iterable[Package]) -> None:
        """Add the packages' own files, for dpkg to install."""
        for package in packages:
            member = tarfile.TarInfo(f"{PACKAGES}/{package.file}")
            path = os.path.join(folder, package.file)
            member.size, member.mode = os.path.getsize(path), 0o644
            with open(path, "rb") as file:
                self._tar.addfile(member, file)


def _merged(name: str) -> str:
    """A member's path without its leading ``./``, below /usr where its first folder is merged; "" for the root."""
    path = os.path.normpath(name).lstrip("/")
    if path in (".", "..") or path.startswith("../"):
        return ""
    first, slash, _ = path.partition("/")
    return f"usr/{path}" if first in _MERGED and slash else path
