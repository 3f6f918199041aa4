"""``App``: routes to handlers, versions, and the listening servers."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import ssl
from collections.abc import Awaitable, Callable

from berth.api import archives, containers, execs, images, networks, registries, swarm, system, volumes
from berth.api.errors import status_of
from berth.api.http.head import Malformed
from berth.api.http.request import ClientGone, Request
from berth.api.http.server import Server, serve
from berth.api.services import Services
from berth.base.errors import BerthError, Forbidden, InvalidArgument
from berth.spec import messages

log = logging.getLogger("berth.api")

MAX_VERSION = (1, 51)
MIN_VERSION = (1, 24)

Handler = Callable[[Services, Request], Awaitable[None]]
_VERSION = re.compile(r"/v(\d+)\.(\d+)(/.*)")


class Route:
    """``stream``: the handler is cancelled when the client hangs up; others run to their end."""

    __slots__ = ("handler", "pattern", "stream")

    def __init__(self, pattern: str, handler: Handler, stream: bool) -> None:
        self.pattern = re.compile(pattern)
        self.handler = handler
        self.stream = stream


def all_routes() -> list[tuple[str, str, Handler, bool]]:
    """Method, pattern, handler, and whether it is a stream; where two fit, the first pattern counts."""
    modules = (system, containers, archives, execs, registries, images, networks, volumes, swarm)
    return [route for module in modules for route in module.ROUTES] + [("GET", "/openapi.json", document, False)]


async def document(services: Services, request: Request) -> None:
    """What is served, described."""
    from berth.api.openapi import build

    request.respond_json(200, build(all_routes(), api_version()))


def api_version() -> str:
    """The newest version that is served."""
    return _text(MAX_VERSION)


class App:
    def __init__(self, services: Services, *, server_version: str, debug: bool) -> None:
        self._services = services
        self._debug = debug
        self._headers = (
            f"Api-Version: {MAX_VERSION[0]}.{MAX_VERSION[1]}\r\nDocker-Experimental: false\r\nOstype: linux\r\n"
            f"Server: Berth/{server_version} (linux)"
        )
        self._exact: dict[tuple[str, str], Route] = {}
        self._routes: dict[str, list[Route]] = {}
        for method, pattern, handler, stream in all_routes():
            self._add(method, pattern, handler, stream)

    def _add(self, method: str, pattern: str, handler: Handler, stream: bool) -> None:
        route = Route(pattern, handler, stream)
        if re.fullmatch(r"[\w/.]+", pattern) and "." not in pattern.rpartition("/")[0]:
            self._exact[(method, pattern)] = route
        else:
            self._routes.setdefault(method, []).append(route)

    def _find(self, request: Request) -> Route | None:
        route = self._exact.get((request.method, request.path))
        if route is not None:
            return route
        for candidate in self._routes.get(request.method, ()):
            match = candidate.pattern.fullmatch(request.path)
            if match is not None:
                request.groups = tuple(match.groups())
                return candidate
        return None

    async def handle(self, request: Request) -> None:
        """Answer one request; what goes wrong becomes the table's status and Docker's body."""
        try:
            if not request.protocol.local:
                _refuse_browsers(request)
            _take_version(request)
            if request.has_nul:
                raise InvalidArgument("invalid query: it contains a NUL character")
            route = self._find(request)
            if route is None:
                request.respond_json(404, {"message": messages.page_not_found()})
                return
            request.cancel_on_eof = route.stream
            await route.handler(self._services, request)
        except BerthError as err:
            self._refuse(request, status_of(err), err.message)
            if status_of(err) >= 500:
                log.warning("%s %s: %s", request.method, request.path, err.message)
        except (ClientGone, Malformed, asyncio.CancelledError):
            raise
        except Exception as err:
            log.exception("%s %s", request.method, request.path)
            self._refuse(request, 500, f"internal error: {type(err).__name__}: {err}")

    @staticmethod
    def _refuse(request: Request, status: int, message: str) -> None:
        if request.answered:
            request.keep_alive = False  # in the middle of a stream: only its end can tell
            return
        if status == 304:
            request.respond(304)
        else:
            request.respond_json(status, {"message": message})

    async def serve(self, sock: socket.socket, tls: ssl.SSLContext | None = None) -> Server:
        """Serve a listening socket, unix or TCP, which the server owns from here."""
        return await serve(sock, self.handle, self._headers, tls)


def _take_version(request: Request) -> None:
    """Cut ``/v1.41`` off the path. Raises: InvalidArgument in Docker's words."""
    match = _VERSION.fullmatch(request.path)
    if match is None:
        return
    version = (int(match[1]), int(match[2]))
    text = _text(version)
    if version > MAX_VERSION:
        raise InvalidArgument(messages.client_too_new(text, _text(MAX_VERSION)))
    if version < MIN_VERSION:
        raise InvalidArgument(messages.client_too_old(text, _text(MIN_VERSION)))
    request.version = version
    request.path = match[3]


def _text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def _refuse_browsers(request: Request) -> None:
    """A page of another site may make a browser send requests to an open port: they say where they come from.

    Raises: Forbidden.
    """
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
        raise Forbidden(f"requests from pages of {origin} are not answered")
