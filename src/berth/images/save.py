"""``docker save``: images as one archive that is a Docker archive and an OCI layout at once.

    blobs/sha256/<hex>   every manifest, config and layer, byte for byte as it came
    index.json           which manifests (an index where all of it is here), under which names
    manifest.json        for those who read Docker archives: configs, tags, layers by path
    oci-layout, repositories

The same images give the same bytes. An image that came without a manifest (an old archive) gets one here.
Spec: OCI image-spec, image-layout.md; Docker image specification v1.2.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from berth.base.errors import from_oserror
from berth.images.compose import manifest as compose_manifest
from berth.images.documents import Index, parse_manifest
from berth.snapshots import tar
from berth.snapshots.tar import Member
from berth.snapshots.tar_write import TarWriter, Write
from berth.spec.digest import digest_of, hex_of
from berth.spec.image import DOCKER_MANIFEST, MANIFEST_TYPES, MAX_MANIFEST, OCI_INDEX

if TYPE_CHECKING:
    from berth.content.blobs import BlobStore
    from berth.images.store import Image
    from berth.spec.reference import Reference

_CHUNK = 1 << 20


class Wanted(NamedTuple):
    """One image to save and the tags to save it under. ``target``: the index that its name means, "" for none."""

    image: Image
    names: tuple[Reference, ...]
    target: str = ""


def write_archive(wanted: list[Wanted], blobs: BlobStore, write: Write) -> None:
    """Blocking. Raises: NotFound for a blob that is missing, OSError's kinds, what ``write`` raises."""
    archive = _Archive(blobs)
    for entry in wanted:
        archive.add(entry)
    archive.write(write)


class _Archive:
    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self._stored: dict[str, None] = {}
        self._made: dict[str, bytes] = {}
        self._index: dict[str, dict[str, Any]] = {}
        self._docker: dict[str, dict[str, Any]] = {}
        self._repositories: dict[str, dict[str, str]] = {}

    def add(self, wanted: Wanted) -> None:
        image = wanted.image
        digest, media_type, size = self._manifest(image)
        layers = image.manifests[0].layers
        for blob in (image.id, *layers):
            self._stored[blob] = None
        self._add_docker(image.id, layers, wanted.names)
        top = self._whole_index(wanted.target)
        if top is not None:
            digest, media_type, size = top
        for name in wanted.names or (None,):
            descriptor: dict[str, Any] = {"mediaType": media_type, "digest": digest, "size": size}
            if name is not None:
                descriptor["annotations"] = {
                    "io.containerd.image.name": str(name), "org.opencontainers.image.ref.name": name.tag,
                }  # fmt: skip
            self._index.setdefault(f"{digest} {name}", descriptor)

    def _manifest(self, image: Image) -> tuple[str, str, int]:
        known = image.manifests[0]
        if known.digest:
            self._stored[known.digest] = None
            return known.digest, known.media_type, self._blobs.get(known.digest).size
        layers = [(layer, self._blobs.get(layer).size) for layer in known.layers]
        document = compose_manifest(image.id, self._blobs.get(image.id).size, layers)
        self._made[digest_of(document)] = document
        return digest_of(document), DOCKER_MANIFEST, len(document)

    def _whole_index(self, target: str) -> tuple[str, str, int] | None:
        """The index, where every image that it names is here; its other blobs come along."""
        if not target or self._blobs.find(target) is None:
            return None
        document = parse_manifest(self._blobs.read(target, MAX_MANIFEST))
        if not isinstance(document, Index):
            return None
        found: list[str] = [target]
        for entry in document.manifests:
            if entry.media_type not in MANIFEST_TYPES or self._blobs.find(entry.digest) is None:
                return None
            inner = parse_manifest(self._blobs.read(entry.digest, MAX_MANIFEST), entry.media_type)
            if isinstance(inner, Index):
                return None
            found += [entry.digest, inner.config.digest, *(layer.digest for layer in inner.layers)]
        if any(self._blobs.find(digest) is None for digest in found):
            return None
        self._stored.update(dict.fromkeys(found))
        return target, document.media_type, self._blobs.get(target).size

    def _add_docker(self, config: str, layers: tuple[str, ...], names: Iterable[Reference]) -> None:
        entry = self._docker.setdefault(
            config, {"Config": _path(config), "RepoTags": [], "Layers": [_path(layer) for layer in layers]}
        )
        for name in names:
            if name.familiar not in entry["RepoTags"]:
                entry["RepoTags"].append(name.familiar)
            if layers:
                self._repositories.setdefault(name.familiar_name, {})[str(name.tag)] = hex_of(layers[-1])

    def write(self, write: Write) -> None:
        writer = TarWriter(write)
        for name in ("blobs", "blobs/sha256"):
            writer.add(_entry(name, tar.DIRECTORY, 0o755, 0))
        for digest in sorted({*self._stored, *self._made}):
            if digest in self._made:
                content = self._made[digest]
                writer.add(_entry(_path(digest), tar.REGULAR, 0o644, len(content)), [content])
            else:
                size = self._blobs.get(digest).size
                writer.add(_entry(_path(digest), tar.REGULAR, 0o644, size), self._pieces(digest))
        documents = {
            "index.json": {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(self._index.values())},
            "manifest.json": list(self._docker.values()),
            "oci-layout": {"imageLayoutVersion": "1.0.0"},
            **({"repositories": self._repositories} if self._repositories else {}),
        }  # fmt: skip
        for name, document in documents.items():
            content = json.dumps(document, separators=(",", ":")).encode()
            writer.add(_entry(name, tar.REGULAR, 0o644, len(content)), [content])
        writer.finish()

    def _pieces(self, digest: str) -> Iterator[bytes]:
        try:
            with open(self._blobs.path(digest), "rb", buffering=0) as file:
                while piece := file.read(_CHUNK):
                    yield piece
        except OSError as err:
            raise from_oserror(err, f"read blob {digest}") from err


def _path(digest: str) -> str:
    return f"blobs/sha256/{hex_of(digest)}"


def _entry(name: str, kind: bytes, mode: int, size: int) -> Member:
    return Member(name.encode(), b"", kind, mode, 0, 0, size, size, 0, 0, 0, None, None)
