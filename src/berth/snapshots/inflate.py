"""Compressed streams: recognised by their first bytes, inflated and hashed in a thread of their own, bounded.

Inflating is the largest part of unpacking that runs without the interpreter lock, so it gets the second core. The digest
of what comes out is the layer's diff id.
"""

from __future__ import annotations

import hashlib
import queue
import threading
import zlib
from collections.abc import Callable
from typing import Any, Protocol

from berth.base.errors import BerthError, InvalidArgument, TooLarge

CHUNK = 1 << 18
_QUEUE = 8
_ZSTD_WINDOW = 1 << 27
"""What ``zstd --long=27`` makes; a frame that wants more memory is refused."""
_XZ_MEMORY = 256 << 20

_MAGIC = (
    (b"\x1f\x8b\x08", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"BZh", "bzip2"),
)


class Readable(Protocol):
    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes; b"" at the end."""


class _Decompressor(Protocol):
    """The interface of ``bz2.BZ2Decompressor``, which lzma's and isal's have as well."""

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes: ...

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...


def compression_of(first: bytes) -> str:
    """``gzip``, ``zstd``, ``xz``, ``bzip2`` or ``none``, by the stream's first bytes (6 are enough)."""
    for magic, name in _MAGIC:
        if first.startswith(magic):
            return name
    # A zstd stream may begin with a skippable frame (zstd:chunked does not, others do).
    if len(first) >= 4 and first[1:4] == b"\x2a\x4d\x18" and 0x50 <= first[0] <= 0x5F:
        return "zstd"
    return "none"


def open_stream(raw: Readable) -> Readable:
    """``raw`` inflated, whatever it is compressed with (nothing included).

    Raises on read: InvalidArgument for a stream that is broken.
    """
    first = b""
    while len(first) < 6 and (more := raw.read(CHUNK)):
        first += more
    kind = compression_of(first)
    joined = _Pushed(first, raw)
    if kind == "none":
        return joined
    if kind == "zstd":
        return _zstd(joined)
    return _Inflating(joined, _FACTORIES[kind], kind)


class Inflated:
    """A stream read, inflated and hashed ahead of its reader.

    Units: ``consumed`` compressed bytes so far, ``produced`` inflated ones.
    Raises (from ``chunk``): TooLarge above ``max_bytes``, InvalidArgument for a broken stream, OSError.
    """

    def __init__(self, raw: Readable, max_bytes: int) -> None:
        self._raw = raw
        self._max_bytes = max_bytes
        self._hash = hashlib.sha256()
        self._queue: queue.Queue[bytes | BaseException] = queue.Queue(_QUEUE)
        self._stopped = False
        self.consumed = 0
        self.produced = 0
        self._thread = threading.Thread(target=self._produce, name="inflate", daemon=True)
        self._thread.start()

    def chunk(self) -> bytes:
        """The next bytes; b"" at the end."""
        item = self._queue.get()
        if isinstance(item, BaseException):
            self._queue.put(item)
            raise item
        if not item:
            self._queue.put(b"")
        return item

    def digest(self) -> str:
        """The digest of all that came out. After: ``chunk`` returned b""."""
        return "sha256:" + self._hash.hexdigest()

    def close(self) -> None:
        """Stop the thread, wherever it is."""
        self._stopped = True
        while self._thread.is_alive():
            try:
                self._queue.get_nowait()
            except queue.Empty:
                self._thread.join(0.01)

    def read(self, size: int, /) -> bytes:
        """For the decompressors: raw bytes, counted."""
        piece = self._raw.read(size)
        self.consumed += len(piece)
        return piece

    def _produce(self) -> None:
        try:
            stream = open_stream(self)
            while not self._stopped:
                piece = stream.read(CHUNK)
                self.produced += len(piece)
                if self.produced > self._max_bytes:
                    raise TooLarge(f"layer is larger than {self._max_bytes} bytes")
                self._hash.update(piece)
                self._queue.put(piece)
                if not piece:
                    return
        except BaseException as err:  # whatever it is, the reader must see it and not wait for ever
            self._queue.put(err)


class _Pushed:
    """A stream whose first bytes were read already."""

    def __init__(self, first: bytes, raw: Readable) -> None:
        self._first = first
        self._raw = raw

    def read(self, size: int, /) -> bytes:
        if self._first:
            piece, self._first = self._first[:size], self._first[size:]
            return piece
        return self._raw.read(size)


class _Inflating:
    """Members one after the other (gzip allows that, eStargz lives by it); zero padding after the last is let pass."""

    def __init__(self, raw: Readable, factory: Callable[[], _Decompressor], kind: str) -> None:
        self._raw = raw
        self._factory = factory
        self._kind = kind
        self._member: _Decompressor | None = None
        self._members = 0
        self._pending = b""

    def read(self, size: int, /) -> bytes:
        while True:
            if self._member is None and not self._next_member():
                return b""
            member = self._member
            assert member is not None
            if member.needs_input and not self._pending:
                self._pending = self._raw.read(CHUNK)
                if not self._pending:
                    raise InvalidArgument(f"{self._kind} stream: unexpected EOF")
            try:
                piece = member.decompress(self._pending, size)
            except BerthError:
                raise
            except Exception as err:  # zlib.error, isal's, lzma's, OSError of bz2: each library has its own
                raise InvalidArgument(f"{self._kind} stream: {err}") from err
            self._pending = b""
            if member.eof:
                self._pending = member.unused_data
                self._member = None
            if piece:
                return piece

    def _next_member(self) -> bool:
        if self._members:
            self._pending = self._pending.lstrip(b"\0")
        while not self._pending:
            self._pending = self._raw.read(CHUNK)
            if not self._pending:
                return False
            if self._members:
                self._pending = self._pending.lstrip(b"\0")
        self._member = self._factory()
        self._members += 1
        return True


class _ZlibMember:
    """The stdlib's zlib with the interface of ``bz2.BZ2Decompressor``."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(31)

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data


def _gzip_member() -> _Decompressor:
    try:
        from isal import igzip_lib
    except ImportError:
        return _ZlibMember()
    member: _Decompressor = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    return member


def _xz_member() -> _Decompressor:
    import lzma

    return lzma.LZMADecompressor(memlimit=_XZ_MEMORY)


def _bzip2_member() -> _Decompressor:
    import bz2

    return bz2.BZ2Decompressor()


_FACTORIES: dict[str, Callable[[], _Decompressor]] = {"gzip": _gzip_member, "xz": _xz_member, "bzip2": _bzip2_member}


def _zstd(raw: Readable) -> Readable:
    import zstandard

    source: Any = raw  # an object with read() is enough, whatever the library's annotation says
    return _Zstd(
        zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).stream_reader(source, read_across_frames=True)
    )


class _Zstd:
    def __init__(self, reader: Readable) -> None:
        self._reader = reader

    def read(self, size: int, /) -> bytes:
        import zstandard

        try:
            return self._reader.read(size)
        except zstandard.ZstdError as err:
            raise InvalidArgument(f"zstd stream: {err}") from err
