"""A small HTTP/1.1 client: what the Engine API needs and nothing else. No ssl, no socket module, no asyncio at import."""

from __future__ import annotations

from _socket import SHUT_WR

from berth.base.errors import Unavailable
from berth.client.dial import Endpoint, dial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from berth.client.dial import Stream

__all__ = ["SHUT_WR", "Connection", "Response"]

_MAX_HEAD = 256 * 1024


class Response:
    """Status, headers (lower-case names) and a body that is read as asked for."""

    def __init__(self, sock: Stream, status: int, headers: dict[str, str], rest: bytes, method: str) -> None:
        self.status = status
        self.headers = headers
        self._sock = sock
        self._rest = rest
        self._chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        length = headers.get("content-length")
        self._left = int(length) if length is not None else -1
        if method == "HEAD" or status in (204, 304):
            self._chunked, self._left = False, 0

    @property
    def ready(self) -> bool:
        """Whether something of the body has been read from the socket already."""
        return bool(self._rest)

    def fileno(self) -> int:
        return self._sock.fileno()

    def _more(self) -> bytes:
        if self._rest:
            rest, self._rest = self._rest, b""
            return rest
        return self._sock.recv(65536)

    def chunks(self) -> Iterator[bytes]:
        """The body as it comes."""
        if self._chunked:
            yield from self._chunked_body()
            return
        while self._left:
            chunk = self._more()
            if not chunk:
                if self._left > 0:
                    raise Unavailable("the engine closed the connection in the middle of an answer")
                return
            if self._left > 0:
                if len(chunk) > self._left:
                    chunk, self._rest = chunk[: self._left], chunk[self._left :]
                self._left -= len(chunk)
            yield chunk

    def _line(self) -> bytes:
        buffer = self._rest
        while b"\n" not in buffer:
            more = self._sock.recv(65536)
            if not more:
                raise Unavailable("unexpected EOF: the engine closed the connection in the middle of an answer")
            buffer += more
        line, _, self._rest = buffer.partition(b"\n")
        return line.strip()

    def _chunked_body(self) -> Iterator[bytes]:
        while True:
            size = int(self._line().split(b";")[0] or b"0", 16)
            if size == 0:
                self._line()
                return
            while size:
                chunk = self._more()
                if not chunk:
                    raise Unavailable("unexpected EOF: the engine closed the connection in the middle of an answer")
                if len(chunk) > size:
                    chunk, self._rest = chunk[:size], chunk[size:]
                size -= len(chunk)
                yield chunk
            self._line()

    def read(self) -> bytes:
        return b"".join(self.chunks())

    def lines(self) -> Iterator[bytes]:
        """The body as lines (JSON streams)."""
        buffer = b""
        for chunk in self.chunks():
            buffer += chunk
            *whole, buffer = buffer.split(b"\n")
            for line in whole:
                if line.strip():
                    yield line
        if buffer.strip():
            yield buffer

    def hijack(self) -> tuple[Stream, bytes]:
        """After an upgrade: the plain stream, and output that came with the head."""
        rest, self._rest = self._rest, b""
        return self._sock, rest

    def close(self) -> None:
        """Hang up: whoever reads no further."""
        self._sock.close()


class Connection:
    """One connection, used for one request after another."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.sock: Stream = dial(endpoint)
        self._headers = endpoint.headers

    def request(
        self, method: str, path: str, body: bytes | Iterable[bytes] | None = None, headers: dict[str, str] | None = None
    ) -> Response:
        """Send a request and read the answer's head."""
        self.send(method, path, body, headers)
        return self.head(method)

    def send(
        self, method: str, path: str, body: bytes | Iterable[bytes] | None = None, headers: dict[str, str] | None = None
    ) -> None:
        """A request alone; ``head`` reads its answer."""
        lines = [f"{method} {path} HTTP/1.1", "Host: docker"]
        given = {**self._headers, **(headers or {})}
        whole = body if isinstance(body, bytes) else b""
        stream: Iterable[bytes] | None = body if not isinstance(body, bytes) else None
        if stream is not None:
            given["Transfer-Encoding"] = "chunked"
        elif whole or method == "POST":
            given["Content-Length"] = str(len(whole))
        lines += [f"{k}: {v}" for k, v in given.items()]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode()
        try:
            self.sock.sendall(head + whole)
            if stream is not None:
                for chunk in stream:
                    if chunk:
                        self.sock.sendall(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                self.sock.sendall(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass  # the answer may say why

    def head(self, method: str) -> Response:
        """The head of the answer to what was sent. Raises: Unavailable when there is none."""
        buffer = b""
        while b"\r\n\r\n" not in buffer:
            try:
                more = self.sock.recv(65536)
            except ConnectionResetError:
                more = b""
            if not more:
                raise Unavailable(self.sock.why_closed() or "the engine closed the connection without an answer")
            buffer += more
            if len(buffer) > _MAX_HEAD:
                raise Unavailable("what answers there does not speak HTTP")
        head, _, rest = buffer.partition(b"\r\n\r\n")
        first, *fields = head.decode("latin-1").split("\r\n")
        words = first.split(" ", 2)
        if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdigit():
            raise Unavailable("what answers there does not speak HTTP")
        status = int(words[1])
        if status == 100:
            return self._after_continue(rest, method)
        headers = {}
        for field in fields:
            key, _, value = field.partition(":")
            headers[key.strip().lower()] = value.strip()
        return Response(self.sock, status, headers, rest, method)

    def _after_continue(self, rest: bytes, method: str) -> Response:
        if rest:
            raise Unavailable("the engine's answer came mixed with 100 Continue")
        return self.head(method)

    def close(self) -> None:
        self.sock.close()
