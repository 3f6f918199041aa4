"""Writing to a repository: blobs (mounted, whole, or in pieces after a break) and manifests.

    HEAD blobs/<digest>                          200: nothing to do
    POST blobs/uploads/?mount=<digest>&from=<r>  201: the registry had it elsewhere;  202: an upload, Location
    PUT  <location>?digest=                      the whole blob at once
      broke off:  GET <location> -> Range: 0-<n>;  PATCH in pieces from n+1 on;  PUT <location>?digest= without a body
    PUT  manifests/<tag or digest>               byte for byte

Spec: OCI distribution-spec 1.1, Pushing.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from io import FileIO
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urljoin

from berth.base.errors import BerthError, DataLoss, Forbidden, NotFound, TooLarge, Unauthorized, Unavailable
from berth.base.threads import run_to_end
from berth.registry.transport import Unreachable
from berth.spec.digest import digest_of

if TYPE_CHECKING:
    from berth.registry.client import Repository
    from berth.registry.hosts import Endpoint

PIECE_BYTES = 16 << 20
_READ = 1 << 19
_TRIES = 5
_MAX_MOUNTS = 3
_TOO_LARGE = frozenset((200, 201, 202, 204, 413))

Sent = Callable[[int], None]
"""Told how many bytes of a blob have gone out."""


class Source(NamedTuple):
    """A blob's file."""

    digest: str
    size: int
    path: str


class _Piece:
    """Bytes of a file from ``start`` to ``end``; each iteration reads them anew."""

    def __init__(self, source: Source, start: int, end: int, sent: Sent) -> None:
        self._source, self._start, self._end, self._sent = source, start, end, sent

    async def __aiter__(self) -> AsyncIterator[bytes]:
        file = await run_to_end(None, FileIO, self._source.path)
        with file:
            file.seek(self._start)
            at = self._start
            while at < self._end:
                chunk = await run_to_end(None, file.read, min(_READ, self._end - at))
                if not chunk:
                    raise DataLoss(f"blob {self._source.digest} is shorter than its {self._source.size} bytes")
                at += len(chunk)
                yield chunk
                self._sent(at)


