"""A tar from a container → files of this machine.

The archive is the container's word and not believed: every name is opened part by part below the target, no link is ever
followed on the way, so that nothing is written beside it (CVE-2018-15664, CVE-2019-14271 and their kin).
"""

from __future__ import annotations

import os
import stat
import tarfile

from berth.base.errors import Conflict, Forbidden, InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Rename = Callable[[str], str]

_STEP = 1 << 18


class Reader:
    """The chunks of an answer as a file to read from."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def read(self, size: int) -> bytes:
        parts, have = [self._rest], len(self._rest)
        while have < size:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            parts.append(chunk)
            have += len(chunk)
        whole = b"".join(parts)
        self._rest = whole[size:]
        return whole[:size]


def unpack(source: Reader, folder: str, rename: Rename, *, owners: bool) -> None:
    """Write every entry below ``folder``, under the name ``rename`` gives it ("" leaves it out).

    Raises: Conflict (a directory onto a file), Forbidden (a name that leaves the folder), InvalidArgument.
    """
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    directories: list[tuple[str, tarfile.TarInfo]] = []
    try:
        with tarfile.open(fileobj=source, mode="r|", errorlevel=1) as archive:  # type: ignore[call-overload]
            for entry in archive:
                name = rename(entry.name)
                if name.strip("/.") or name in (".", "./"):
                    _write(root, name, entry, archive, rename, owners)
                if entry.isdir():
                    directories.append((name, entry))
        for name, entry in reversed(
            directories
        ):  # last: what is written into one changes its time, and may need its mode
            _finish_directory(root, name, entry, owners)
    except tarfile.TarError as err:
        raise InvalidArgument(f"what the engine sent is no tar: {err}") from err
    except OSError as err:
        raise InvalidArgument(f"{err.filename or folder}: {(err.strerror or str(err)).lower()}") from err
    finally:
        os.close(root)


def _parts(name: str) -> list[str]:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise Forbidden(f"the archive has an entry outside of what was asked for: {name}")
    return parts


def _parent(root: int, parts: list[str]) -> int:
    """The open directory that holds the last part; missing ones on the way are made."""
    here = os.dup(root)
    for part in parts[:-1]:
        try:
            below = _open_directory(part, here)
        except FileNotFoundError:
            os.mkdir(part, 0o755, dir_fd=here)
            below = _open_directory(part, here)
        except NotADirectoryError:
            os.close(here)
            raise Forbidden(f"the archive has an entry behind {part!r}, which is no directory here") from None
        os.close(here)
        here = below
    return here


def _open_directory(name: str, parent: int) -> int:
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)


def _write(
    root: int, name: str, entry: tarfile.TarInfo, archive: tarfile.TarFile, rename: Rename, owners: bool
) -> None:
    parts = _parts(name)
    if not parts:
        return
    parent = _parent(root, parts)
    try:
        _make_room(parts[-1], parent, entry, name)
        if entry.isdir():
            try:
                os.mkdir(parts[-1], 0o700, dir_fd=parent)
            except FileExistsError:
                pass
            return
        if entry.islnk():
            _link(root, _parts(rename(entry.linkname)), parts[-1], parent)
            return
        _create(parts[-1], parent, entry, archive)
        _finish(parts[-1], parent, entry, owners)
    finally:
        os.close(parent)


def _make_room(name: str, parent: int, entry: tarfile.TarInfo, shown: str) -> None:
    try:
        here = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(here.st_mode) != entry.isdir():
        kinds = ("directory", "non-directory") if stat.S_ISDIR(here.st_mode) else ("non-directory", "directory")
        raise Conflict(f'cannot overwrite {kinds[0]} "{shown}" with {kinds[1]}')
    if not entry.isdir():
        os.unlink(name, dir_fd=parent)


def _link(root: int, target: list[str], name: str, parent: int) -> None:
    home = _parent(root, target)
    try:
        os.link(target[-1], name, src_dir_fd=home, dst_dir_fd=parent, follow_symlinks=False)
    finally:
        os.close(home)


def _create(name: str, parent: int, entry: tarfile.TarInfo, archive: tarfile.TarFile) -> None:
    if entry.issym():
        os.symlink(entry.linkname, name, dir_fd=parent)
    elif entry.isfifo():
        os.mkfifo(name, 0o600, dir_fd=parent)
    elif entry.isdev():
        kind = stat.S_IFCHR if entry.ischr() else stat.S_IFBLK
        os.mknod(name, kind | 0o600, os.makedev(entry.devmajor, entry.devminor), dir_fd=parent)
    else:
        content = archive.extractfile(entry)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with open(os.open(name, flags, 0o600, dir_fd=parent), "wb") as file:
            while content is not None and (chunk := content.read(_STEP)):
                file.write(chunk)


def _finish(name: str, parent: int, entry: tarfile.TarInfo, owners: bool) -> None:
    """Owner, mode, times, in an order that keeps the set-id bits."""
    if owners:
        os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
    if not entry.issym():
        os.chmod(name, entry.mode & 0o7777, dir_fd=parent)
    at_ns = int(entry.mtime * 1_000_000_000)
    os.utime(name, ns=(at_ns, at_ns), dir_fd=parent, follow_symlinks=False)


def _finish_directory(root: int, name: str, entry: tarfile.TarInfo, owners: bool) -> None:
    parts = _parts(name)
    if not parts:
        return
    parent = _parent(root, parts)
    try:
        _finish(parts[-1], parent, entry, owners)
    finally:
        os.close(parent)
