"""``dial``: a byte stream to an engine, by whatever way its address says.

    unix:///path            a unix socket
    tcp://host:port         plain, or TLS when the endpoint has TLS settings (``tls.py``)
    ssh://[user@]host[:port][/socket]   ``system dial-stdio`` on the other side (``ssh.py``)

Only unix sockets are ready at import: the rest is loaded when an address asks for it.
"""

from __future__ import annotations

import _socket

from berth.base.errors import InvalidArgument, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from berth.client.tls import TlsSettings

    class Stream(Protocol):
        """What the client needs of a connection, whatever carries it."""

        def recv(self, size: int, /) -> bytes: ...
        def sendall(self, data: bytes, /) -> None: ...
        def shutdown(self, how: int, /) -> None: ...
        def setblocking(self, flag: bool, /) -> None: ...
        def fileno(self) -> int: ...
        def close(self) -> None: ...
        def pending(self) -> bool: ...
        def why_closed(self) -> str: ...


class Endpoint:
    """Where an engine is and how to speak to it. ``headers`` go with every request."""

    __slots__ = ("headers", "host", "timeout_s", "tls")

    def __init__(
        self, host: str, *, tls: TlsSettings | None = None, headers: dict[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> None:  # fmt: skip
        self.host = host
        self.tls = tls
        self.headers = headers or {}
        self.timeout_s = timeout_s


class PlainStream(_socket.socket):
    """A socket as a ``Stream``; ``_socket``, since the module around it costs 5 ms of imports."""

    bare_tcp = False
    """Without TLS over TCP, where the other side may have wanted it."""

    def pending(self) -> bool:
        """Plain sockets keep nothing back: ``select`` tells all."""
        return False

    def why_closed(self) -> str:
        if not self.bare_tcp:
            return ""
        return (
            "the engine closed the connection without an answer: Client sent an HTTP request to an HTTPS server? "
            "then set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH, or use --tlsverify"
        )


def dial(endpoint: Endpoint) -> Stream:
    """Raises: Unavailable with Docker's sentence; InvalidArgument for an address of no known kind."""
    scheme, _, rest = endpoint.host.partition("://")
    try:
        if scheme == "unix":
            return _unix(rest, endpoint.timeout_s)
        if scheme == "ssh":
            from berth.client.ssh import dial_ssh

            return dial_ssh(endpoint.host)
        if scheme in ("tcp", "http", "https"):
            plain = _tcp(rest, endpoint.timeout_s)
            if endpoint.tls is None and scheme != "https":
                plain.bare_tcp = True
                return plain
            from berth.client.tls import TlsSettings, TlsStream

            host = rest.rstrip("/").rpartition(":")[0].strip("[]")
            return TlsStream(plain, endpoint.tls or TlsSettings(), host)
        raise InvalidArgument(f"protocol not available: {scheme or endpoint.host}: write unix://, tcp:// or ssh://")
    except PermissionError as err:
        raise Unavailable(
            f"permission denied while trying to connect to the Docker daemon socket at {endpoint.host}: become a member "
            f"of the socket's group (usermod -aG docker $USER, then log in again), or use sudo"
        ) from err
    except (OSError, ValueError, OverflowError) as err:
        raise Unavailable(
            f"Cannot connect to the Docker daemon at {endpoint.host}. Is the docker daemon running?"
        ) from err


def _unix(path: str, timeout_s: float | None) -> PlainStream:
    sock = PlainStream(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    if timeout_s is not None:
        sock.settimeout(timeout_s)
    sock.connect(path)
    return sock


def _tcp(address: str, timeout_s: float | None) -> PlainStream:
    host, _, port = address.rstrip("/").rpartition(":")
    failure: OSError = OSError("no address")
    found = _socket.getaddrinfo(host.strip("[]") or "127.0.0.1", int(port or 2375), 0, _socket.SOCK_STREAM)
    for family, kind, proto, _, where in found:
        sock = PlainStream(family, kind | _socket.SOCK_CLOEXEC, proto)
        sock.settimeout(timeout_s or 30)
        try:
            sock.connect(where)
        except OSError as err:
            failure = err
            sock.close()
            continue
        sock.settimeout(timeout_s)
        sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        return sock
    raise failure
