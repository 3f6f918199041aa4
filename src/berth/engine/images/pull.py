"""``pull``: resolve, fetch blobs side by side with resume, unpack while they come, record.

manifest ─▶ config ─▶ layer 1 ──download──▶ verified ─┐
                      layer 2 ──download──▶ verified ─┤  each is unpacked while it arrives;
                      layer 3 ──download──▶ verified ─┴─ commits go bottom up ─▶ names (durable)
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from berth.base.errors import BerthError, InvalidArgument, NotFound, Unavailable, Unsupported
from berth.engine.images.fetch import Fetch, Throttle, short
from berth.engine.images.hello import HELLO, install_hello
from berth.engine.images.resolve import Resolved, keep, resolve, resolve_all
from berth.engine.images.stores import Progress, Stores
from berth.images.documents import Descriptor, Manifest, parse_manifest
from berth.images.layouts import stored
from berth.registry.transport import Unreachable
from berth.spec.digest import chain_ids
from berth.spec.image import LAYER_TYPES
from berth.spec.platform import Platform, host_platform, parse_platform
from berth.spec.reference import Reference, parse_reference

if TYPE_CHECKING:
    from berth.content.ingest import Ingest
    from berth.content.leases import Lease
    from berth.engine.images.unpacker import Unpacking
    from berth.registry.client import FetchedManifest, Repository

ALL_PLATFORMS = "all"
_FOREIGN = (".foreign.diff.tar.gzip", ".foreign.diff.tar", ".nondistributable.v1.tar")


async def pull(
    stores: Stores, text: str, *, platform: str | None, auth: Mapping[str, str] | None, progress: Progress
) -> None:
    """Pull ``text``; the image and its name are on the disk when this returns. ``platform`` "all": for every platform.

    Raises: InvalidArgument, NotFound, Unauthorized, Unavailable in Docker's words.
    """
    ref = parse_reference(text).tagged()
    newer = await _pull_one(stores, ref, _platform(platform), auth, progress)
    if newer is not None:
        _conclude(progress, ref.familiar, newer=newer)


async def pull_all(
    stores: Stores, name: str, *, platform: str | None, auth: Mapping[str, str] | None, progress: Progress
) -> None:
    """Pull every tag of a repository. Raises: as ``pull``."""
    ref = parse_reference(name)
    tags = await stores.registry.repository(ref, auth).tags()
    if not tags:
        raise NotFound(f"manifest for {ref.familiar_name} not found: the repository has no tags")
    newer = [
        await _pull_one(stores, ref.with_tag(tag), _platform(platform), auth, progress) for tag in sorted(tags)
    ]  # fmt: skip
    _conclude(progress, ref.familiar_name, newer=any(newer))


def _platform(text: str | None) -> Platform | None:
    """None for all of them."""
    if text == ALL_PLATFORMS:
        return None
    return parse_platform(text) if text else host_platform()


def _conclude(progress: Progress, shown: str, *, newer: bool) -> None:
    word = "Downloaded newer image for" if newer else "Image is up to date for"
    progress({"status": f"Status: {word} {shown}"})


async def _pull_one(
    stores: Stores, ref: Reference, wanted: Platform | None, auth: Mapping[str, str] | None, progress: Progress
) -> bool | None:
    """One name; whether it meant another image before. None where the daemon's own hello-world took its place."""
    async with stores.fetching.hold(str(ref)):
        lease = await stores.call(stores.leases.acquire, f"pull {ref}")
        repository = stores.registry.repository(ref, auth)
        try:
            fetched = await repository.manifest(ref.digest or ref.tag or "latest")
        except Unreachable as err:
            await stores.call(lease.release)
            if ref.name == HELLO and ref.digest is None:
                await install_hello(stores, ref, str(err), progress)
                return None
            raise
        except BerthError:
            await stores.call(lease.release)
            raise
        try:
            return await _take(stores, repository, fetched, wanted, lease, progress)
        except Unavailable:
            raise  # what came is good: the next try goes on from there
        except BerthError:
            await _forget(stores, lease)
            raise
        finally:
            lease.leave()


async def _forget(stores: Stores, lease: Lease) -> None:
    """Nothing of what came is any good."""
    digests = lease.keys("blob")
    await stores.call(lease.release)
    await stores.call(stores.blobs.drop_ingests, digests)
    await stores.collect()


async def _take(
    stores: Stores, repository: Repository, fetched: FetchedManifest, wanted: Platform | None, lease: Lease,
    progress: Progress,
) -> bool:  # fmt: skip
    """Everything that ``fetched`` leads to; whether the name meant another image before."""
    ref = repository.ref
    progress({"status": f"Pulling from {ref.path}", "id": ref.digest or ref.tag or "latest"})
    if wanted is not None:
        found = [await resolve(stores, repository, fetched, wanted, lease)]
    else:
        found = await resolve_all(stores, repository, fetched, lease)
    for resolved in found:
        _check_layers(resolved.manifest)
    names = [ref, ref.with_digest(fetched.digest)] if ref.digest is None else [ref]
    newer = False
    for resolved in found:
        newer |= resolved.manifest.config.digest not in _variants(stores, ref)
        here = stores.images.find(resolved.manifest.config.digest) is not None  # then there is nothing to tell
        extra = await _fetch_all(stores, repository, resolved, lease, _silent if here else progress)
        manifest = stored(resolved.digest, resolved.manifest, stores.blobs)
        await stores.record(resolved.manifest.config.digest, manifest, names, target=resolved.top, extra=extra)
    await stores.call(lease.release)
    progress({"status": f"Digest: {fetched.digest}"})
    if (image := stores.images.find(stores.images.find_name(ref) or "")) is not None:
        stores.announce("pull", image, ref.familiar_name, ref.familiar)
    return newer


