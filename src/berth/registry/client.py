"""``RegistryClient`` and ``Repository``: the manifests and blobs of one name, wherever they are served."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urljoin

from berth.base.errors import (
    BerthError,
    DataLoss,
    Forbidden,
    Internal,
    InvalidArgument,
    NotFound,
    Unauthorized,
    Unavailable,
)
from berth.registry.caller import Caller
from berth.registry.challenge import same_origin
from berth.registry.hosts import Endpoint, endpoints, origins
from berth.registry.settings import RegistrySettings
from berth.registry.tokens import Tokens, credentials
from berth.registry.transport import Transport, Unreachable, pieces, read_bounded
from berth.spec.digest import digest_of, is_digest
from berth.spec.distribution import MANIFEST_ACCEPT
from berth.spec.image import MAX_MANIFEST, OCI_INDEX

if TYPE_CHECKING:
    import aiohttp

    from berth.spec.reference import Reference

_MAX_LIST = 8 << 20
_MAX_PAGES = 1000
_PASSES_ON = (NotFound, Unauthorized, Forbidden, Unavailable, Internal, DataLoss, InvalidArgument)
"""What a mirror may say without ending the search."""
_TROUBLE = 2


class FetchedManifest(NamedTuple):
    """``content`` byte for byte; ``digest`` computed from it."""

    content: bytes
    media_type: str
    digest: str


class BlobStream(NamedTuple):
    """``offset``: where the bytes begin (0 when the server does not know ranges). ``server``: who sends them.

    ``size_bytes``: of the whole blob, as the server says; None where it doesn't.
    """

    offset: int
    chunks: AsyncIterator[bytes]
    server: Endpoint
    size_bytes: int | None = None


class RegistryClient:
    """Connections and settings shared by all pulls and pushes."""

    def __init__(self, settings: RegistrySettings = RegistrySettings()) -> None:
        self.transport = Transport(settings)
        self.settings = settings

    def reload(self, settings: RegistrySettings) -> None:
        """New settings, for pulls and pushes that begin after this."""
        self.settings = settings
        self.transport.reload(settings)

    def repository(self, ref: Reference, auth: Mapping[str, str] | None, *, push: bool = False) -> Repository:
        """The repository that ``ref`` names, for the user of ``auth``; ``push``: to be written to.

        Raises: InvalidArgument.
        """
        servers = origins(ref.domain, self.settings) if push else endpoints(ref.domain, self.settings)
        caller = Caller(self.transport, Tokens(self.transport, credentials(auth)), ref)
        return Repository(caller, servers, ref, "pull,push" if push else "pull")

    async def close(self) -> None:
        await self.transport.close()


class Repository:
    """One name at the first of its servers that has it.

    A server that was not reached is not asked again; a mirror that lacks something, lies or breaks off twice is passed over.
    Raises (all methods): NotFound, Unauthorized, Forbidden, Unavailable, with Docker's sentences.
    """

    def __init__(self, caller: Caller, servers: list[Endpoint], ref: Reference, actions: str) -> None:
        self.caller = caller
        self.ref = ref
        self.scopes = (f"repository:{ref.path}:{actions}",)
        self._servers = servers
        self._etags: dict[tuple[str, str], str] = {}
        self._trouble: Counter[Endpoint] = Counter()

    # --- which server

    def servers(self, *, tag: bool = False) -> Iterator[Endpoint]:
        """Servers still worth asking; ``tag``: those that may say what a tag means."""
        return iter([s for s in self._servers if self._trouble[s] < _TROUBLE and (s.resolves or not tag)])

    def distrust(self, server: Endpoint) -> None:
        """Pass ``server`` over from now on, where it is a mirror: what came from it was not what was asked for."""
        if server.is_mirror:
            self._trouble[server] = _TROUBLE

    def _failed(self, server: Endpoint, err: BerthError) -> None:
        """Raises: ``err`` where no other server is to be asked after it."""
        if isinstance(err, Unreachable):
            if server.is_mirror or len(self._servers) > 1:
                self._trouble[server] += 1 if err.started else _TROUBLE
            if err.started:
                raise err
            return
        if not server.is_mirror:
            raise err
        if isinstance(err, DataLoss):
            self.distrust(server)

    def _nobody(self, failures: list[tuple[Endpoint, BerthError]]) -> BerthError:
        """Why nothing came: what the registry itself says first counts more than any mirror's answer."""
        for server, err in failures:
            if not server.is_mirror:
                self._trouble.clear()
                return err
        return failures[-1][1] if failures else Unavailable(f"{self.ref.familiar_name}: no server is left to ask")

    # --- reading

    async def manifest(self, reference: str) -> FetchedManifest:
        """A manifest or index by tag or digest. Raises: also DataLoss when a digest is given and is not that of what came."""
        failures: list[tuple[Endpoint, BerthError]] = []
        for server in self.servers(tag=not is_digest(reference)):
            try:
                return await self._manifest_from(server, reference)
            except _PASSES_ON as err:
                failures.append((server, err))
                self._failed(server, err)
        raise self._nobody(failures)

    async def _manifest_from(self, server: Endpoint, reference: str) -> FetchedManifest:
        url = server.url(f"{self.ref.path}/manifests/{reference}")
        async with self.caller.request(
            server, "GET", url, self.scopes, headers={"Accept": MANIFEST_ACCEPT}
        ) as response:
            content = await read_bounded(response, MAX_MANIFEST)
            media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
        digest = digest_of(content)
        if is_digest(reference) and digest != reference:
            raise DataLoss(f"manifest verification failed for digest {reference}")
        return FetchedManifest(content, media_type, digest)

    @asynccontextmanager
    async def blob(self, digest: str, offset: int = 0) -> AsyncIterator[BlobStream]:
        """A blob's bytes from ``offset`` on. The caller verifies them, and comes again after Unreachable."""
        failures: list[tuple[Endpoint, BerthError]] = []
        for server in self.servers():
            stack = AsyncExitStack()
            try:
                response = await stack.enter_async_context(self._blob_from(server, digest, offset))
            except _PASSES_ON as err:
                failures.append((server, err))
                self._failed(server, err)
                continue
            async with stack:
                begins = _range_start(response, offset)
                size_bytes = begins + response.content_length if response.content_length is not None else None
                yield BlobStream(begins, self._watched(response, server), server, size_bytes)
            return
        raise self._nobody(failures)

    @asynccontextmanager
    async def _blob_from(self, server: Endpoint, digest: str, offset: int) -> AsyncIterator[aiohttp.ClientResponse]:
        url, key = server.url(f"{self.ref.path}/blobs/{digest}"), (server.root, digest)
        headers = {"Accept": "application/octet-stream, */*"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if key in self._etags:
                headers["If-Range"] = self._etags[key]  # another representation: all of it, from the start
        async with self.caller.request(server, "GET", url, self.scopes, headers=headers) as response:
            etag = response.headers.get("ETag", "")
            if etag.startswith('"'):  # a weak one says nothing about bytes
                self._etags[key] = etag
            yield response

    async def _watched(self, response: aiohttp.ClientResponse, server: Endpoint) -> AsyncIterator[bytes]:
        try:
            async for piece in pieces(response):
                yield piece
        except Unreachable:
            if server.is_mirror:
                self._trouble[server] += 1
            raise

    # --- listing

    async def tags(self) -> list[str]:
        """Every tag."""
        return [tag async for tag in self._list(f"{self.ref.path}/tags/list", "tags") if isinstance(tag, str)]

    async def catalog(self) -> list[str]:
        """Every repository of the registry, as far as the user may list them."""
        self.scopes = ("registry:catalog:*",)
        return [name async for name in self._list("_catalog", "repositories") if isinstance(name, str)]

    async def referrers(self, digest: str) -> list[dict[str, Any]]:
        """Descriptors of what refers to ``digest``; from the fallback tag where the registry has no such API.

        Spec: OCI distribution-spec, Listing Referrers.
        """
        try:
            path = f"{self.ref.path}/referrers/{digest}"
            return [entry async for entry in self._list(path, "manifests") if isinstance(entry, dict)]
        except NotFound:
            pass
        try:
            found = await self.manifest(digest.replace(":", "-"))
        except NotFound:
            return []
        document = json.loads(found.content) if found.media_type == OCI_INDEX else {}
        return [entry for entry in document.get("manifests") or [] if isinstance(entry, dict)]

    async def _list(self, path: str, key: str) -> AsyncIterator[Any]:
        """Entries of a list in pages. The registry itself is asked: a mirror's list is what it happens to hold."""
        failures: list[tuple[Endpoint, BerthError]] = []
        for server in [server for server in self.servers() if not server.is_mirror]:
            try:
                pages = self._pages(server, path, key)
                first = await anext(pages)
            except _PASSES_ON as err:
                failures.append((server, err))
                self._failed(server, err)
                continue
            for entry in first:
                yield entry
            async for page in pages:
                for entry in page:
                    yield entry
            return
        raise self._nobody(failures)

    async def _pages(self, server: Endpoint, path: str, key: str) -> AsyncIterator[list[Any]]:
        url = server.url(path)
        for _ in range(_MAX_PAGES):
            async with self.caller.request(server, "GET", url, self.scopes) as response:
                content = await read_bounded(response, _MAX_LIST)
                following = _next_link(response.headers.get("Link", ""))
            try:
                entries = json.loads(content)[key] or []
            except (ValueError, KeyError, TypeError) as err:
                raise Internal(f"{self.ref.familiar_name}: the registry's answer to {path} is no list") from err
            yield entries if isinstance(entries, list) else []
            if not following:
                return
            url = urljoin(url, following)
            if not same_origin(url, server.root):
                raise InvalidArgument(f"{self.ref.familiar_name}: the list goes on at another host")


def _next_link(header: str) -> str:
    """The target of ``<url>; rel="next"``."""
    target, _, tail = header.partition(">")
    return target.strip().removeprefix("<") if "next" in tail else ""


def _range_start(response: aiohttp.ClientResponse, offset: int) -> int:
    """Where the answer's bytes begin. Raises: Unreachable for a piece that was not asked for."""
    if response.status != 206:
        return 0
    text = response.headers.get("Content-Range", "")
    if not text.startswith(f"bytes {offset}-"):
        raise Unreachable(
            f"{response.url.with_query(None)}: the server sent {text!r} for bytes from {offset} on", started=True
        )
    return offset
