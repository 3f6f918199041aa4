"""A ``docker load`` stream, read once: big members go straight into the content store, small JSON stays at hand.

Nothing is unpacked into files by name; a member's name is only a key of ``Archive``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from berth.base.errors import InvalidArgument, TooLarge
from berth.snapshots import tar
from berth.snapshots.inflate import CHUNK, Readable, open_stream
from berth.snapshots.source import Source
from berth.snapshots.tree import clean
from berth.spec.image import MAX_MANIFEST

if TYPE_CHECKING:
    from berth.content.blobs import BlobStore
    from berth.content.leases import Lease

_BLOB_NAME = re.compile(r"blobs/sha256/([0-9a-f]{64})")
_DOCUMENTS = frozenset(("manifest.json", "index.json", "oci-layout", "repositories"))
_LEGACY = ("/json", "/VERSION")
"""What ``docker save`` of before 25 wrote beside each layer; nothing reads it any more."""
_MAX_MEMBERS = 1_000_000
_MAX_LARGE = 16
"""How many times the largest member all of them may be."""


class Archive(NamedTuple):
    """``blobs``: member name → digest of what is in the content store now. ``links``: member name → member name."""

    documents: dict[str, bytes]
    blobs: dict[str, str]
    links: dict[str, str]

    def blob(self, name: object) -> str:
        """The digest of a member, by the name that a document gives it. Raises: InvalidArgument."""
        key = name if isinstance(name, str) else ""
        for _ in range(8):
            if key in self.blobs:
                return self.blobs[key]
            if key not in self.links:
                break
            key = self.links[key]
        raise InvalidArgument(f"invalid archive: it has no {str(name)[:200]!r}")


def read_archive(
    raw: Readable, blobs: BlobStore, lease: Lease, received: Callable[[int], None] | None = None,
    max_member: int = 1 << 62,
) -> Archive:  # fmt: skip
    """Read the whole stream, compressed or not; what is stored is held by ``lease``.

    ``received`` is told the bytes of the archive so far; ``max_member``: bytes that one member may have, for a few kilobytes may
    unpack to any number of them. Raises: InvalidArgument for what is no archive, TooLarge.
    """
    stream = open_stream(raw)
    source = Source(lambda: stream.read(CHUNK))
    archive = Archive({}, {}, {})
    total = 0
    for count, member in enumerate(tar.read_members(source)):
        if count >= _MAX_MEMBERS:
            raise TooLarge(f"archive has more than {_MAX_MEMBERS} members")
        name = clean(member.name).decode(errors="surrogateescape")
        if member.type in (tar.SYMLINK, tar.HARDLINK):
            archive.links[name] = _link_target(name, member)
        elif member.type == tar.REGULAR and member.extents is None and not name.endswith(_LEGACY):
            if name in _DOCUMENTS:
                archive.documents[name] = _document(source, member.stored, name)
            elif member.stored > max_member:
                raise TooLarge(f"invalid archive: {name[:200]!r} is larger than {max_member} bytes")
            elif (total := total + member.stored) > max_member * _MAX_LARGE:
                raise TooLarge(f"archive is larger than {max_member * _MAX_LARGE} bytes")
            else:
                archive.blobs[name] = _store(source, member.stored, name, blobs, lease)
        if received is not None:
            received(source.position)
    source.drain()
    return archive


def _link_target(name: str, member: tar.Member) -> str:
    target = member.linkname
    if member.type == tar.SYMLINK and not target.startswith(b"/"):
        directory = name.rpartition("/")[0].encode(errors="surrogateescape")
        target = directory + b"/" + target if directory else target
    return clean(target).decode(errors="surrogateescape")


def _document(source: Source, size: int, name: str) -> bytes:
    if size > MAX_MANIFEST:
        raise TooLarge(f"invalid archive: {name} has {size} bytes")
    return source.take(size)


def _store(source: Source, size: int, name: str, blobs: BlobStore, lease: Lease) -> str:
    named = _BLOB_NAME.fullmatch(name)
    digest = f"sha256:{named[1]}" if named else None
    if digest is not None:
        lease.hold("blob", digest)
        if blobs.find(digest) is not None:
            return digest
    ingest = blobs.ingest(None, size)  # by a name of its own: a pull of the same blob may be under way
    try:
        for piece in source.pieces(size):
            ingest.write(piece)
        actual = ingest.actual_digest()
        if digest not in (None, actual):
            raise InvalidArgument(f"invalid archive: {name} has the digest {actual}")
        lease.hold("blob", actual)
        return actual if blobs.find(actual) is not None else ingest.commit()
    finally:
        ingest.abandon()
