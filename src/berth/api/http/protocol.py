"""One connection: a head is cut off and parsed, its body delimited, one request answered at a time; what comes meanwhile waits.

Limits: a head of at most ``MAX_HEAD`` bytes, complete ``HEAD_TIMEOUT_S`` after its first byte. An answer that comes before the
body's end waits for that end, since Go's client reads it only then; at most ``LINGER_S``.

A hijacked connection is given away as the plain socket it is; where it is none (TLS, websocket) a ``Tunnel`` carries the bytes.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import select
import socket
import sys
import termios
from collections.abc import Awaitable, Callable
from typing import cast
from urllib.parse import unquote

from berth.api.http.body import Chunked, Counted
from berth.api.http.head import MAX_HEAD, Malformed, parse_head
from berth.api.http.request import ClientGone, Request
from berth.api.http.tunnel import Codec, Tunnel

log = logging.getLogger("berth.api")

MAX_PENDING = 256 * 1024
HEAD_TIMEOUT_S = 30.0
LINGER_S = 30.0

Handler = Callable[[Request], Awaitable[None]]


class HttpProtocol(asyncio.Protocol):
    """``local``: the peer is on this machine's unix socket (TCP gets a guard against browsers)."""

    def __init__(
        self, handler: Handler, common_headers: str, connections: set[HttpProtocol], *, local: bool = True
    ) -> None:
        self._handler = handler
        self.common_headers = common_headers
        self._connections = connections
        self.local = local
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._request: Request | None = None
        self._body: Counted | Chunked | None = None  # of the request under way, until it is complete
        self._task: asyncio.Task[None] | None = None
        self._tunnel: Tunnel | None = None
        self._hijacked = False
        self._ending = False
        self._can_write = asyncio.Event()
        self._can_write.set()
        self._timer: asyncio.TimerHandle | None = None
        self.gone = False

    # --- transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)

    def connection_lost(self, err: Exception | None) -> None:
        self.gone = True
        self._connections.discard(self)
        self._can_write.set()
        self._stop_timer()
        if self._request is not None:
            self._request.wake()
            if not self._hijacked and self._task is not None and self._request.cancel_on_eof:
                self._task.cancel()
        if self._tunnel is not None:
            self._tunnel.outer_lost()
        self._transport = None

    def eof_received(self) -> bool:
        """A half-closed client still gets its answer; a stream that only it could end is ended."""
        if self._tunnel is not None:
            return self._tunnel.outer_eof()
        request = self._request
        if request is None or request.cancel_on_eof or not request.complete:
            return False
        request.keep_alive = False
        return True

    def pause_writing(self) -> None:
        self._can_write.clear()
        if self._tunnel is not None:
            self._tunnel.outer_full(True)

    def resume_writing(self) -> None:
        self._can_write.set()
        if self._tunnel is not None:
            self._tunnel.outer_full(False)

    def write(self, raw: bytes) -> None:
        if self._transport is not None:
            self._transport.write(raw)

    async def drain(self) -> None:
        """Wait while the client does not read. Raises: ClientGone."""
        await self._can_write.wait()
        if self.gone:
            raise ClientGone

    def pause_body(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_body(self) -> None:
        if self._transport is not None and not self._hijacked:
            self._transport.resume_reading()

    # --- what comes in

    def data_received(self, data: bytes) -> None:
        if self._tunnel is not None:
            self._tunnel.outer_data(data)
            return
        self._buffer += data
        self._advance()

    def _advance(self) -> None:
        """Take from the buffer what can be taken now."""
        if self._ending:
            self._buffer.clear()
            return
        try:
            if self._request is None:
                self._take_head()
            if self._body is not None:
                self._take_body(self._body)
        except Malformed as err:
            self._refuse(err)
            return
        if self._request is not None and self._body is None and len(self._buffer) > MAX_PENDING:
            self.pause_body()

    def _take_head(self) -> None:
        if self._buffer.startswith(b"\r\n"):  # RFC 9112, section 2.2: an empty line before a request is skipped
            del self._buffer[:2]
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or end > MAX_HEAD:
            if len(self._buffer) > MAX_HEAD:
                raise Malformed(431, "431 Request Header Fields Too Large")
            if self._buffer and self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(HEAD_TIMEOUT_S, self._too_slow)
            return
        self._stop_timer()
        raw = bytes(self._buffer[: end + 4])
        del self._buffer[: end + 4]
        head = parse_head(raw)
        target, _, query = head.target.partition(b"?")
        if target.startswith((b"http://", b"https://")):
            target = b"/" + target.split(b"/", 3)[3] if target.count(b"/") > 2 else b"/"
        path = unquote(target.decode("latin-1"), errors="replace")
        request = Request(self, head, path, query.decode("latin-1"))
        self._request = request
        if head.length == 0:
            request.feed_end()
            if head.upgrade:
                self.pause_body()  # what comes now belongs to whoever takes the connection
        else:
            self._body = Chunked() if head.length is None else Counted(head.length)
        self._task = asyncio.get_running_loop().create_task(self._answer(request))

    def _take_body(self, body: Counted | Chunked) -> None:
        request = self._request
        assert request is not None
        chunk = body.take(self._buffer)
        if chunk:
            request.feed(chunk)
        if body.complete:
            self._body = None
            if request.upgrade:
                self.pause_body()
            request.feed_end()

    def _too_slow(self) -> None:
        self._timer = None
        if self._request is None and not self.gone:
            self._refuse(Malformed(408, f"408 Request Timeout: no complete head within {HEAD_TIMEOUT_S:.0f} s"))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, err: Malformed) -> None:
        """Answer what cannot be read on, as Go's server does, and end."""
        self._ending = True
        self._body = None
        request = self._request
        if self._task is not None and not self._task.done() and self._task is not asyncio.current_task():
            self._task.cancel()  # it waits for a body that never becomes whole
        if request is None or not request.answered:
            text = err.sentence.encode()
            reason = err.sentence.partition(":")[0]
            self.write(
                f"HTTP/1.1 {reason}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
                f"Content-Length: {len(text)}\r\n\r\n".encode()
                + text
            )
        if self._transport is not None:
            self._transport.close()

    def continue_100(self, request: Request) -> None:
        if request.headers.pop("expect", "") and not request.complete:
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    # --- answering

    async def _answer(self, request: Request) -> None:
        try:
            await self._handler(request)
            if not self._hijacked and not self.gone:
                await self._next(request)
        except Malformed as err:
            self._refuse(err)
        except ClientGone:
            self._abort()
        except asyncio.CancelledError:
            if not self.gone and not self._ending:
                self._abort()
        except Exception:
            log.exception("answering %s %s", request.method, request.path)
            self._abort()

    async def _next(self, request: Request) -> None:
        """The answer is out: the next request, or the end."""
        if not request.complete:
            request.keep_alive = False  # nobody read the body to its end
            await self._linger(request)
        if not request.keep_alive or request.upgrade:
            self._ending = True
            if self._transport is not None:
                self._transport.close()
            return
        await self.drain()
        self._request = None
        self._task = None
        if self._transport is not None:
            self._transport.resume_reading()
        if self._buffer:
            self._advance()

    async def _linger(self, request: Request) -> None:
        """Take and drop what the client still sends: Go's client only reads an early answer after its whole body."""
        if "expect" in request.headers:
            return  # it waits for our word before it sends
        try:
            async with asyncio.timeout(LINGER_S):
                async for _ in request.chunks():
                    pass
        except (ClientGone, TimeoutError):
            pass

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # --- hijacking

    async def take_socket(self, head: bytes, codec: Codec | None = None) -> tuple[socket.socket, bytes]:
        """Send ``head`` and give the connection away: (a socket that is the caller's, input that was read already).

        A plain connection is given as it is, never shut down and forgotten here; TLS and a ``codec`` (websocket) put a
        tunnel in between. Raises: ClientGone.
        """
        request, transport = self._request, self._transport
        if request is None or transport is None or self.gone:
            raise ClientGone
        if not request.complete:
            await request.body()  # nobody asked for it, but it is no input of the stream
        self._hijacked = True
        early = bytes(self._buffer)
        self._buffer.clear()
        if codec is not None or transport.get_extra_info("ssl_object") is not None:
            return await self._open_tunnel(transport, head, early, codec), b""
        transport.pause_reading()
        transport.set_write_buffer_limits(0)
        await self.drain()  # the answer to a request before this one
        sock = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_sendall(sock, head)
        except BaseException as err:
            sock.close()
            raise ClientGone from err
        transport.abort()
        try:
            await _until_read(sock)
        except BaseException:
            sock.close()
            raise
        return sock, early

    async def _open_tunnel(
        self, transport: asyncio.Transport, head: bytes, early: bytes, codec: Codec | None
    ) -> socket.socket:
        inner, theirs = socket.socketpair()
        try:
            self._tunnel = await Tunnel.open(transport, inner, codec)
        except BaseException:
            theirs.close()
            raise
        transport.write(head)
        if early:
            self._tunnel.outer_data(early)
        transport.resume_reading()
        return theirs

    # --- the server's end

    def stop(self) -> None:
        """The server ends: an idle connection is closed, a busy one after its answer; streams are cut."""
        if self._tunnel is not None:
            self._abort()
            return
        if self._request is None:
            if self._transport is not None:
                self._transport.close()
            return
        self._request.keep_alive = False
        if self._request.cancel_on_eof and self._task is not None:
            self._task.cancel()

    @property
    def unsent_bytes(self) -> int:
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    @property
    def task(self) -> asyncio.Task[None] | None:
        return self._task


