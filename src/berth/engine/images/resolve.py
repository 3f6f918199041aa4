"""From a name to the manifest for a platform: the way down an index, every document kept byte for byte.

Beside the chosen manifest its attestations are kept: manifests of the same index that describe it.
Spec: OCI image-index; BuildKit's attestation storage (``vnd.docker.reference.digest``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from berth.base.errors import InvalidArgument, NotFound
from berth.images.documents import Descriptor, Index, Manifest, choose, parse_manifest

if TYPE_CHECKING:
    from berth.content.leases import Lease
    from berth.engine.images.stores import Stores
    from berth.registry.client import FetchedManifest, Repository
    from berth.spec.platform import Platform

_MAX_DEPTH = 3
_MAX_DOCUMENTS = 100
"""Manifests and indexes that a pull for all platforms follows: an index may name ten thousand, of 4 MiB each."""
_ATTESTS = "vnd.docker.reference.digest"


class Resolved(NamedTuple):
    """``top`` is the digest that the name means, ``digest`` that of ``manifest``, which is for one platform.

    ``attestations``: entries of the index that describe ``manifest``.
    """

    top: str
    digest: str
    manifest: Manifest
    attestations: tuple[Descriptor, ...] = ()


async def resolve(
    stores: Stores, repository: Repository, fetched: FetchedManifest, wanted: Platform, lease: Lease
) -> Resolved:
    """Raises: InvalidArgument and Unsupported for documents that are no image's, NotFound for a platform that is not there."""
    manifest = parse_manifest(fetched.content, fetched.media_type)
    await keep(stores, fetched, lease)
    digest, attestations, seen = fetched.digest, tuple[Descriptor, ...](), {fetched.digest}
    for _ in range(_MAX_DEPTH):
        if isinstance(manifest, Manifest):
            return Resolved(fetched.digest, digest, manifest, attestations)
        entry = choose(manifest, wanted)
        attestations = _about(manifest, entry.digest)
        if entry.digest in seen:
            break
        seen.add(entry.digest)
        inner = await repository.manifest(entry.digest)
        manifest, digest = parse_entry(inner, entry), entry.digest
        await keep(stores, inner, lease)
    if isinstance(manifest, Manifest):
        return Resolved(fetched.digest, digest, manifest, attestations)
    raise InvalidArgument("the image's indexes lead to other indexes without end")


async def resolve_all(
    stores: Stores, repository: Repository, fetched: FetchedManifest, lease: Lease
) -> list[Resolved]:  # fmt: skip
    """One for each Linux platform that the name has an image for; other systems' are passed over. Raises: as ``resolve``."""
    found: list[Resolved] = []
    followed = 0

    async def descend(
        document: FetchedManifest, parsed: Manifest | Index, about: tuple[Descriptor, ...], depth: int
    ) -> None:
        await keep(stores, document, lease)
        if isinstance(parsed, Manifest):
            found.append(Resolved(fetched.digest, document.digest, parsed, about))
            return
        if depth == _MAX_DEPTH:
            raise InvalidArgument("the image's indexes lead to other indexes without end")
        nonlocal followed
        for entry in parsed.manifests:
            if _is_linux(entry):
                followed += 1
                if followed > _MAX_DOCUMENTS:
                    raise InvalidArgument(f"the image's indexes name more than {_MAX_DOCUMENTS} images")
                inner = await repository.manifest(entry.digest)
                await descend(inner, parse_entry(inner, entry), _about(parsed, entry.digest), depth + 1)

    await descend(fetched, parse_manifest(fetched.content, fetched.media_type), (), 0)
    if not found:
        raise NotFound(f"{repository.ref.familiar}: the index has no image for any Linux platform")
    return found


def _is_linux(entry: Descriptor) -> bool:
    """No attestation either: those are of the system ``unknown``."""
    return entry.platform is None or entry.platform.os == "linux"


def parse_entry(fetched: FetchedManifest, entry: Descriptor) -> Manifest | Index:
    """What an index's entry leads to. Raises: InvalidArgument when it is not what the entry says."""
    if len(fetched.content) != entry.size:
        raise InvalidArgument(
            f"manifest {entry.digest} has {len(fetched.content)} bytes, the index names {entry.size}: size mismatch"
        )
    return parse_manifest(fetched.content, entry.media_type)


def _about(index: Index, digest: str) -> tuple[Descriptor, ...]:
    return tuple(entry for entry in index.manifests if (entry.annotations or {}).get(_ATTESTS) == digest)


async def keep(stores: Stores, fetched: FetchedManifest, lease: Lease) -> None:
    """Store a manifest's bytes under the lease."""
    await stores.call(lease.hold, "blob", fetched.digest)
    await stores.call(stores.blobs.put, fetched.content, fetched.media_type)
