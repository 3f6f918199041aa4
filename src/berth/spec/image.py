"""OCI and Docker schema 2 image documents, as they are stored and sent.

Spec: OCI image-spec manifest.md, image-index.md, config.md; Docker image manifest V2, schema 2.
"""

from __future__ import annotations

from typing import Any, Final, TypedDict

OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
OCI_LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER: Final = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_SCHEMA1: Final = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    }
)

MANIFEST_TYPES: Final = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
INDEX_TYPES: Final = frozenset({OCI_INDEX, DOCKER_LIST})
CONFIG_TYPES: Final = frozenset({OCI_CONFIG, DOCKER_CONFIG})
LAYER_TYPES: Final = frozenset(
    {"", *(f"{OCI_LAYER}{suffix}" for suffix in ("", "+gzip", "+zstd"))}
    | {f"{DOCKER_LAYER}{suffix}" for suffix in ("", ".gzip", ".zstd")}
)
"""Layers that can be unpacked; what is inside is looked at, not believed (an estargz is a gzip)."""

MAX_MANIFEST: Final = 4 << 20
"""Bytes of a manifest, index or config that are read at most (the distribution spec's own advice)."""


class Platform(TypedDict, total=False):
    """The ``platform`` object of an index entry."""

    architecture: str
    os: str
    variant: str


class Descriptor(TypedDict, total=False):
    """Names a blob: what it is, its digest and its exact size."""

    mediaType: str
    digest: str
    size: int
    urls: list[str]
    annotations: dict[str, str]
    platform: Platform


class Manifest(TypedDict, total=False):
    """One image for one platform: a config and its layers, bottom first."""

    schemaVersion: int
    mediaType: str
    config: Descriptor
    layers: list[Descriptor]
    annotations: dict[str, str]


class Index(TypedDict, total=False):
    """One name for several platforms (Docker's manifest list is the same thing)."""

    schemaVersion: int
    mediaType: str
    manifests: list[Descriptor]
    annotations: dict[str, str]


class RootFS(TypedDict):
    """``diff_ids``: digests of the uncompressed layers, bottom first."""

    type: str
    diff_ids: list[str]


class HistoryEntry(TypedDict, total=False):
    """How one layer, or a step that made none (``empty_layer``), came to be."""

    created: str
    created_by: str
    author: str
    comment: str
    empty_layer: bool


class ImageDocument(TypedDict, total=False):
    """The image config; its digest is the image's id. ``config`` is the execution part, by the API's names."""

    created: str
    author: str
    architecture: str
    variant: str
    os: str
    config: dict[str, Any]
    rootfs: RootFS
    history: list[HistoryEntry]
