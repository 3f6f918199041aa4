"""``BlobStore``: verified blobs, by digest."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from berth.base import failpoints
from berth.base.clock import now_ns
from berth.base.errors import NotFound, TooLarge, from_oserror
from berth.base.ids import is_id
from berth.content.ingest import Ingest, ingest_key
from berth.spec.digest import hex_of, parse_sha256

if TYPE_CHECKING:
    from berth.content.leases import Leases
    from berth.content.trash import Trash
    from berth.db.database import Database


class Blob(NamedTuple):
    """``created_ns`` tells a blob from a later one of the same digest."""

    size: int
    media_type: str
    created_ns: int


class BlobStore:
    """Find, read and put blobs; all of it blocking. The index of what is here is kept in memory."""

    def __init__(self, root: str, db: Database, leases: Leases, trash: Trash) -> None:
        self._blobs_dir = os.path.join(root, "blobs", "sha256")
        self._ingest_dir = os.path.join(root, "ingest")
        self._db = db
        self._leases = leases
        self._trash = trash
        self._lock = threading.Lock()
        self._index: dict[str, Blob] = {}

    def open(self) -> None:
        """Read the index; take away halves of commits and removals, and ingests that no lease names."""
        for directory in (self._blobs_dir, self._ingest_dir):
            os.makedirs(directory, mode=0o700, exist_ok=True)
        rows = self._db.read_sync(lambda conn: conn.execute("SELECT * FROM blobs").fetchall())
        files = set(os.listdir(self._blobs_dir))
        self._index = {row[0]: Blob(*row[1:]) for row in rows if hex_of(row[0]) in files}
        for name in files - {hex_of(digest) for digest in self._index}:
            self._trash.put(os.path.join(self._blobs_dir, name))
        lost = [(row[0],) for row in rows if row[0] not in self._index]
        if lost:
            self._db.write_sync(lambda conn: conn.executemany("DELETE FROM blobs WHERE digest = ?", lost))
        self._drop_stale_ingests()

    def _drop_stale_ingests(self) -> None:
        with self._leases.guard:
            held = {hex_of(digest) for digest in self._leases.held("blob")}
        for key in os.listdir(self._ingest_dir):
            if not is_id(key) or key not in held:
                self._trash.put(os.path.join(self._ingest_dir, key))

    def drop_ingests(self, digests: set[str]) -> None:
        """Delete what came of blobs that nobody holds any more. After: their holder's lease is released."""
        with self._leases.guard:
            for digest in digests - self._leases.held("blob"):
                path = os.path.join(self._ingest_dir, ingest_key(digest))
                if os.path.isdir(path):
                    self._trash.put(path)
        self._trash.empty()

    def path(self, digest: str) -> str:
        """Where the blob's bytes are. Raises: InvalidArgument for what is no sha256 digest."""
        return os.path.join(self._blobs_dir, hex_of(parse_sha256(digest)))

    def find(self, digest: str) -> Blob | None:
        return self._index.get(digest)

    def get(self, digest: str) -> Blob:
        """Raises: NotFound."""
        blob = self._index.get(digest)
        if blob is None:
            raise NotFound(f"blob {digest} not found")
        return blob

    def read(self, digest: str, limit: int) -> bytes:
        """A small blob whole. Raises: NotFound, TooLarge above ``limit`` bytes."""
        if self.get(digest).size > limit:
            raise TooLarge(f"blob {digest} has more than {limit} bytes")
        try:
            with open(self.path(digest), "rb") as file:
                return file.read()
        except OSError as err:
            raise from_oserror(err, f"read blob {digest}") from err

    def put(self, content: bytes, media_type: str) -> str:
        """Store a small blob; returns its digest. After: a lease holds it."""
        ingest = self.ingest()
        try:
            ingest.write(content)
            if self.find(ingest.actual_digest()) is not None:
                return ingest.actual_digest()
            return ingest.commit(media_type)
        finally:
            ingest.abandon()

    def ingest(self, digest: str | None = None, size: int | None = None) -> Ingest:
        """Begin a blob, or go on with one that an earlier try left. One at a time a digest: the caller sees to it."""
        key = ingest_key(parse_sha256(digest)) if digest is not None else f"u-{os.urandom(8).hex()}"
        return Ingest(self, os.path.join(self._ingest_dir, key), digest, size)

    def publish(self, path: str, digest: str, size: int, media_type: str) -> None:
        """Give verified, synced bytes at ``path`` their name (``Ingest.commit`` does)."""
        blob = Blob(size, media_type, now_ns())
        failpoints.hit("content.before_rename")
        with self._lock:
            os.rename(path, self.path(digest))
            self._index[digest] = blob
        failpoints.hit("content.before_row")
        self._db.write_sync(lambda conn: conn.execute("INSERT OR REPLACE INTO blobs VALUES (?,?,?,?)", (digest, *blob)))

    def sync(self) -> None:
        """The names of all blobs are on the disk when this returns (their bytes were synced one by one)."""
        fd = os.open(self._blobs_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def disk_bytes(self, digests: Iterable[str] | None = None) -> int:
        """What all blobs, or these, take on the disk."""
        return sum(_disk_of(self.path(digest)) for digest in (list(self._index) if digests is None else digests))

    def paths(self) -> list[str]:
        """Of every blob."""
        return [self.path(digest) for digest in list(self._index)]

    def sweep(self, keep: set[str]) -> list[tuple[str, int]]:
        """Rename every blob that is not in ``keep`` to the trash; returns (digest, created_ns) for ``forget``.

        Locks: the caller holds ``Leases.guard``.
        """
        with self._lock:
            gone = [(digest, blob.created_ns) for digest, blob in self._index.items() if digest not in keep]
            for digest, _ in gone:
                self._trash.put(self.path(digest))
                del self._index[digest]
        return gone

    @staticmethod
    def forget(conn: sqlite3.Connection, gone: list[tuple[str, int]]) -> None:
        """Delete the rows of swept blobs; a blob that came back meanwhile has another time and stays."""
        conn.executemany("DELETE FROM blobs WHERE digest = ? AND created_ns = ?", gone)


def _disk_of(path: str) -> int:
    try:
        return os.stat(path).st_blocks * 512
    except OSError:
        return 0
