"""A hijacked connection whose socket cannot be given away, carried over a socketpair.

    client ══TLS or websocket══ HttpProtocol ──Tunnel── our end ═socketpair═ the session's end (shim)

Both directions have back-pressure: whichever side is full pauses reading of the other. The client's end of input becomes a
half-close of the pair; when the session closes its end, the client gets what is left and the connection ends.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Protocol, cast


class Codec(Protocol):
    """What websockets put around the bytes."""

    def decode(self, raw: bytes) -> tuple[bytes, bytes, bool]:
        """What the client sent → (its words, an answer to be sent at once, whether it is done)."""

    def encode(self, raw: bytes) -> bytes:
        """The session's output → what goes to the client."""

    def end(self) -> bytes:
        """The last words to the client."""


class Tunnel(asyncio.Protocol):
    """The session's side of the tunnel; ``outer_*`` are called by the connection."""

    def __init__(self, outer: asyncio.Transport, codec: Codec | None) -> None:
        self._outer = outer
        self._codec = codec
        self._inner: asyncio.Transport | None = None

    @classmethod
    async def open(cls, outer: asyncio.Transport, sock: socket.socket, codec: Codec | None) -> Tunnel:
        """Takes ``sock``, our end of the pair."""
        sock.setblocking(False)
        _, tunnel = await asyncio.get_running_loop().create_connection(lambda: cls(outer, codec), sock=sock)
        return tunnel

    # --- from the client

    def outer_data(self, data: bytes) -> None:
        ended = False
        if self._codec is not None:
            data, answer, ended = self._codec.decode(data)
            if answer:
                self._outer.write(answer)
        if self._inner is not None and not self._inner.is_closing():
            if data:
                self._inner.write(data)
            if ended:
                self._inner.write_eof()

    def outer_eof(self) -> bool:
        """The client's input is at its end; True: the connection stays open for the output."""
        if self._inner is None or self._inner.is_closing():
            return False
        self._inner.write_eof()
        return True

    def outer_full(self, full: bool) -> None:
        if self._inner is None or self._inner.is_closing():
            return
        if full:
            self._inner.pause_reading()
        else:
            self._inner.resume_reading()

    def outer_lost(self) -> None:
        if self._inner is not None:
            self._inner.abort()

    # --- from the session

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._inner = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._outer.write(data if self._codec is None else self._codec.encode(data))

    def pause_writing(self) -> None:
        if not self._outer.is_closing():
            self._outer.pause_reading()

    def resume_writing(self) -> None:
        if not self._outer.is_closing():
            self._outer.resume_reading()

    def connection_lost(self, err: Exception | None) -> None:
        self._inner = None
        if self._codec is not None and not self._outer.is_closing():
            self._outer.write(self._codec.end())
        self._outer.close()
