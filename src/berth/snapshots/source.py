"""``Source``: bytes in order from chunks of any size, without copying what is only passed on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from berth.base.errors import InvalidArgument


class Source:
    """``next_chunk`` returns b"" at the end. Raises: InvalidArgument (``unexpected EOF``) where bytes are missing."""

    def __init__(self, next_chunk: Callable[[], bytes]) -> None:
        self._next = next_chunk
        self._chunk = b""
        self._at = 0
        self.position = 0

    def take(self, count: int) -> bytes:
        """Exactly ``count`` bytes."""
        end = self._at + count
        if end <= len(self._chunk):
            piece = self._chunk[self._at : end]
            self._at = end
            self.position += count
            return piece
        return b"".join(self.pieces(count))

    def take_or_end(self, count: int) -> bytes | None:
        """Exactly ``count`` bytes, or None where the stream ended before the first."""
        if self._at == len(self._chunk) and not self._refill():
            return None
        return self.take(count)

    def pieces(self, count: int) -> Iterator[memoryview]:
        """Views of the next ``count`` bytes, to be used before the next step."""
        while count:
            if self._at == len(self._chunk) and not self._refill():
                raise InvalidArgument("unexpected EOF")
            end = min(self._at + count, len(self._chunk))
            view = memoryview(self._chunk)[self._at : end]
            taken = end - self._at
            self._at = end
            self.position += taken
            count -= taken
            yield view

    def skip(self, count: int) -> None:
        """Pass over ``count`` bytes."""
        if self._at + count <= len(self._chunk):
            self._at += count
            self.position += count
            return
        for _ in self.pieces(count):
            pass

    def drain(self) -> None:
        """Read to the end: what follows an archive counts in its digest."""
        self.position += len(self._chunk) - self._at
        self._at = len(self._chunk)
        while self._refill():
            self.position += len(self._chunk)
            self._at = len(self._chunk)

    def _refill(self) -> bool:
        self._chunk = self._next()
        self._at = 0
        return bool(self._chunk)
