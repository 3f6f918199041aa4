"""``push``: an image goes out as it came in: the same manifests, byte for byte, so that its digest stays.

    names ─▶ what each means (manifest, or an index whose every part is here) ─▶ blobs, side by side:
        there already?  mounted from a sibling?  uploaded  ─▶ manifests, inner ones first ─▶ the tag

An image without a manifest (from a docker archive) gets one, with its layers compressed, and keeps it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from berth.base.errors import BerthError, NotFound
from berth.engine.images.compress import with_manifest
from berth.engine.images.fetch import Throttle, short
from berth.engine.images.stores import Progress, Stores
from berth.images.documents import Descriptor, Index, Manifest, parse_manifest
from berth.registry.upload import Source, Uploader
from berth.spec import messages
from berth.spec.image import MAX_MANIFEST
from berth.spec.platform import Platform, parse_platform
from berth.spec.reference import Reference, check_tag, parse_reference

if TYPE_CHECKING:
    from berth.images.store import Image, Named


class Document(NamedTuple):
    """A manifest or index of the store, with its bytes."""

    digest: str
    media_type: str
    content: bytes
    parsed: Manifest | Index


class Plan(NamedTuple):
    """What goes out under one name: ``top`` last, after ``inner`` manifests and all ``blobs``.

    ``partial``: the image came with an index that is not here as a whole.
    """

    top: Document
    inner: tuple[Document, ...]
    blobs: tuple[Descriptor, ...]
    partial: bool = False


async def push(
    stores: Stores, name: str, tag: str, *, platform: str | None, auth: Mapping[str, str] | None, progress: Progress
) -> None:
    """Push ``name:tag``, or with ``tag`` "" every tag of the name that is here.

    Raises: InvalidArgument, NotFound, Unauthorized, Forbidden, Unavailable in Docker's words.
    """
    ref = parse_reference(name)
    if tag:
        ref = ref.with_tag(check_tag(tag))
    wanted = parse_platform(platform) if platform else None
    progress({"status": f"The push refers to repository [{ref.name}]"})
    here = stores.images.names_in(ref.name)
    if not here:
        raise NotFound(f"An image does not exist locally with the tag: {ref.familiar_name}")
    uploader = Uploader(stores.registry.repository(ref, auth, push=True))
    for one in [ref] if ref.tag else here:
        await _push_one(stores, uploader, one, wanted, progress)


async def _push_one(
    stores: Stores, uploader: Uploader, ref: Reference, wanted: Platform | None, progress: Progress
) -> None:
    named = stores.images.find_named(ref)
    if named is None:
        raise NotFound(f"tag does not exist: {ref.familiar}")
    image = stores.images.find(stores.images.find_name(ref, wanted) or "")
    if image is None:
        raise NotFound(messages.no_such_platform(ref.familiar, str(wanted)))
    lease = await stores.call(stores.leases.acquire, f"push {ref}")
    try:
        await stores.call(lease.hold, "blob", named.target, *image.blobs())
        image = await with_manifest(stores, image, lease)
        plan = await stores.call(_plan, stores, image, named.target, wanted is None)
        await stores.call(lease.hold, "blob", *(blob.digest for blob in plan.blobs))
        await _send_blobs(stores, uploader, ref, plan, progress)
        for document in plan.inner:
            await uploader.put_manifest(document.content, document.media_type, document.digest)
        await uploader.put_manifest(plan.top.content, plan.top.media_type, ref.tag or "latest")
        await _remember(stores, ref, image, named, plan)
    finally:
        await stores.call(lease.release)
    _conclude(progress, ref, plan)
    stores.announce("push", image, ref.familiar_name, ref.familiar)


async def _remember(stores: Stores, ref: Reference, image: Image, named: Named, plan: Plan) -> None:
    """The image is known by the digest that it has at the registry now."""
    target = plan.top.digest
    whole = [stores.images.find(image_id) for image_id in named.variants.values()] if target == named.target else []
    names = [ref.with_digest(target), *([ref] if not named.target else [])]
    async with stores.change:
        for each in filter(None, whole or [image]):
            await stores.call(stores.images.put, each, names, target)


def _conclude(progress: Progress, ref: Reference, plan: Plan) -> None:
    tag, digest, size = ref.tag or "latest", plan.top.digest, len(plan.top.content)
    progress({"status": f"{tag}: digest: {digest} size: {size}"})
    progress({"progressDetail": {}, "aux": {"Tag": tag, "Digest": digest, "Size": size}})
    if plan.partial:
        progress(
            {
                "status": "Not all multiplatform-content is present and only the available single-platform image was pushed",
                "id": "Info",
            }
        )


# --- what goes out


def _plan(stores: Stores, image: Image, target: str, whole: bool) -> Plan:
    """``target``: what the name means, "" where that is the image alone. ``whole``: an index goes out as one. Blocking."""
    blob = stores.blobs.find(target)
    top = _document(stores, target, blob.media_type) if blob is not None else None
    if top is not None and isinstance(top.parsed, Index):
        plan = _whole_index(stores, top) if whole else None
        return plan or _single(stores, _of_index(image, top.parsed), partial=whole)
    return _single(stores, target if top is not None else _first_manifest(image), partial=False)


def _single(stores: Stores, digest: str, *, partial: bool) -> Plan:
    top = _document(stores, digest, stores.blobs.get(digest).media_type)
    assert isinstance(top.parsed, Manifest)
    return Plan(top, (), (*top.parsed.layers, top.parsed.config), partial)


def _first_manifest(image: Image) -> str:
    return next(manifest.digest for manifest in image.manifests if manifest.digest)


def _of_index(image: Image, index: Index) -> str:
    """The manifest by which an index offers the image."""
    ours = {manifest.digest for manifest in image.manifests}
    return next((entry.digest for entry in index.manifests if entry.digest in ours), "") or _first_manifest(image)


def _whole_index(stores: Stores, index: Document) -> Plan | None:
    """The plan for an index with all that it leads to; None where something of it is not here."""
    assert isinstance(index.parsed, Index)
    inner: list[Document] = []
    blobs: dict[str, Descriptor] = {}
    for entry in index.parsed.manifests:
        if stores.blobs.find(entry.digest) is None:
            return None
        document = _document(stores, entry.digest, entry.media_type)
        if isinstance(document.parsed, Index):
            below = _whole_index(stores, document)
            if below is None:
                return None
            inner += below.inner
            blobs.update((blob.digest, blob) for blob in below.blobs)
        else:
            parts = (*document.parsed.layers, document.parsed.config)
            if any(stores.blobs.find(part.digest) is None for part in parts):
                return None
            blobs.update((part.digest, part) for part in parts)
        inner.append(document)
    return Plan(index, tuple(inner), tuple(blobs.values()))


def _document(stores: Stores, digest: str, media_type: str) -> Document:
    content = stores.blobs.read(digest, MAX_MANIFEST)
    parsed = parse_manifest(content, media_type)
    return Document(digest, parsed.media_type, content, parsed)


# --- blobs


async def _send_blobs(stores: Stores, uploader: Uploader, ref: Reference, plan: Plan, progress: Progress) -> None:
    blobs = list({blob.digest: blob for blob in plan.blobs}.values())
    configs = _configs(plan)
    for blob in blobs:
        if blob.digest not in configs:
            progress({"status": "Preparing", "progressDetail": {}, "id": short(blob.digest)})
    turns = asyncio.Semaphore(stores.settings.max_concurrent_uploads)

    async def send(blob: Descriptor) -> None:
        async with turns:
            await _send_blob(stores, uploader, ref, blob, None if blob.digest in configs else progress)

    sending = [asyncio.ensure_future(send(blob)) for blob in blobs]
    try:
        for done in asyncio.as_completed(sending):
            await done
    finally:
        for task in sending:
            task.cancel()
        await asyncio.gather(*sending, return_exceptions=True)


def _configs(plan: Plan) -> set[str]:
    documents = (plan.top, *plan.inner)
    return {document.parsed.config.digest for document in documents if isinstance(document.parsed, Manifest)}


async def _send_blob(
    stores: Stores, uploader: Uploader, ref: Reference, blob: Descriptor, progress: Progress | None
) -> None:
    def tell(status: str) -> None:
        if progress is not None:
            progress({"status": status, "progressDetail": {}, "id": short(blob.digest)})

    if await uploader.has_blob(blob.digest):
        tell("Layer already exists")
        return
    source = Source(blob.digest, blob.size, stores.blobs.path(blob.digest))
    try:
        mounted = await uploader.put_blob(
            source, _siblings(stores, ref, blob.digest), Throttle(progress, "Pushing", blob)
        )
    except BerthError:
        tell("Image push failed")
        raise
    tell(f"Mounted from {mounted.removeprefix('library/')}" if mounted else "Pushed")


def _siblings(stores: Stores, ref: Reference, digest: str) -> list[str]:
    """Repositories of the same registry that an image with this blob is known to be in: names with digests say so."""
    found = {
        name.path: None
        for image in stores.images.all() if digest in image.blobs()
        for name in stores.images.names_of(image.id)
        if name.digest is not None and name.domain == ref.domain and name.path != ref.path
    }  # fmt: skip
    return list(found)