class Uploader:
    """Writes to the first of a repository's servers that answers."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._server: Endpoint | None = None

    async def server(self) -> Endpoint:
        """The server to write to, found by asking. Raises: what keeps it from answering."""
        if self._server is None:
            failure: BerthError | None = None
            for server in self._repository.servers():
                try:
                    async with self._repository.caller.request(server, "GET", server.url(""), (), accept=_ANY):
                        self._server = server
                        break
                except Unreachable as err:
                    failure = failure or err
            if self._server is None:
                assert failure is not None
                raise failure
        return self._server

    async def has_blob(self, digest: str) -> bool:
        server = await self.server()
        url = server.url(f"{self._repository.ref.path}/blobs/{digest}")
        try:
            async with self._repository.caller.request(server, "HEAD", url, self._repository.scopes):
                return True
        except NotFound:
            return False

    async def has_manifest(self, digest: str) -> bool:
        server = await self.server()
        url = server.url(f"{self._repository.ref.path}/manifests/{digest}")
        headers = {"Accept": "*/*"}
        try:
            async with self._repository.caller.request(server, "HEAD", url, self._repository.scopes, headers=headers):
                return True
        except NotFound:
            return False

    async def put_blob(self, source: Source, mount_from: Sequence[str], sent: Sent) -> str:
        """The repository has the blob when this returns; the repository that it was mounted from, or "".

        ``mount_from``: paths of repositories of the same registry that are known to have it.
        """
        location = ""
        for path in mount_from[:_MAX_MOUNTS]:
            location, mounted = await self._begin(source.digest, path)
            if mounted:
                return path
        for attempt in range(1, _TRIES + 1):
            try:
                if attempt == 1:
                    location = location or (await self._begin())[0]
                    await self._put_whole(location, source, sent)
                else:
                    location, offset = await self._offset(location)
                    await self._put_pieces(location, source, offset, sent)
                return ""
            except Unreachable:
                if attempt == _TRIES:
                    raise
                await asyncio.sleep(random.uniform(0.1, 0.4) * attempt)
        raise AssertionError("unreachable")

    async def mount(self, digest: str, path: str) -> bool:
        """Have the registry take a blob over from another repository of its own; False where it does not."""
        return await self.has_blob(digest) or (await self._begin(digest, path))[1]

    async def _begin(self, digest: str = "", from_: str = "") -> tuple[str, bool]:
        """A new upload's location, or ("", True) when the blob was mounted."""
        repository, server = self._repository, await self.server()
        query = {"mount": digest, "from": from_} if from_ else {}
        scopes = (*repository.scopes, *([f"repository:{from_}:pull"] if from_ else []))
        url = server.url(f"{repository.ref.path}/blobs/uploads/", **query)
        try:
            async with repository.caller.request(
                server, "POST", url, scopes, headers={"Content-Length": "0"}
            ) as response:
                return urljoin(url, response.headers.get("Location", "")), bool(from_) and response.status == 201
        except (NotFound, Forbidden, Unauthorized):
            if not from_:
                raise
            return await self._begin()  # whoever may not read there, may still write here

    async def _put_whole(self, location: str, source: Source, sent: Sent) -> None:
        server = await self.server()
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(source.size)}
        body = _Piece(source, 0, source.size, sent) if source.size else b""
        async with self._repository.caller.request(
            server, "PUT", _with_digest(location, source.digest), self._repository.scopes, headers=headers, body=body,
            accept=_TOO_LARGE,
        ) as response:  # fmt: skip
            status = response.status
        if status == 413:  # something between us and the registry bounds a request's size
            await self._put_pieces((await self._begin())[0], source, 0, sent)

    async def _offset(self, location: str) -> tuple[str, int]:
        """Where an upload that broke off stands; a new one where the registry forgot it."""
        server = await self.server()
        if location:
            try:
                async with self._repository.caller.request(
                    server, "GET", location, self._repository.scopes
                ) as response:
                    end = response.headers.get("Range", "").rpartition("-")[2]
                    following = urljoin(location, response.headers.get("Location", location))
                    return following, int(end) + 1 if end.isdigit() and int(end) else 0
            except (NotFound, Unavailable):
                pass
        return (await self._begin())[0], 0

    async def _put_pieces(self, location: str, source: Source, offset: int, sent: Sent) -> None:
        server, scopes = await self.server(), self._repository.scopes
        while offset < source.size:
            end = min(offset + PIECE_BYTES, source.size)
            headers = {
                "Content-Type": "application/octet-stream", "Content-Length": str(end - offset),
                "Content-Range": f"{offset}-{end - 1}",
            }  # fmt: skip
            async with self._repository.caller.request(
                server, "PATCH", location, scopes, headers=headers, body=_Piece(source, offset, end, sent)
            ) as response:
                location = urljoin(location, response.headers.get("Location", location))
            offset = end
        async with self._repository.caller.request(
            server, "PUT", _with_digest(location, source.digest), scopes, headers={"Content-Length": "0"}
        ):
            pass

    async def put_manifest(self, content: bytes, media_type: str, reference: str) -> None:
        """Raises: DataLoss when the registry says that it stored something else."""
        if len(content) > 4 << 20:
            raise TooLarge("a manifest may have at most 4 MiB")
        repository, server = self._repository, await self.server()
        url = server.url(f"{repository.ref.path}/manifests/{reference}")
        async with repository.caller.request(
            server, "PUT", url, repository.scopes, headers={"Content-Type": media_type}, body=content
        ) as response:
            stored = response.headers.get("Docker-Content-Digest", "")
        if stored and stored != digest_of(content):
            raise DataLoss(f"the registry stored {stored} for the manifest {digest_of(content)}")


_ANY = frozenset(range(200, 600)) - {429, 500, 502, 503, 504}


def _with_digest(location: str, digest: str) -> str:
    return f"{location}{'&' if '?' in location else '?'}digest={digest}"
