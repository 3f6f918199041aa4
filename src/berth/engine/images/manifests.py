"""The ``Manifests`` of an image in the API: what its name offers by platform, here or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from berth.base.errors import BerthError
from berth.engine.images.stores import Stores
from berth.images.documents import Descriptor, Index, parse_manifest
from berth.images.store import Image, Named, StoredManifest
from berth.spec.api.images import ImageManifestSummary, OCIDescriptor
from berth.spec.image import MAX_MANIFEST

_ATTESTATION_FOR = "vnd.docker.reference.digest"
_KIND = "vnd.docker.reference.type"


def render_manifests(
    stores: Stores, image: Image, containers: Callable[[str], list[str]]
) -> list[ImageManifestSummary]:
    """Every entry of the index that the image's name means; an image without an index is the only entry."""
    images = stores.images
    named = next((images.find_named(name) for name in images.stands_for(image.id)), None) or Named("", {"": image.id})
    here = {
        m.digest: (found, m) for found in map(images.find, named.variants.values()) if found for m in found.manifests
    }
    entries = _index_entries(stores, named.target)
    if not entries:
        return [_available(stores, found, found.manifests[0], containers) for found, _ in here.values()]
    rendered = []
    for entry in entries:
        found = here.get(entry.digest)
        rendered.append(
            _available(stores, found[0], found[1], containers, entry) if found else _absent(stores, entry)
        )  # fmt: skip
    return rendered


def describe(image: Image) -> OCIDescriptor | None:
    """The ``ImageManifestDescriptor`` of containers made from the image; None where it came without a manifest."""
    manifest = next((m for m in image.manifests if m.digest), None)
    if manifest is None:
        return None
    return cast("OCIDescriptor", {**_descriptor(None, manifest), "platform": _platform(image)})


def _platform(image: Image) -> dict[str, str]:
    os_name, _, rest = image.platform.partition("/")
    architecture, _, variant = rest.partition("/")
    return {"architecture": architecture, "os": os_name, **({"variant": variant} if variant else {})}


def _index_entries(stores: Stores, target: str) -> tuple[Descriptor, ...]:
    if not target or stores.blobs.find(target) is None:
        return ()
    try:
        document = parse_manifest(stores.blobs.read(target, MAX_MANIFEST))
    except BerthError:
        return ()
    return document.manifests if isinstance(document, Index) else ()


def _available(
    stores: Stores, image: Image, manifest: StoredManifest, containers: Callable[[str], list[str]],
    entry: Descriptor | None = None,
) -> ImageManifestSummary:  # fmt: skip
    content = manifest.size + sum(_blob_bytes(stores, digest) for digest in {image.id, *manifest.layers})
    summary: dict[str, Any] = {
        "ID": manifest.digest or image.id, "Descriptor": _descriptor(entry, manifest), "Available": True,
        "Size": {"Content": content, "Total": content + image.size}, "Kind": "image",
        "ImageData": {"Platform": _platform(image), "Containers": containers(image.id), "Size": {"Unpacked": image.size}},
    }  # fmt: skip
    return cast("ImageManifestSummary", summary)


def _absent(stores: Stores, entry: Descriptor) -> ImageManifestSummary:
    annotations = entry.annotations or {}
    is_attestation = annotations.get(_KIND) == "attestation-manifest"
    available = stores.blobs.find(entry.digest) is not None
    summary: dict[str, Any] = {
        "ID": entry.digest, "Descriptor": _descriptor(entry, None), "Available": available and is_attestation,
        "Size": {"Content": _blob_bytes(stores, entry.digest), "Total": _blob_bytes(stores, entry.digest)},
        "Kind": "attestation" if is_attestation else "image" if entry.platform is not None else "unknown",
    }  # fmt: skip
    if is_attestation:
        summary["AttestationData"] = {"For": annotations.get(_ATTESTATION_FOR, "")}
    elif entry.platform is not None:
        parts = {
            "architecture": entry.platform.architecture,
            "os": entry.platform.os,
            "variant": entry.platform.variant,
        }
        summary["ImageData"] = {
            "Platform": {key: value for key, value in parts.items() if value}, "Containers": [], "Size": {"Unpacked": 0},
        }  # fmt: skip
    return cast("ImageManifestSummary", summary)


def _descriptor(entry: Descriptor | None, manifest: StoredManifest | None) -> dict[str, Any]:
    if entry is not None:
        return {
            "mediaType": entry.media_type, "digest": entry.digest, "size": entry.size,
            **({"annotations": entry.annotations} if entry.annotations else {}),
        }  # fmt: skip
    assert manifest is not None
    return {"mediaType": manifest.media_type, "digest": manifest.digest, "size": manifest.size}


def _blob_bytes(stores: Stores, digest: str) -> int:
    blob = stores.blobs.find(digest)
    return blob.size if blob is not None else 0
