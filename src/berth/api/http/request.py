"""A request and the ways to answer it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from berth.api.http.head import Malformed
from berth.base.errors import InvalidArgument, TooLarge

if TYPE_CHECKING:
    from berth.api.http.head import Head
    from berth.api.http.protocol import HttpProtocol
    from berth.api.http.tunnel import Codec

REASONS = {
    200: "OK", 201: "Created", 204: "No Content", 304: "Not Modified", 400: "Bad Request", 401: "Unauthorized",
    403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 408: "Request Timeout", 409: "Conflict",
    413: "Request Entity Too Large", 431: "Request Header Fields Too Large", 500: "Internal Server Error",
    501: "Not Implemented", 503: "Service Unavailable", 504: "Gateway Timeout",
}  # fmt: skip
MAX_BODY = 16 << 20
BODY_STALL_S = 30.0
_BODY_HIGH = 1 << 20
_NONE: Mapping[str, str] = MappingProxyType({})


class ClientGone(Exception):
    """The client hung up: there is nobody to answer."""


def _stalled() -> Malformed:
    return Malformed(408, f"408 Request Timeout: nothing of the body came for {BODY_STALL_S:.0f} s")


class Request:
    """``path`` is percent-decoded and without the version; ``version`` is (major, minor)."""

    def __init__(self, protocol: HttpProtocol, head: Head, path: str, query: str) -> None:
        self.method = head.method
        self.path = path
        self.headers = head.headers
        self.version = (1, 51)
        self.groups: tuple[str, ...] = ()
        self.upgrade = head.upgrade
        self.length = head.length  # of the body; None: it comes in chunks
        self.cancel_on_eof = False
        self.answered = False
        self.keep_alive = head.keep_alive
        self._http_1_0 = head.http_1_0
        self.protocol = protocol
        self._raw_query = query
        self._query: dict[str, str] | None = None
        self._chunks: list[bytes] = []
        self._size = 0
        self._complete = False
        self._arrived: asyncio.Future[None] | None = None

    @property
    def query(self) -> dict[str, str]:
        """The first value of each query parameter."""
        if self._query is None:
            self._query = {}
            for key, value in parse_qsl(self._raw_query, keep_blank_values=True):
                self._query.setdefault(key, value)
        return self._query

    @property
    def has_nul(self) -> bool:
        """Whether a query parameter holds what no system call takes."""
        return "%00" in self._raw_query

    def query_pairs(self) -> list[tuple[str, str]]:
        return parse_qsl(self._raw_query, keep_blank_values=True)

    # --- the body

    def feed(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._size += len(chunk)
        if self._size > _BODY_HIGH:
            self.protocol.pause_body()
        self.wake()

    def feed_end(self) -> None:
        self._complete = True
        self.wake()

    def wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    @property
    def complete(self) -> bool:
        return self._complete

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes, with back-pressure. Raises: ClientGone when it ends too early."""
        self.protocol.continue_100(self)
        while True:
            while self._chunks:
                chunks, self._chunks, self._size = self._chunks, [], 0
                self.protocol.resume_body()
                for chunk in chunks:
                    yield chunk
            if self._complete:
                return
            if self.protocol.gone:
                raise ClientGone
            self._arrived = asyncio.get_running_loop().create_future()
            await self._arrived

    async def steady_chunks(self) -> AsyncIterator[bytes]:
        """As ``chunks``. Raises: Malformed when nothing comes for ``BODY_STALL_S``."""
        chunks = self.chunks()
        while True:
            try:
                async with asyncio.timeout(BODY_STALL_S):
                    chunk = await anext(chunks)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise _stalled() from None
            yield chunk

    async def body(self, limit: int = MAX_BODY) -> bytes:
        """The whole body. Raises: TooLarge, ClientGone, Malformed when nothing comes for ``BODY_STALL_S``."""
        parts, size = [], 0
        try:
            async with asyncio.timeout(BODY_STALL_S) as stall:
                async for chunk in self.chunks():
                    size += len(chunk)
                    if size > limit:
                        raise TooLarge(f"http: request body too large: it may have {limit} bytes")
                    parts.append(chunk)
                    stall.reschedule(asyncio.get_running_loop().time() + BODY_STALL_S)
        except TimeoutError:
            raise _stalled() from None
        return b"".join(parts)

    # --- the answer

    def respond(self, status: int, body: bytes = b"", content_type: str = "application/json", **extra: str) -> None:
        """A whole answer at once."""
        self.answered = True
        lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Unknown')}", self.protocol.common_headers]
        if status not in (204, 304):
            if body or content_type:
                lines.append(f"Content-Type: {content_type}")
            lines.append(f"Content-Length: {len(body)}")
        for key, value in extra.items():
            lines.append(f"{key.replace('_', '-')}: {value}")
        if not self.keep_alive:
            lines.append("Connection: close")
        head = "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n"
        self.protocol.write(head if self.method == "HEAD" else head + body)

    def respond_json(self, status: int, value: Any) -> None:
        self.respond(status, json.dumps(value).encode() + b"\n")

    async def stream(
        self, status: int = 200, content_type: str = "application/json", headers: Mapping[str, str] = _NONE
    ) -> ResponseStream:
        """Start an answer of unknown length; its head is sent at once. HTTP/1.0 gets it up to the connection's end."""
        self.answered = True
        chunked = not self._http_1_0
        self.keep_alive = self.keep_alive and chunked
        lines = [
            f"HTTP/1.1 {status} {REASONS.get(status, 'Unknown')}", self.protocol.common_headers,
            f"Content-Type: {content_type}", *(f"{key}: {value}" for key, value in headers.items()),
        ]  # fmt: skip
        if chunked:
            lines.append("Transfer-Encoding: chunked")
        if not self.keep_alive:
            lines.append("Connection: close")
        self.protocol.write("\r\n".join(lines).encode() + b"\r\n\r\n")
        return ResponseStream(self.protocol, chunked)

    async def hijack(self, content_type: str) -> tuple[socket.socket, bytes]:
        """Take the connection away from HTTP: (a socket that is the caller's, input that was read already)."""
        self.answered = True
        common = self.protocol.common_headers
        if self.upgrade:
            head = f"HTTP/1.1 101 UPGRADED\r\n{common}\r\nContent-Type: {content_type}\r\nConnection: Upgrade\r\nUpgrade: tcp"
        else:
            head = f"HTTP/1.1 200 OK\r\n{common}\r\nContent-Type: {content_type}"
        return await self.protocol.take_socket(head.encode() + b"\r\n\r\n")

    async def websocket(self, codec: Codec) -> tuple[socket.socket, bytes]:
        """As ``hijack``, with a websocket's frames around the bytes. Raises: InvalidArgument when the client asked for none."""
        from berth.api.http.websocket import accept_key

        key = self.headers.get("sec-websocket-key", "")
        if self.headers.get("upgrade", "").lower() != "websocket" or not key:
            raise InvalidArgument("not websocket protocol")
        if self.headers.get("sec-websocket-version", "") != "13":
            raise InvalidArgument("missing or bad WebSocket Version")
        self.answered = True
        head = (
            f"HTTP/1.1 101 Switching Protocols\r\n{self.protocol.common_headers}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Accept: {accept_key(key)}\r\n\r\n"
        )
        return await self.protocol.take_socket(head.encode(), codec)


class ResponseStream:
    """A body of unknown length; ``write`` waits while the client does not read. Raises: ClientGone."""

    def __init__(self, protocol: HttpProtocol, chunked: bool) -> None:
        self._protocol = protocol
        self._chunked = chunked

    async def write(self, chunk: bytes) -> None:
        if self._protocol.gone:
            raise ClientGone
        if chunk:
            self._protocol.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if self._chunked else chunk)
            await self._protocol.drain()

    async def end(self) -> None:
        if self._chunked and not self._protocol.gone:
            self._protocol.write(b"0\r\n\r\n")
