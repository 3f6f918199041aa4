"""A manifest for an image that came without one: its layers compressed, the same bytes whenever it is done."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from isal import isal_zlib

from berth.base.errors import from_oserror
from berth.images.documents import Manifest, parse_manifest
from berth.images.layouts import stored
from berth.spec.image import DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST

if TYPE_CHECKING:
    from berth.content.leases import Lease
    from berth.engine.images.stores import Stores
    from berth.images.store import Image

_GZIP_TYPE = f"{DOCKER_LAYER}.gzip"
_MAGIC = {b"\x1f\x8b": _GZIP_TYPE, b"\x28\xb5\x2f\xfd": f"{DOCKER_LAYER}.zstd"}
_READ = 1 << 20
_LEVEL = 2


async def with_manifest(stores: Stores, image: Image, lease: Lease) -> Image:
    """``image``, or the image with a manifest added and recorded."""
    if any(manifest.digest for manifest in image.manifests):
        return image
    layers = []
    for digest in image.manifests[0].layers:
        layers.append(await stores.call(_compressed, stores, digest, lease))
    document = json.dumps(
        {
            "schemaVersion": 2, "mediaType": DOCKER_MANIFEST,
            "config": {"mediaType": DOCKER_CONFIG, "size": stores.blobs.get(image.id).size, "digest": image.id},
            "layers": [{"mediaType": kind, "size": size, "digest": digest} for kind, size, digest in layers],
        },
        indent=3,
    ).encode()  # fmt: skip
    manifest = parse_manifest(document, DOCKER_MANIFEST)
    assert isinstance(manifest, Manifest)
    digest = await stores.call(stores.blobs.put, document, DOCKER_MANIFEST)
    await stores.call(lease.hold, "blob", digest)
    image = image._replace(manifests=(stored(digest, manifest, stores.blobs), *image.manifests))
    async with stores.change:
        await stores.call(stores.images.put, image, [])
    return image


def _compressed(stores: Stores, digest: str, lease: Lease) -> tuple[str, int, str]:
    """(media type, size, digest) of a layer as it travels; blocking. One that is compressed stays as it is.

    The header says no time and no name, so that one layer has one digest.
    """
    path = stores.blobs.path(digest)
    try:
        with open(path, "rb", buffering=0) as source:
            head = os.pread(source.fileno(), 4, 0)
            for magic, kind in _MAGIC.items():
                if head.startswith(magic):
                    return kind, stores.blobs.get(digest).size, digest
            ingest = stores.blobs.ingest()
            try:
                packer = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, 31)
                while chunk := source.read(_READ):
                    ingest.write(packer.compress(chunk))
                ingest.write(packer.flush())
                size, packed = ingest.offset, ingest.actual_digest()
                lease.hold("blob", packed)
                if stores.blobs.find(packed) is None:
                    ingest.commit(_GZIP_TYPE)
            finally:
                ingest.abandon()
    except OSError as err:
        raise from_oserror(err, f"compress layer {digest}") from err
    return _GZIP_TYPE, size, packed
