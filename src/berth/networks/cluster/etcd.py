"""``Etcd``: the key-value store over its JSON gateway. Several members are one store: the next is asked when one is away.

Spec: etcd v3 API, grpc-gateway: int64 as text, bytes in base64, a watch is an endless answer of JSON lines.
"""

from __future__ import annotations

import json
import ssl
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from berth.base.errors import NotFound, Unavailable

if TYPE_CHECKING:
    import aiohttp

TIMEOUT_S = 5.0
_CONNECT_TIMEOUT_S = 2.0
_NOT_FOUND = 5  # the gRPC status
_LINE_BYTES = 64 << 20


class Entry(NamedTuple):
    """A key with its value, and when it was written; ``value`` None in an event: it was deleted."""

    key: str
    value: bytes | None
    revision: int


class Picture(NamedTuple):
    """A range read at one moment."""

    revision: int
    entries: list[Entry]


Op = dict[str, Any]
Compare = dict[str, Any]


def put(key: str, value: bytes, lease: int = 0) -> Op:
    return {"request_put": {"key": _b64(key), "value": b64encode(value).decode(), "lease": str(lease)}}


def delete(key: str) -> Op:
    return {"request_delete_range": {"key": _b64(key)}}


def delete_below(prefix: str) -> Op:
    return {"request_delete_range": {"key": _b64(prefix), "range_end": _end(prefix)}}


def absent(key: str) -> Compare:
    return {"key": _b64(key), "target": "CREATE", "result": "EQUAL", "create_revision": "0"}


def present(key: str) -> Compare:
    return {"key": _b64(key), "target": "CREATE", "result": "GREATER", "create_revision": "0"}


def unchanged(key: str, value: bytes) -> Compare:
    return {"key": _b64(key), "target": "VALUE", "result": "EQUAL", "value": b64encode(value).decode()}


def older(key: str, revision: int) -> Compare:
    """It was not written after this revision; a key that is not there neither."""
    return {"key": _b64(key), "target": "MOD", "result": "LESS", "mod_revision": str(revision + 1)}


def older_below(prefix: str, revision: int) -> Compare:
    """Nothing below the prefix was written after this revision (deletions don't count)."""
    return {**older(prefix, revision), "range_end": _end(prefix)}


class Etcd:
    """``urls``: http(s)://host:port of its members. Raises from every call: Unavailable (nobody answers)."""

    def __init__(self, urls: Sequence[str], tls: ssl.SSLContext | None = None) -> None:
        self.urls = tuple(urls)
        self._tls = tls
        self._at = 0
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def read(self, prefix: str) -> Picture:
        """Everything below a prefix."""
        found = await self._ask("kv/range", {"key": _b64(prefix), "range_end": _end(prefix)})
        return Picture(int(found["header"]["revision"]), [_entry(kv) for kv in found.get("kvs", ())])

    async def commit(self, compares: Sequence[Compare], ops: Sequence[Op]) -> int:
        """Do all or nothing; the revision, or 0 when a comparison did not hold. Raises: NotFound (the lease is gone)."""
        found = await self._ask("kv/txn", {"compare": list(compares), "success": list(ops)})
        return int(found["header"]["revision"]) if found.get("succeeded") else 0

    async def grant(self, ttl_s: int) -> int:
        """A new lease."""
        return int((await self._ask("lease/grant", {"TTL": str(ttl_s)}))["ID"])

    async def keep(self, lease: int) -> None:
        """The lease lives for its time again. Raises: NotFound (it has ended)."""
        found = await self._ask("lease/keepalive", {"ID": str(lease)})
        if int(found.get("result", {}).get("TTL", 0)) <= 0:
            raise NotFound("the lease of this host has ended")

    async def revoke(self, lease: int) -> None:
        """End it with everything under it."""
        await self._ask("lease/revoke", {"ID": str(lease)})

    async def watch(self, prefix: str, revision: int) -> AsyncIterator[list[Entry]]:
        """What changes below a prefix from a revision on, until the connection ends. Raises: Unavailable."""
        body = {"create_request": {"key": _b64(prefix), "range_end": _end(prefix), "start_revision": str(revision)}}
        async with self._open("watch", body, endless=True) as response:
            async for line in _lines(response):
                result = line.get("result") or {}
                if line.get("error") or result.get("canceled"):
                    raise Unavailable(f"the cluster store ended the watch: {line.get('error') or result}")
                if result.get("events"):
                    yield [_event(event) for event in result["events"]]
        raise Unavailable("the cluster store hung up")

    async def _ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        async with self._open(path, body) as response:
            found: dict[str, Any] = json.loads(await response.read())
        return found

    @asynccontextmanager
    async def _open(
        self, path: str, body: dict[str, Any], *, endless: bool = False
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer of the first member that gives one."""
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(trust_env=False, read_bufsize=1 << 20)
        timeout = aiohttp.ClientTimeout(None if endless else TIMEOUT_S, sock_connect=_CONNECT_TIMEOUT_S)
        wrong: BaseException | str = ""
        for _ in self.urls:
            url = self.urls[self._at]
            try:
                response = await self._session.post(
                    f"{url}/v3/{path}", json=body, ssl=self._tls or True, timeout=timeout
                )
            except (TimeoutError, aiohttp.ClientError, OSError) as err:
                wrong = str(err) or type(err).__name__
            else:
                async with response:
                    if response.status == 200:
                        try:
                            yield response
                        except (TimeoutError, aiohttp.ClientError) as err:
                            raise Unavailable(f"the cluster store {url} hung up: {err}") from err
                        return
                    wrong = await _refusal(response)
            self._at = (self._at + 1) % len(self.urls)
        raise Unavailable(f"the cluster store {', '.join(self.urls)} does not answer: {wrong}")


async def _refusal(response: aiohttp.ClientResponse) -> str:
    """What a member says instead of an answer. Raises: NotFound."""
    text = await response.text()
    try:
        found = json.loads(text)
    except ValueError:
        return text[:200]
    if found.get("code") == _NOT_FOUND:
        raise NotFound(str(found.get("error") or found.get("message")))
    return str(found.get("error") or found.get("message") or text[:200])


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    held = b""
    async for chunk in response.content.iter_any():
        held += chunk
        if len(held) > _LINE_BYTES:
            raise Unavailable("the cluster store sent a line without an end")
        *lines, held = held.split(b"\n")
        for line in filter(None, lines):
            yield json.loads(line)


def _entry(kv: dict[str, str]) -> Entry:
    return Entry(b64decode(kv["key"]).decode(), b64decode(kv.get("value", "")), int(kv["mod_revision"]))


def _event(event: dict[str, Any]) -> Entry:
    found = _entry(event["kv"])
    return found._replace(value=None) if event.get("type") == "DELETE" else found


def _b64(text: str) -> str:
    return b64encode(text.encode()).decode()


def _end(prefix: str) -> str:
    """The first key behind everything that begins so."""
    return _b64(prefix[:-1] + chr(ord(prefix[-1]) + 1))
