"""TLS as a transport of our own over memory buffers.

asyncio and uvloop end the connection when the peer's close_notify arrives, but ``docker exec -i`` half-closes: its input is at
an end and its output is still to come. Here close_notify is the protocol's ``eof_received``, and the answer goes on.

    raw transport ── TlsConnection ── HttpProtocol (sees a transport that half-closes)
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import Any, cast

log = logging.getLogger("berth.api")

HANDSHAKE_TIMEOUT_S = 15.0
CLOSE_TIMEOUT_S = 5.0
_READ = 256 * 1024


class TlsConnection(asyncio.Transport, asyncio.Protocol):
    """The protocol of a raw TCP transport, and the transport of ``protocol``, which exists once the handshake is done."""

    def __init__(self, context: ssl.SSLContext, factory: Callable[[], asyncio.Protocol]) -> None:
        super().__init__()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._factory = factory
        self._protocol: asyncio.Protocol | None = None
        self._raw: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False
        self._read_ended = False
        self._closing = False
        self._notified = False

    # --- as the raw transport's protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._raw = cast(asyncio.Transport, transport)
        self._timer = asyncio.get_running_loop().call_later(HANDSHAKE_TIMEOUT_S, self.abort)

    def connection_lost(self, err: Exception | None) -> None:
        self._raw = None
        self._closing = True
        self._stop_timer()
        if self._protocol is not None:
            self._protocol.connection_lost(err)

    def data_received(self, data: bytes) -> None:
        if self._closing and self._notified:
            return  # the rest of what the peer sent before it saw our end
        self._incoming.write(data)
        if self._protocol is not None or self._shake_hands():
            self._deliver()

    def eof_received(self) -> bool:
        """TCP ends. After the peer's goodbye it may still read what we have to say; without one the line was cut."""
        if not self._read_ended:
            self.abort()
        return not self._closing

    def pause_writing(self) -> None:
        if self._protocol is not None:
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        if self._protocol is not None:
            self._protocol.resume_writing()

    def _shake_hands(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        except ssl.SSLError as err:
            log.info("TLS handshake failed: %s", err.reason or err)
            self._flush()  # the alert that says why
            if self._raw is not None:
                self._raw.close()
            return False
        self._flush()
        self._stop_timer()
        self._protocol = self._factory()
        self._protocol.connection_made(self)
        return True

    def _deliver(self) -> None:
        """Hand on what can be read, and the end of it."""
        while self._protocol is not None and not (self._paused or self._read_ended or self._closing):
            try:
                chunk = self._tls.read(_READ)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLError as err:
                log.info("TLS: %s", err.reason or err)
                self.abort()
                return
            if chunk:
                self._protocol.data_received(chunk)
                continue
            self._read_ended = True
            if not self._protocol.eof_received():
                self.close()
        self._flush()  # key updates and alerts

    def _flush(self) -> None:
        if self._outgoing.pending and self._raw is not None:
            self._raw.write(self._outgoing.read())

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- as the protocol's transport

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._raw is None or self._closing or not data:
            return
        self._tls.write(data)
        self._flush()

    def write_eof(self) -> None:
        """Say close_notify; reading goes on."""
        if self._notified or self._raw is None:
            return
        self._notified = True
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            pass  # "want read": the peer's own close_notify is not asked for
        self._flush()

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        """Send what is left, say goodbye, take what still comes until the peer ends: no reset may overtake the answer."""
        if self._closing or self._raw is None:
            return
        self._closing = True
        self.write_eof()
        if self._read_ended:
            self._raw.close()
            return
        if self._raw.can_write_eof():
            self._raw.write_eof()
        self._raw.resume_reading()
        self._timer = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, self.abort)

    def abort(self) -> None:
        self._closing = True
        if self._raw is not None:
            self._raw.abort()

    def is_closing(self) -> bool:
        return self._closing

    def pause_reading(self) -> None:
        self._paused = True
        if self._raw is not None and not self._raw.is_closing():
            self._raw.pause_reading()

    def resume_reading(self) -> None:
        if not self._paused:
            return
        self._paused = False
        if self._raw is not None and not self._raw.is_closing():
            self._raw.resume_reading()
            asyncio.get_running_loop().call_soon(self._deliver)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if self._raw is not None:
            self._raw.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._raw.get_write_buffer_size() if self._raw is not None else 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "ssl_object":
            return self._tls
        return self._raw.get_extra_info(name, default) if self._raw is not None else default


def server_context(cert: str, key: str, ca: str, *, verify: bool) -> ssl.SSLContext:
    """For the API's TCP sockets; with ``verify`` clients show a certificate that ``ca`` signed. Raises: OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(cert, key)
    if verify:
        context.load_verify_locations(ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
