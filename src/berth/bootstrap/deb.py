"""A Debian package's data, as tar members.

Spec: deb(5): an ar archive of debian-binary, control.tar and data.tar, the latter plain or by gzip, xz or zstd.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import lzma
import tarfile
from collections.abc import Iterator
from typing import IO, cast

from berth.base.errors import DataLoss

_MAGIC = b"!<arch>\n"
_HEAD = 60


class _Slice(io.RawIOBase):
    """A part of a file, to read from."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._left = size

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        piece = self._file.read(wanted)
        self._left -= len(piece)
        return piece


@contextlib.contextmanager
def open_data(path: str) -> Iterator[tarfile.TarFile]:
    """The package's files, to be read in order. Raises: DataLoss for what is no package."""
    with open(path, "rb") as file:
        name, part = _find_data(file, path)
        try:
            with tarfile.open(fileobj=_unpacked(name, part), mode="r|") as data:
                yield data
        except (tarfile.TarError, EOFError, ValueError) as err:
            raise DataLoss(f"{path}: {err}") from err


def _find_data(file: IO[bytes], path: str) -> tuple[str, _Slice]:
    if file.read(len(_MAGIC)) != _MAGIC:
        raise DataLoss(f"{path} is no Debian package")
    while head := file.read(_HEAD):
        name, size = head[:16].decode("ascii", "replace").strip().rstrip("/"), head[48:58].strip()
        if len(head) < _HEAD or not size.isdigit():
            break
        if name.startswith("data.tar"):
            return name, _Slice(file, int(size))
        file.seek(int(size) + int(size) % 2, 1)
    raise DataLoss(f"{path} has no data.tar")


def _unpacked(name: str, part: _Slice) -> IO[bytes]:
    source = cast("IO[bytes]", part)
    if name == "data.tar.xz":
        return lzma.open(source)
    if name == "data.tar.gz":
        return cast("IO[bytes]", gzip.GzipFile(fileobj=source))
    if name == "data.tar.zst":
        import zstandard

        return cast("IO[bytes]", zstandard.ZstdDecompressor().stream_reader(source))
    return source
