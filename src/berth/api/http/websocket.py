"""Frames of ``attach/ws``: the session's output without its headers goes out, what the client says is standard input.

Spec: RFC 6455. wsproto reads and writes frames; it is imported with the first websocket, few daemons ever see one.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsproto.connection import Connection

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_key(key: str) -> str:
    """The answer to ``Sec-WebSocket-Key``."""
    return base64.b64encode(hashlib.sha1(key.encode("latin-1") + _GUID, usedforsecurity=False).digest()).decode()


class Frames:
    """The codec of one websocket. ``framed``: the session's output has Docker's 8-byte headers, which are taken off.

    ``binary``: since API 1.28; older clients get text.
    """

    def __init__(self, *, framed: bool, binary: bool) -> None:
        from wsproto.connection import Connection, ConnectionType

        self._ws: Connection = Connection(ConnectionType.SERVER)
        self._framed = framed
        self._binary = binary
        self._buffer = bytearray()
        self._closed = False

    def decode(self, raw: bytes) -> tuple[bytes, bytes, bool]:
        from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
        from wsproto.utilities import ProtocolError

        words, answer = [], b""
        if self._closed:
            return b"", b"", False
        try:
            self._ws.receive_data(raw)
            for event in self._ws.events():
                if isinstance(event, TextMessage):
                    words.append(event.data.encode())
                elif isinstance(event, BytesMessage):
                    words.append(bytes(event.data))
                elif isinstance(event, Ping):
                    answer += self._ws.send(event.response())
                elif isinstance(event, CloseConnection):
                    self._closed = True
                    answer += self._ws.send(event.response())
        except ProtocolError:
            self._closed = True
        return b"".join(words), answer, self._closed

    def encode(self, raw: bytes) -> bytes:
        if self._framed:
            raw = self._unframe(raw)
        if not raw or self._closed:
            return b""
        from wsproto.events import BytesMessage, TextMessage

        if self._binary:
            return bytes(self._ws.send(BytesMessage(raw)))
        return bytes(self._ws.send(TextMessage(raw.decode("utf-8", "replace"))))

    def _unframe(self, raw: bytes) -> bytes:
        self._buffer += raw
        parts = []
        while len(self._buffer) >= 8:
            size = struct.unpack_from(">I", self._buffer, 4)[0]
            if len(self._buffer) < 8 + size:
                break
            parts.append(bytes(self._buffer[8 : 8 + size]))
            del self._buffer[: 8 + size]
        return b"".join(parts)

    def end(self) -> bytes:
        if self._closed:
            return b""
        from wsproto.events import CloseConnection

        self._closed = True
        return bytes(self._ws.send(CloseConnection(1000)))
