"""TLS for a ``Stream``, over memory buffers, so that one direction can end while the other goes on.

``SSLSocket.shutdown(SHUT_WR)`` closes the socket below without a word to the peer, and ``unwrap()`` waits for the peer's
goodbye: neither is the half-close that an attached standard input needs. Here the end of what we send is a close_notify,
and what the engine still has to say is read to its end.
"""

from __future__ import annotations

import ssl

from berth.base.errors import Unavailable
from berth.client.dial import PlainStream

_STEP = 65536


class TlsSettings:
    """Files of a TLS endpoint: the CA to trust, our certificate and key. ``verify`` False trusts anyone."""

    __slots__ = ("ca", "cert", "key", "server_name", "verify")

    def __init__(
        self, ca: str = "", cert: str = "", key: str = "", *, verify: bool = True, server_name: str = ""
    ) -> None:
        self.ca, self.cert, self.key = ca, cert, key
        self.verify = verify
        self.server_name = server_name

    def context(self) -> ssl.SSLContext:
        """Raises: Unavailable naming the file that cannot be used."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif not self.ca:
            context.load_default_certs()
        try:
            if self.ca and self.verify:
                context.load_verify_locations(self.ca)
            if self.cert and self.key:
                context.load_cert_chain(self.cert, self.key)
        except (OSError, ssl.SSLError) as err:
            names = ", ".join(name for name in (self.ca, self.cert, self.key) if name)
            raise Unavailable(f"could not load the TLS files ({names}): {err}") from err
        return context


class TlsStream:
    """A TLS client stream whose two directions end on their own. Raises: Unavailable when the handshake fails."""

    def __init__(self, sock: PlainStream, settings: TlsSettings, host: str) -> None:
        self._sock = sock
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = settings.context().wrap_bio(self._in, self._out, server_hostname=settings.server_name or host)
        self._sent_end = False
        self._ahead = b""
        try:
            self._handshake()
        except ssl.SSLCertVerificationError as err:
            raise Unavailable(
                f"error during connect: tls: failed to verify certificate of {host}: {err.verify_message}"
            ) from err
        except ssl.SSLError as err:
            raise Unavailable(f"error during connect: TLS with {host} failed: {err.reason or err}") from err

    def _handshake(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
                self._flush()
                return
            except ssl.SSLWantReadError:
                self._flush()
                if not self._fill():
                    raise Unavailable("error during connect: the engine hung up during the TLS handshake") from None

    def _flush(self) -> None:
        if self._out.pending:
            self._sock.sendall(self._out.read())

    def _fill(self) -> bool:
        """Take what the socket has; False at its end."""
        try:
            raw = self._sock.recv(_STEP)
        except ConnectionResetError:
            raw = b""
        if raw:
            self._in.write(raw)
        else:
            self._in.write_eof()
        return bool(raw)

    def recv(self, size: int, /) -> bytes:
        """b"" at the peer's end. Raises: BlockingIOError when the socket is non-blocking and has nothing whole."""
        if self._ahead:
            found, self._ahead = self._ahead[:size], self._ahead[size:]
            return found
        while True:
            try:
                return self._tls.read(size)
            except ssl.SSLWantReadError:
                self._flush()
                self._fill()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""
            except ssl.SSLError as err:
                raise Unavailable(f"remote error: tls: {err.reason or err}") from err

    def sendall(self, data: bytes, /) -> None:
        view = memoryview(data)
        while view:
            sent = self._tls.write(view[:_STEP])
            view = view[sent:]
            self._flush()

    def shutdown(self, how: int, /) -> None:
        """Say that nothing more comes from us; reading goes on."""
        if self._sent_end:
            return
        self._sent_end = True
        self._read_ahead()
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            pass  # it wants the peer's goodbye too, which comes when the peer is done
        self._flush()

    def _read_ahead(self) -> None:
        """Take what has come: with words of the peer still unread, OpenSSL's goodbye ends both directions."""
        try:
            while chunk := self._tls.read(_STEP):
                self._ahead += chunk
        except ssl.SSLError:
            pass  # nothing more now, or its end: the next read meets it again

    def pending(self) -> bool:
        """Whether bytes wait above the socket, where ``select`` does not see them."""
        return bool(self._ahead or self._tls.pending() or self._in.pending)

    def setblocking(self, flag: bool, /) -> None:
        self._sock.setblocking(flag)

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        self._sock.close()

    def why_closed(self) -> str:
        return ""
