"""Files of this machine → a tar as a stream, without threads and without holding more than a step of it."""

from __future__ import annotations

import os
import stat
import tarfile

from berth.base.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_STEP = 1 << 18
_BLOCK = 512
_CAPABILITY = "security.capability"


def pack(path: str, name: str) -> Iterator[bytes]:
    """``path`` with everything below it, called ``name`` in the archive. Sockets are left out, links stay links.

    Raises: InvalidArgument for what cannot be read.
    """
    seen: dict[tuple[int, int], str] = {}
    try:
        yield from _entry(path, name, seen)
    except OSError as err:
        raise InvalidArgument(f"{err.filename or path}: {(err.strerror or str(err)).lower()}") from err
    yield bytes(2 * _BLOCK)


def _entry(path: str, name: str, seen: dict[tuple[int, int], str]) -> Iterator[bytes]:
    found = os.lstat(path)
    if stat.S_ISSOCK(found.st_mode):
        return
    info = _header(path, name, found, seen)
    yield info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    if info.isreg():
        yield from _content(path, info.size)
    elif info.isdir():
        with os.scandir(path) as entries:
            below = sorted(entry.name for entry in entries)
        for entry in below:
            yield from _entry(os.path.join(path, entry), f"{name.rstrip('/')}/{entry}", seen)


def _header(path: str, name: str, found: os.stat_result, seen: dict[tuple[int, int], str]) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.mode = stat.S_IMODE(found.st_mode)
    info.uid, info.gid = found.st_uid, found.st_gid
    info.mtime = found.st_mtime
    inode = (found.st_dev, found.st_ino)
    if stat.S_ISLNK(found.st_mode):
        info.type, info.linkname = tarfile.SYMTYPE, os.readlink(path)
    elif stat.S_ISDIR(found.st_mode):
        info.type = tarfile.DIRTYPE
    elif inode in seen and found.st_nlink > 1:
        info.type, info.linkname = tarfile.LNKTYPE, seen[inode]
    elif stat.S_ISREG(found.st_mode):
        info.size = found.st_size
        seen[inode] = name
        _add_capability(info, path)
    else:
        info.type = {stat.S_IFCHR: tarfile.CHRTYPE, stat.S_IFBLK: tarfile.BLKTYPE}.get(
            stat.S_IFMT(found.st_mode), tarfile.FIFOTYPE
        )
        info.devmajor, info.devminor = os.major(found.st_rdev), os.minor(found.st_rdev)
    return info


def _add_capability(info: tarfile.TarInfo, path: str) -> None:
    try:
        value = os.getxattr(path, _CAPABILITY, follow_symlinks=False)
    except OSError:
        return
    info.pax_headers = {f"SCHILY.xattr.{_CAPABILITY}": value.decode("utf-8", "surrogateescape")}


def _content(path: str, size: int) -> Iterator[bytes]:
    left = size
    with open(path, "rb", buffering=0) as file:
        while left:
            chunk = file.read(min(_STEP, left))
            if not chunk:
                raise InvalidArgument(f"{path} became shorter while it was copied")
            left -= len(chunk)
            yield chunk
    if size % _BLOCK:
        yield bytes(_BLOCK - size % _BLOCK)
