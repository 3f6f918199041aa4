"""``load`` and ``import``: archives that a client sends."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from berth.base.errors import BerthError, InvalidArgument
from berth.base.ids import new_id
from berth.content.leases import Lease
from berth.engine.images.stores import Progress, Stores
from berth.images.archive import read_archive
from berth.images.changes import apply_changes
from berth.images.compose import manifest
from berth.images.layouts import Found, find_images
from berth.images.store import StoredManifest
from berth.snapshots.inflate import Inflated
from berth.spec.digest import chain_ids, digest_of
from berth.spec.image import DOCKER_MANIFEST
from berth.spec.platform import Platform, host_platform, parse_platform
from berth.spec.reference import check_tag, parse_reference

_HIGH = 8 << 20


class Pipe:
    """An async source as a file for plain code: ``feed`` on the event loop, ``read`` on a thread. Bounded."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._failed: BaseException | None = None
        self._ready = threading.Condition()
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Event()
        self._room.set()

    async def feed(self, source: AsyncIterator[bytes]) -> None:
        """Pump until the source ends; how it ended is the reader's to hear."""
        try:
            async for chunk in source:
                await self._room.wait()
                with self._ready:
                    self._chunks.append(chunk)
                    self._size += len(chunk)
                    if self._size > _HIGH:
                        self._room.clear()
                    self._ready.notify()
        except BaseException as err:
            self._failed = err
            raise
        finally:
            with self._ready:
                self._ended = True
                self._ready.notify()

    def read(self, size: int, /) -> bytes:
        with self._ready:
            while not self._chunks and not self._ended:
                self._ready.wait()
            if not self._chunks:
                if isinstance(self._failed, BerthError):
                    raise self._failed
                if self._failed is not None:
                    raise InvalidArgument("the client hung up before it had sent everything")
                return b""
            chunk = self._chunks.popleft()
            if len(chunk) > size:
                self._chunks.appendleft(chunk[size:])
                chunk = chunk[:size]
            self._size -= len(chunk)
            if self._size <= _HIGH // 2:
                self._loop.call_soon_threadsafe(self._room.set)
        return chunk


async def load(
    stores: Stores, source: AsyncIterator[bytes], *, quiet: bool, wanted: Platform | None, progress: Progress
) -> None:
    """Every image of an archive, unpacked and named; of one for several platforms all, or the one ``wanted``.

    Raises: InvalidArgument for what is no image archive, NotFound where it has nothing for the platform.
    """
    lease = await stores.call(stores.leases.acquire, f"load {new_id()[:16]}")
    pipe = Pipe()
    feeder = asyncio.ensure_future(pipe.feed(source))
    try:
        limit = stores.limits.max_bytes
        archive = await stores.call(lambda: read_archive(pipe, stores.blobs, lease, max_member=limit))
        await feeder
        told: set[str] = set()
        for found in await stores.call(find_images, archive, stores.blobs, wanted):
            await _load_one(stores, found, lease, told, progress)
    finally:
        feeder.cancel()
        await asyncio.gather(feeder, return_exceptions=True)
        await stores.call(lease.release)
        await stores.collect()


async def _load_one(stores: Stores, found: Found, lease: Lease, told: set[str], progress: Progress) -> None:
    config = await stores.call(stores.read_config, found.config)
    layers = found.manifest.layers
    if len(layers) != len(config.diff_ids):
        raise InvalidArgument("invalid archive: an image's config and its list of layers differ in number")
    chains = chain_ids(list(config.diff_ids))
    await stores.call(lease.hold, "snapshot", *chains)
    await stores.unpacker.unpack_all(list(zip(layers, chains, config.diff_ids, strict=True)))
    names = list(found.names)
    top = found.target or found.manifest.digest
    if top:
        names += [name.with_digest(top) for name in found.names]
    image = await stores.record(found.config, found.manifest, names, target=top, extra=found.extra)
    lines = [f"Loaded image: {name.familiar}" for name in found.names] or [f"Loaded image ID: {image.id}"]
    for line in lines:
        if line not in told:
            told.add(line)
            progress({"stream": line + "\n"})
    stores.announce("load", image)


async def import_(
    stores: Stores, source: AsyncIterator[bytes], *, repo: str | None, tag: str | None, message: str,
    changes: list[str], platform: str | None, progress: Progress,
) -> None:  # fmt: skip
    """A filesystem's tar as an image of one layer. Raises: InvalidArgument."""
    names = []
    if repo:
        ref = parse_reference(repo)
        names = [ref.with_tag(check_tag(tag)) if tag else ref.tagged()]
    wanted = parse_platform(platform) if platform else host_platform()
    config: dict[str, object] = {}
    apply_changes(config, changes)
    lease = await stores.call(stores.leases.acquire, f"import {new_id()[:16]}")
    pipe = Pipe()
    feeder = asyncio.ensure_future(pipe.feed(source))
    try:
        blob, size, diff_id = await stores.call(_store_stream, stores, pipe, lease)
        await feeder
        chain = chain_ids([diff_id])[0]
        await stores.call(lease.hold, "snapshot", chain)
        if stores.snapshots.find(chain) is None:
            await stores.unpacker.unpack(blob, "", chain, diff_id)
        created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        document = {
            "architecture": wanted.architecture, "os": wanted.os, "created": created, "config": config,
            "history": [{"created": created, "comment": message}],
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        }  # fmt: skip
        raw = json.dumps(document).encode()
        manifest_raw = manifest(digest_of(raw), len(raw), [(blob, size)])
        digests = (digest_of(raw), digest_of(manifest_raw))
        await stores.call(lease.hold, "blob", *digests)
        for content in (raw, manifest_raw):
            await stores.call(stores.blobs.put, content, "")
        image = await stores.record(
            digests[0],
            StoredManifest(digests[1], DOCKER_MANIFEST, len(manifest_raw), (blob,)),
            names,
            tagged=bool(names),
        )
    finally:
        feeder.cancel()
        await asyncio.gather(feeder, return_exceptions=True)
        await stores.call(lease.release)
        await stores.collect()
    progress({"status": image.id})
    for name in names:
        stores.announce("tag", image, name.familiar)
    stores.announce("import", image)


def _store_stream(stores: Stores, pipe: Pipe, lease: Lease) -> tuple[str, int, str]:
    """The stream as a blob: (digest, size, diff id). What is compressed stays so."""
    ingest = stores.blobs.ingest()
    try:
        while chunk := pipe.read(1 << 20):
            ingest.write(chunk)
        if not ingest.offset:
            raise InvalidArgument("the archive to import is empty")
        digest, size = ingest.actual_digest(), ingest.offset
        lease.hold("blob", digest)
        if stores.blobs.find(digest) is None:
            ingest.commit()
    finally:
        ingest.abandon()
    with open(stores.blobs.path(digest), "rb", buffering=0) as raw:
        inflated = Inflated(raw, stores.limits.max_bytes)
        try:
            while inflated.chunk():
                pass
            return digest, size, inflated.digest()
        finally:
            inflated.close()
