"""One HTTP exchange with a registry.

Redirects are followed here, by hand: credentials stay behind where the origin changes, and https never becomes http.
What fails becomes ``Unreachable`` with the words that Docker has for it.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from berth import __version__
from berth.base.errors import InvalidArgument, TooLarge, Unavailable
from berth.registry.certs import Contexts
from berth.registry.challenge import same_origin
from berth.registry.hosts import is_insecure
from berth.registry.proxies import find_proxy
from berth.registry.settings import RegistrySettings

if TYPE_CHECKING:
    import aiohttp

CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 60.0
KEEP_ALIVE_S = 4.0
"""How long an idle connection is kept: shorter than any server keeps it, so that none is closed just when it is used again."""
_MAX_REDIRECTS = 5
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_READS = frozenset(("GET", "HEAD"))
_BUFFER = 1 << 20

Body = bytes | AsyncIterable[bytes]
"""What is sent: bytes, or what gives them anew each time that it is iterated (a request may be made twice)."""


class Unreachable(Unavailable):
    """The server was not reached, or the line broke. ``started``: bytes may have come before that."""

    def __init__(self, message: str, *, started: bool = False) -> None:
        super().__init__(message)
        self.started = started


class Transport:
    """Connections to registries; made at the first exchange, ended by ``close``."""

    def __init__(self, settings: RegistrySettings = RegistrySettings()) -> None:
        self._settings = settings
        self._contexts = Contexts(settings.certs_dirs)
        self._session: aiohttp.ClientSession | None = None

    def reload(self, settings: RegistrySettings) -> None:
        """New settings, for connections that begin after this."""
        self._settings = settings
        self._contexts = Contexts(settings.certs_dirs)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    @asynccontextmanager
    async def exchange(
        self, method: str, url: str, *, headers: Mapping[str, str], secret: str | None = None, body: Body | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:  # fmt: skip
        """The response to one request, redirects followed. ``secret`` is the Authorization header, for ``url``'s origin only.

        Raises: Unreachable; InvalidArgument for redirects that may not be followed.
        """
        here, carried = url, secret
        response: aiohttp.ClientResponse | None = None
        try:
            for _ in range(_MAX_REDIRECTS + 1):
                sent = {**headers, **({"Authorization": carried} if carried else {})}
                response = await self._request(method, here, sent, body)
                following = _redirect(response, method, here)
                if following is None:
                    break
                response.release()
                response = None
                carried = carried if same_origin(url, following) else None
                here = following
            else:
                raise InvalidArgument(f'{_verb(method)} "{url}": stopped after {_MAX_REDIRECTS} redirects')
            assert response is not None
            yield response
        finally:
            if response is not None:
                response.close() if not response.content.at_eof() else response.release()

    async def _request(
        self, method: str, url: str, headers: Mapping[str, str], body: Body | None
    ) -> aiohttp.ClientResponse:
        import aiohttp

        proxy = find_proxy(url)
        if proxy is None:
            await _resolves(method, url)
        verified = not is_insecure(urlsplit(url).netloc, self._settings)
        context: ssl.SSLContext | bool = self._contexts.context(url, verified=verified)
        try:
            return await self._open_session().request(
                method, url, headers=dict(headers), ssl=context, allow_redirects=False, proxy=proxy,
                data=body,
            )  # fmt: skip
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as err:
            raise Unreachable(sentence(method, url, err)) from err

    def _open_session(self) -> aiohttp.ClientSession:
        import aiohttp

        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=READ_TIMEOUT_S)
            self._session = aiohttp.ClientSession(
                timeout=timeout,
                trust_env=False,  # proxies are chosen here; .netrc is the user's, not the engine's
                auto_decompress=False,  # a blob's digest is that of the bytes as they are stored
                headers={"User-Agent": f"berth/{__version__}", "Accept-Encoding": "identity"},
                cookie_jar=aiohttp.DummyCookieJar(),
                connector=aiohttp.TCPConnector(
                    limit=0, resolver=aiohttp.ThreadedResolver(), keepalive_timeout=KEEP_ALIVE_S
                ),
                read_bufsize=_BUFFER,
            )
        return self._session


async def read_bounded(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The whole body. Raises: TooLarge above ``limit`` bytes, Unreachable when the line breaks."""
    return await read_all(pieces(response), limit, str(response.url.with_query(None)))