_READ_WITHIN_S = 0.1


async def _until_read(sock: socket.socket) -> None:
    """Until a client on a unix socket has taken the answer, for a moment at most.

    docker-py reads it through a buffer, and what follows in the same read is lost to it: the first words of a fast program.
    The kernel tells of it: what is read makes room, which is an event of its own for who watches edges.
    """
    if sock.family != socket.AF_UNIX:
        return
    loop = asyncio.get_running_loop()
    with select.epoll(1) as edges:
        edges.register(sock.fileno(), select.EPOLLOUT | select.EPOLLET)
        taken: asyncio.Future[None] = loop.create_future()

        def look() -> None:
            edges.poll(0)
            if not taken.done() and _is_read(sock):
                taken.set_result(None)

        loop.add_reader(edges.fileno(), look)
        try:
            look()
            async with asyncio.timeout(_READ_WITHIN_S):
                await taken
        except TimeoutError:
            pass
        finally:
            loop.remove_reader(edges.fileno())


def _is_read(sock: socket.socket) -> bool:
    left = bytearray(4)
    fcntl.ioctl(sock, termios.TIOCOUTQ, left)  # of a unix socket: what the other side has not read
    return int.from_bytes(left, sys.byteorder) <= 1  # while the kernel tells of it, the last byte still counts
