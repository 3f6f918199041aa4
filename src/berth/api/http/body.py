"""How a body is delimited. Both readers take from the connection's buffer what is theirs, and leave what follows."""

from __future__ import annotations

from berth.api.http.head import Malformed

_MAX_LINE = 4096  # a chunk's size with its extensions; Go's bound
_MAX_TRAILER = 64 * 1024


class Counted:
    """``Content-Length`` bytes."""

    def __init__(self, length: int) -> None:
        self._left = length

    @property
    def complete(self) -> bool:
        return self._left == 0

    def take(self, buffer: bytearray) -> bytes:
        """What of the buffer is body."""
        chunk = bytes(buffer[: self._left])
        del buffer[: len(chunk)]
        self._left -= len(chunk)
        return chunk


class Chunked:
    """``Transfer-Encoding: chunked``; trailers are read and dropped."""

    def __init__(self) -> None:
        self._left = 0  # of the chunk under way
        self._in_chunk = False  # its closing line break is still to come
        self._in_trailer = False
        self._trailer_bytes = 0
        self.complete = False

    def take(self, buffer: bytearray) -> bytes:
        """What of the buffer is body, decoded. Raises: Malformed."""
        parts: list[bytes] = []
        while not self.complete:
            if self._left:
                part = bytes(buffer[: self._left])
                if not part:
                    break
                del buffer[: len(part)]
                self._left -= len(part)
                parts.append(part)
            elif not self._line(buffer):
                break
        return b"".join(parts)

    def _line(self, buffer: bytearray) -> bool:
        end = buffer.find(b"\r\n", 0, _MAX_LINE)
        if end < 0:
            if len(buffer) >= _MAX_LINE:
                raise Malformed(400, "400 Bad Request: invalid chunked body: header line too long")
            return False
        line = bytes(buffer[:end])
        del buffer[: end + 2]
        if self._in_trailer:
            self._trailer(line)
        elif self._in_chunk:
            if line:
                raise Malformed(400, "400 Bad Request: malformed chunked encoding")
            self._in_chunk = False
        else:
            self._size(line)
        return True

    def _size(self, line: bytes) -> None:
        digits = line.partition(b";")[0].strip()
        if not digits or len(digits) > 15 or digits.strip(b"0123456789abcdefABCDEF"):
            raise Malformed(400, "400 Bad Request: invalid byte in chunk length")
        self._left = int(digits, 16)
        self._in_chunk = self._left > 0
        self._in_trailer = self._left == 0

    def _trailer(self, line: bytes) -> None:
        self._trailer_bytes += len(line) + 2
        if self._trailer_bytes > _MAX_TRAILER:
            raise Malformed(400, "400 Bad Request: trailers too long")
        self.complete = not line