async def read_all(chunks: AsyncIterator[bytes], limit: int, what: str) -> bytes:
    """A stream as one. Raises: TooLarge above ``limit`` bytes."""
    parts: list[bytes] = []
    size = 0
    async for piece in chunks:
        size += len(piece)
        if size > limit:
            raise TooLarge(f"{what}: the answer has more than {limit} bytes")
        parts.append(piece)
    return b"".join(parts)


async def pieces(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The body as it comes. Raises: Unreachable (``started``) when the line breaks, or ends before its length."""
    import aiohttp

    try:
        async for piece in response.content.iter_any():
            yield piece
    except (TimeoutError, aiohttp.ClientError, OSError) as err:
        if rescued := _rescued(response):
            yield rescued
        raise Unreachable(sentence(response.method, str(response.url), err), started=True) from err


def _rescued(response: aiohttp.ClientResponse) -> bytes:
    """What had come before the line broke. aiohttp holds it back then: over many breaks that would be fetched many times."""
    parts = list(getattr(response.content, "_buffer", ()))
    if parts:
        parts[0] = parts[0][getattr(response.content, "_buffer_offset", 0) :]
    return b"".join(parts)


async def _resolves(method: str, url: str) -> None:
    """Ask for the host's address first: a name that is not there is noticed at once, and told in Docker's words."""
    parts = urlsplit(url)
    if not parts.hostname:
        raise InvalidArgument(f"invalid registry address {url!r}")
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await asyncio.get_running_loop().getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError) as err:
        raise Unreachable(sentence(method, url, err)) from err


def _redirect(response: aiohttp.ClientResponse, method: str, here: str) -> str | None:
    """Where ``response`` sends us; None where it doesn't. Raises: InvalidArgument for a redirect that may not be followed."""
    if response.status not in _REDIRECTS or "Location" not in response.headers:
        return None
    if method not in _READS and response.status not in (307, 308):
        return None  # these would turn a write into a read
    following = urljoin(here, response.headers["Location"])
    parts = urlsplit(following)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise InvalidArgument(f'{_verb(method)} "{here}": redirect to an address that is no web address')
    if parts.scheme == "http" and here.startswith("https:"):
        raise InvalidArgument(f'{_verb(method)} "{here}": redirect from https to http')
    return following


def _verb(method: str) -> str:
    return method.capitalize()


def sentence(method: str, url: str, err: BaseException) -> str:
    """Docker's words (Go's, that is) for what kept an exchange from happening. A query with a signature is not told."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    where = f"{host}:{parts.port or (80 if parts.scheme == 'http' else 443)}"
    return f'{_verb(method)} "{_without_query(url)}": {_reason(host, where, err)}'


def _without_query(url: str) -> str:
    """``url`` as it may stand in a message: signed URLs of object stores are credentials."""
    head, mark, query = url.partition("?")
    return head if "signature" in query.lower() or "token" in query.lower() else head + mark + query


def _reason(host: str, where: str, err: BaseException) -> str:
    causes: list[BaseException] = []
    cause: BaseException | None = err
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = getattr(cause, "certificate_error", None) or getattr(cause, "os_error", None) or cause.__cause__
    for found in causes:
        if isinstance(found, socket.gaierror | UnicodeError):
            temporary = isinstance(found, socket.gaierror) and found.errno == socket.EAI_AGAIN
            return f"dial tcp: lookup {host}: {'Temporary failure in name resolution' if temporary else 'no such host'}"
        if isinstance(found, ssl.SSLCertVerificationError) and (why := getattr(found, "verify_message", "")):
            return f"tls: failed to verify certificate: {why}"
        if isinstance(found, ssl.SSLError) and "WRONG_VERSION_NUMBER" in str(found):
            return "http: server gave HTTP response to HTTPS client"
    for found in causes:
        if isinstance(found, TimeoutError):
            return f"dial tcp {where}: i/o timeout"
        if isinstance(found, OSError) and found.errno in errno.errorcode:
            return f"dial tcp {where}: connect: {os.strerror(found.errno or 0).lower()}"
    return str(err) or type(err).__name__
