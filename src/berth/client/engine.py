"""``Engine``: requests to an engine, in the version both sides speak."""

from __future__ import annotations

from berth.base import errors as e
from berth.client import environment
from berth.client.dial import Endpoint
from berth.client.http import Connection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from berth.client.dial import Stream
    from berth.client.http import Response

MAX_VERSION = "1.51"
DOCKER_SOCKET = "/var/run/docker.sock"
OWN_SOCKET = "/run/berth/berth.sock"

_KINDS: dict[int, type[e.BerthError]] = {
    304: e.NotModified, 400: e.InvalidArgument, 401: e.Unauthorized, 403: e.Forbidden, 404: e.NotFound,
    409: e.Conflict, 413: e.TooLarge, 501: e.Unsupported, 503: e.Unavailable, 504: e.DeadlineExceeded,
}  # fmt: skip
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~")


def default_host() -> str:
    """DOCKER_HOST, else docker.sock where it exists, else Berth's own."""
    given = environment.get("DOCKER_HOST")
    if given:
        return given if "://" in given else f"unix://{given}" if given.startswith("/") else f"tcp://{given}"
    if environment.exists(DOCKER_SOCKET) or not environment.exists(OWN_SOCKET):
        return f"unix://{DOCKER_SOCKET}"
    return f"unix://{OWN_SOCKET}"


def quote(text: str, keep: str = "") -> str:
    """Percent-encoded UTF-8 for a query or a path segment; ``keep`` are more characters that stay."""
    if _UNRESERVED.issuperset(text):
        return text
    return "".join(c if c in _UNRESERVED or c in keep else "".join(f"%{b:02X}" for b in c.encode()) for c in text)


def _json(value: object) -> str:
    from berth.client import quick_json

    return quick_json.dumps(value)


def query(**parameters: object) -> str:
    """``?a=b``: None and False are left out, True is 1, dicts and lists become JSON."""
    parts = []
    for key, value in parameters.items():
        if value is None or value is False or value == "":
            continue
        text = "1" if value is True else _json(value) if isinstance(value, (dict, list)) else str(value)
        parts.append(f"{key}={quote(text)}")
    return "?" + "&".join(parts) if parts else ""


def _loads(raw: bytes) -> Any:
    from berth.client import quick_json

    return quick_json.loads(raw)


class Engine:
    """``where`` is an endpoint, or an address alone; nothing is connected before the first request."""

    def __init__(self, where: Endpoint | str | None = None) -> None:
        self.endpoint = where if isinstance(where, Endpoint) else Endpoint(where or default_host())
        self._version = environment.get("DOCKER_API_VERSION").removeprefix("v")
        self._connection: Connection | None = None
        self._greeted = False

    def greet(self) -> None:
        """Ask for the engine's version and do not wait for the answer: whoever calls has something to load meanwhile.

        Only where asking costs nothing (unix sockets). Nobody there is no error yet: the first request will say so.
        """
        if self._version or not self.host.startswith("unix:///"):
            return
        try:
            self._connection = Connection(self.endpoint)
            self._connection.send("HEAD", "/_ping")
            self._greeted = True
        except e.BerthError:
            self._connection = None

    @property
    def host(self) -> str:
        return self.endpoint.host

    @property
    def version(self) -> str:
        """The API version that is spoken: the lower of ours and the engine's."""
        if not self._version:
            response = self._greeting() or self._raw("HEAD", "/_ping", None, {})
            response.read()
            theirs = response.headers.get("api-version", "1.24")
            self._version = min((theirs, MAX_VERSION), key=lambda v: tuple(int(p) for p in v.split(".")))
        return self._version

    def _greeting(self) -> Response | None:
        """The answer to ``greet``, if there was one."""
        if not self._greeted or self._connection is None:
            return None
        self._greeted = False
        try:
            return self._connection.head("HEAD")
        except e.Unavailable:
            self._connection = None
            return None

    def at_least(self, version: str) -> bool:
        return tuple(map(int, self.version.split("."))) >= tuple(map(int, version.split(".")))

    def _raw(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None,
        headers: dict[str, str],
        *,
        fresh: bool = False,
    ) -> Response:
        if fresh:
            return Connection(self.endpoint).request(method, path, body, headers)
        if self._connection is None:
            self._connection = Connection(self.endpoint)
            return self._connection.request(method, path, body, headers)
        try:
            return self._connection.request(method, path, body, headers)
        except e.Unavailable:
            # the engine closed a kept-alive connection: once more on a new one
            self._connection = Connection(self.endpoint)
            return self._connection.request(method, path, body, headers)

    def send(
        self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None, fresh: bool = False,
        upload: Iterable[bytes] | None = None,
    ) -> Response:  # fmt: skip
        """A request; the answer's body is still to be read. ``fresh``: on a connection of its own (streams).

        Raises: the kind of the engine's error status with its message.
        """
        given = dict(headers or {})
        raw: bytes | Iterable[bytes] | None = upload
        version = self.version
        if body is not None:
            raw = _json(body).encode()
            given["Content-Type"] = "application/json"
        response = self._raw(method, f"/v{version}{path}", raw, given, fresh=fresh)
        if response.status >= 400 or response.status == 304:
            raise self._error(response)
        return response

    @staticmethod
    def _error(response: Response) -> e.BerthError:
        from berth.client import quick_json

        text = response.read().decode("utf-8", "replace")
        try:
            message = str(quick_json.loads(text)["message"])
        except (ValueError, KeyError, TypeError):
            message = text.strip() or f"the engine answered with status {response.status}"
        error = _KINDS.get(response.status, e.Internal)(message)
        error.op = "engine"
        return error

    def get(self, path: str) -> Any:
        return _loads(self.send("GET", path).read() or b"null")

    def post(self, path: str, body: Any = None) -> Any:
        raw = self.send("POST", path, body).read()
        return _loads(raw) if raw.strip() else None

    def delete(self, path: str) -> Any:
        raw = self.send("DELETE", path).read()
        return _loads(raw) if raw.strip() else None

    def hijack(self, path: str, body: Any = None) -> tuple[Stream, bytes, dict[str, str]]:
        """A stream both ways: (socket, output that came already, headers)."""
        headers = {"Connection": "Upgrade", "Upgrade": "tcp"}
        response = self.send("POST", path, body, headers=headers, fresh=True)
        sock, rest = response.hijack()
        return sock, rest, response.headers

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