def _silent(message: dict[str, Any]) -> None:
    pass


def _variants(stores: Stores, ref: Reference) -> set[str]:
    """The images that a name means now, whatever their platform."""
    named = stores.images.find_named(ref)
    return set(named.variants.values()) if named is not None else set()


def _check_layers(manifest: Manifest) -> None:
    """Raises: Unsupported for layers that we cannot unpack, before any of them is fetched."""
    for layer in manifest.layers:
        if layer.media_type.removesuffix("+gzip").removesuffix("+zstd").endswith(_FOREIGN):
            raise Unsupported(
                f"layer {layer.digest} is of the kind {layer.media_type}, which is fetched from elsewhere"
            )
        if layer.media_type not in LAYER_TYPES:
            raise Unsupported(f"layer {layer.digest} has the unknown media type {layer.media_type!r}")


async def _fetch_all(
    stores: Stores, repository: Repository, resolved: Resolved, lease: Lease, progress: Progress
) -> tuple[str, ...]:
    """Config first (it tells the chain), then the layers, at most so many at once; blobs that are kept beside them."""
    manifest = resolved.manifest
    await stores.call(lease.hold, "blob", manifest.config.digest, *(layer.digest for layer in manifest.layers))
    await Fetch(stores, repository, manifest.config, None).run()
    config = await stores.call(stores.read_config, manifest.config.digest)
    if len(config.diff_ids) != len(manifest.layers):
        raise InvalidArgument("the image's config and its manifest name different numbers of layers")
    chains = chain_ids(list(config.diff_ids))
    await stores.call(lease.hold, "snapshot", *chains)
    turns = asyncio.Semaphore(stores.settings.max_concurrent_downloads)
    layers = [
        _Layer(stores, repository, layer, chain, diff_id, progress, turns)
        for layer, chain, diff_id in zip(manifest.layers, chains, config.diff_ids, strict=True)
    ]
    downloads = [asyncio.ensure_future(layer.download()) for layer in layers]
    try:
        parent = ""
        for layer, download in zip(layers, downloads, strict=True):
            await _first_failure(download, downloads)
            await layer.commit(parent)
            parent = layer.chain
        return await _fetch_attestations(stores, repository, resolved, lease)
    finally:
        for download in downloads:
            download.cancel()
        await asyncio.gather(*downloads, return_exceptions=True)
        for layer in layers:
            await layer.abandon()


async def _first_failure(awaited: asyncio.Future[None], all_: Sequence[asyncio.Future[None]]) -> None:
    """Returns when ``awaited`` is done. Raises: what any of them failed with, at once."""
    waiting = {task for task in all_ if not task.done()} | {awaited}
    while not awaited.done():
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    awaited.result()


async def _fetch_attestations(
    stores: Stores, repository: Repository, resolved: Resolved, lease: Lease
) -> tuple[str, ...]:
    """What the image's builder says about it stays with it. An image without it is an image all the same."""
    kept: list[str] = []
    for entry in resolved.attestations:
        try:
            fetched = await repository.manifest(entry.digest)
            manifest = parse_manifest(fetched.content, entry.media_type)
        except BerthError:
            continue
        if not isinstance(manifest, Manifest):
            continue
        await keep(stores, fetched, lease)
        blobs = (manifest.config, *manifest.layers)
        await stores.call(lease.hold, "blob", *(blob.digest for blob in blobs))
        for blob in blobs:
            await Fetch(stores, repository, blob, None).run()
        kept += [entry.digest, *(blob.digest for blob in blobs)]
    return tuple(dict.fromkeys(kept))


class _Layer:
    """One layer's way: downloaded (and unpacked meanwhile), then committed over the one below."""

    def __init__(
        self, stores: Stores, repository: Repository, layer: Descriptor, chain: str, diff_id: str, progress: Progress,
        turns: asyncio.Semaphore,
    ) -> None:  # fmt: skip
        self._stores, self._layer, self.chain, self._diff_id = stores, layer, chain, diff_id
        self._progress, self._turns = progress, turns
        self._extracting = Throttle(progress, "Extracting", layer)
        self._unpacked = stores.snapshots.find(chain) is not None
        self._fetch = Fetch(stores, repository, layer, progress, None if self._unpacked else self._begin)
        present = self._unpacked and stores.blobs.find(layer.digest) is not None
        self._tell("Already exists" if present else "Pulling fs layer")
        self._present = present

    def _tell(self, status: str) -> None:
        self._progress({"status": status, "progressDetail": {}, "id": short(self._layer.digest)})

    def _begin(self, ingest: Ingest) -> Unpacking:
        return self._stores.unpacker.begin(ingest, self._layer.size, self._extracting)

    async def download(self) -> None:
        if self._present:
            return
        if self._turns.locked():
            self._tell("Waiting")
        async with self._turns:
            await self._fetch.run()

    async def commit(self, parent: str) -> None:
        if self._present:
            return
        if not self._unpacked:
            if self._fetch.unpacking is None:  # it was here already, or another pull brought it
                self._fetch.unpacking = self._stores.unpacker.begin_stored(self._layer.digest, self._extracting)
            await self._fetch.unpacking.commit(parent, self.chain, self._diff_id)
        self._tell("Pull complete")

    async def abandon(self) -> None:
        if self._fetch.unpacking is not None:
            await self._fetch.unpacking.abandon()
