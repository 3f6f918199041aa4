"""Putting a manifest list (an index) into a registry, with the manifests that it names where they lie in other repositories.

for each source     its blobs are mounted into the list's repository, its manifest is written there byte for byte
then                the list itself, byte for byte
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from berth.base.errors import InvalidArgument, Unavailable
from berth.images.documents import Index, parse_manifest
from berth.registry.upload import Uploader
from berth.spec.digest import digest_of
from berth.spec.reference import Reference, parse_reference

if TYPE_CHECKING:
    from berth.registry.client import RegistryClient

Auth = Mapping[str, str] | None


async def put(client: RegistryClient, name: str, raw: str, sources: Sequence[str], auth: Auth) -> dict[str, Any]:
    """``sources``: references by digest. Returns the list's digest, and where each source is now.

    Raises: InvalidArgument for what is no list, Unavailable when the registry does not mount a blob.
    """
    target, content = parse_reference(name).tagged(), raw.encode()
    document = parse_manifest(content)
    if not isinstance(document, Index):
        raise InvalidArgument(f"{target} is to be a manifest list, and the document is none")
    uploader = Uploader(client.repository(target, auth, push=True))
    pushed = [await _take_over(client, uploader, target, _source(text, target), auth) for text in sources]
    await uploader.put_manifest(content, document.media_type, target.digest or target.tag or "")
    return {"Digest": digest_of(content), "Pushed": pushed}


def _source(text: str, target: Reference) -> Reference:
    source = parse_reference(text)
    if source.digest is None:
        raise InvalidArgument(f"{text}: a manifest of a list is named by its digest")
    if source.domain != target.domain:
        raise InvalidArgument(
            "cannot use source images from a different registry than the target image: "
            f"{source.domain} != {target.domain}"
        )
    return source


async def _take_over(
    client: RegistryClient, uploader: Uploader, target: Reference, source: Reference, auth: Auth
) -> str:
    """One manifest and its blobs into the list's repository."""
    digest = source.digest or ""
    found = await client.repository(source, auth).manifest(digest)
    document = parse_manifest(found.content, found.media_type)
    if isinstance(document, Index):
        raise InvalidArgument(f"{source} is a manifest list")
    for blob in (document.config.digest, *(layer.digest for layer in document.layers)):
        if not await uploader.mount(blob, source.path):
            raise Unavailable(f"error mounting {source.with_digest(blob)} to {target}")
    await uploader.put_manifest(found.content, document.media_type, digest)
    return str(target.with_digest(digest))
