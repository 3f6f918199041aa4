"""What an archive holds: images, and the names that it gives them.

    docker archive   manifest.json: [{Config, RepoTags, Layers}]; layers are uncompressed tars
    OCI layout       oci-layout, index.json → manifests (and indexes) under blobs/; names in annotations

``docker save`` of 25 and later writes both: manifest.json says which image and which names, index.json which manifest.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from berth.base.errors import BerthError, InvalidArgument, NotFound
from berth.images.documents import Descriptor, Index, Manifest, choose, parse_manifest
from berth.images.store import StoredManifest
from berth.spec.image import INDEX_TYPES, MANIFEST_TYPES, MAX_MANIFEST
from berth.spec.reference import Reference, parse_reference

if TYPE_CHECKING:
    from berth.content.blobs import BlobStore
    from berth.images.archive import Archive
    from berth.spec.platform import Platform

_NAME = "io.containerd.image.name"
_REF_NAME = "org.opencontainers.image.ref.name"
_MAX_DEPTH = 4


class Found(NamedTuple):
    """An image of an archive: its config's digest, its layers' blobs bottom first, its names (perhaps none).

    ``target``: the index that the names mean, "" for none; ``extra``: blobs that belong to it (attestations)."""

    config: str
    manifest: StoredManifest
    names: tuple[Reference, ...]
    target: str = ""
    extra: tuple[str, ...] = ()


def find_images(archive: Archive, blobs: BlobStore, wanted: Platform | None) -> list[Found]:
    """Every image of the archive; of one for several platforms the one that ``wanted`` takes, or all that are there.

    Raises: InvalidArgument for what is no image archive, NotFound when it has none for the platform.
    """
    found = _from_index(archive, blobs, wanted) if "index.json" in archive.documents else []
    if "manifest.json" in archive.documents:
        found = _with_docker_names(archive, found)
    if not found:
        raise InvalidArgument("invalid archive: does not contain a manifest.json or an index.json with images")
    return found


def _with_docker_names(archive: Archive, oci: list[Found]) -> list[Found]:
    """What manifest.json says on top of what index.json said."""
    images = {(found.config, found.target): found for found in oci}
    for entry in _json_list(archive.documents["manifest.json"]):
        config = archive.blob(entry.get("Config"))
        layers = tuple(archive.blob(name) for name in entry.get("Layers") or [])
        names = tuple(parse_reference(text).tagged() for text in entry.get("RepoTags") or [] if isinstance(text, str))
        known = [key for key in images if key[0] == config] or [(config, "")]
        for key in known:
            found = images.get(key) or Found(config, StoredManifest("", "", 0, layers), ())
            images[key] = found._replace(names=tuple(dict.fromkeys((*found.names, *names))))
    return list(images.values())


def _json_list(content: bytes) -> list[dict[str, Any]]:
    try:
        entries = json.loads(content)
    except (ValueError, RecursionError) as err:
        raise InvalidArgument(f"invalid archive: manifest.json: {err}") from err
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InvalidArgument("invalid archive: manifest.json is not a list of objects")
    return entries


def _from_index(archive: Archive, blobs: BlobStore, wanted: Platform | None) -> list[Found]:
    index = parse_manifest(archive.documents["index.json"])
    if not isinstance(index, Index):
        raise InvalidArgument("invalid archive: index.json is not an index")
    images: dict[tuple[str, str], Found] = {}
    missing: BerthError | None = None
    for entry in index.manifests:
        if entry.media_type not in MANIFEST_TYPES | INDEX_TYPES:
            continue
        try:
            resolved = _resolve(entry, blobs, wanted)
        except NotFound as err:  # other platforms that were not saved
            missing = err
            continue
        for found in resolved:
            key = (found.config, found.target)
            names = (*(images[key].names if key in images else ()), *_names(entry))
            images[key] = found._replace(names=tuple(dict.fromkeys(names)))
    if not images and missing is not None:
        raise missing
    return list(images.values())


def _resolve(entry: Descriptor, blobs: BlobStore, wanted: Platform | None, depth: int = _MAX_DEPTH) -> list[Found]:
    """The images behind an entry. Raises: NotFound when none is here that will do."""
    manifest = parse_manifest(blobs.read(entry.digest, MAX_MANIFEST), entry.media_type)
    if isinstance(manifest, Manifest):
        return [Found(manifest.config.digest, stored(entry.digest, manifest, blobs), ())]
    if depth == 0:
        raise InvalidArgument("invalid archive: indexes inside indexes without end")
    chosen = [choose(manifest, wanted)] if wanted is not None else _images_here(manifest, blobs)
    if not chosen:
        raise NotFound("the archive has no manifest of any platform that its index names")
    extra = _attestations(manifest, blobs)
    found = [one for inner in chosen for one in _resolve(inner, blobs, wanted, depth - 1)]
    return [one._replace(target=entry.digest, extra=(*one.extra, *extra)) for one in found]


def _images_here(index: Index, blobs: BlobStore) -> list[Descriptor]:
    return [entry for entry in index.manifests if not _is_attestation(entry) and blobs.find(entry.digest) is not None]


def _is_attestation(entry: Descriptor) -> bool:
    return entry.platform is not None and entry.platform.os == "unknown"


def _attestations(index: Index, blobs: BlobStore) -> tuple[str, ...]:
    """Blobs of the attestations that are here whole."""
    kept: list[str] = []
    for entry in index.manifests:
        if not _is_attestation(entry) or blobs.find(entry.digest) is None or entry.media_type not in MANIFEST_TYPES:
            continue
        manifest = parse_manifest(blobs.read(entry.digest, MAX_MANIFEST), entry.media_type)
        if isinstance(manifest, Manifest):
            parts = [entry.digest, manifest.config.digest, *(layer.digest for layer in manifest.layers)]
            kept += parts if all(blobs.find(digest) is not None for digest in parts) else []
    return tuple(kept)


def stored(digest: str, manifest: Manifest, blobs: BlobStore) -> StoredManifest:
    """A manifest that is here with all its layers. Raises: NotFound."""
    for layer in (manifest.config, *manifest.layers):
        blobs.get(layer.digest)
    layers = tuple(layer.digest for layer in manifest.layers)
    return StoredManifest(digest, manifest.media_type, blobs.get(digest).size, layers)


def _names(entry: Descriptor) -> tuple[Reference, ...]:
    """A full name, where an annotation is one; a bare tag names nothing by itself."""
    annotations = entry.annotations or {}
    text = annotations.get(_NAME) or annotations.get(_REF_NAME) or ""
    if not text or (_NAME not in annotations and not any(mark in text for mark in "/:")):
        return ()
    try:
        return (parse_reference(text).tagged(),)
    except InvalidArgument:
        return ()
