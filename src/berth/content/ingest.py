"""``Ingest``: one blob on its way in. It can be left and taken up again at the byte where it stopped."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from berth.base.errors import DataLoss, TooLarge, from_oserror
from berth.spec.digest import hex_of

if TYPE_CHECKING:
    from berth.content.blobs import BlobStore

_CHUNK = 1 << 20


class Ingest:
    """Bytes of one blob, appended in order; ``commit`` verifies and publishes them.

    ``digest`` None: it becomes known at the end. ``offset`` is how many bytes are there already.
    Leave it by ``commit``, ``abandon`` (delete the bytes) or ``close`` (keep them for another try).
    Raises: OSError's kinds (a full disk is ResourceExhausted).
    """

    def __init__(self, store: BlobStore, directory: str, digest: str | None, size: int | None) -> None:
        self._store = store
        self._directory = directory
        self._path = os.path.join(directory, "data")
        self.digest = digest
        self.size = size
        self.offset = 0
        self._hash = hashlib.sha256()
        try:
            os.makedirs(directory, mode=0o700, exist_ok=True)
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as err:
            raise from_oserror(err, f"open ingest {os.path.basename(directory)}") from err
        self._rehash()

    def _rehash(self) -> None:
        """Read what an earlier try left; more than the blob may have is thrown away."""
        while chunk := os.read(self._fd, _CHUNK):
            self._hash.update(chunk)
            self.offset += len(chunk)
        if self.size is not None and self.offset > self.size:
            self.restart()

    def restart(self) -> None:
        """Begin again at byte 0 (the sender cannot go on where we stopped)."""
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        self._hash = hashlib.sha256()
        self.offset = 0

    def write(self, chunk: bytes | memoryview) -> None:
        """Append. Raises: TooLarge when more comes than was announced."""
        if self.size is not None and self.offset + len(chunk) > self.size:
            raise TooLarge(f"blob {self.digest or ''} is longer than the {self.size} bytes that were announced")
        view = memoryview(chunk)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as err:
            raise from_oserror(err, "write a blob", path=self._path) from err
        self._hash.update(chunk)
        self.offset += len(chunk)

    def open_bytes(self) -> int:
        """A descriptor of its own that reads what is here and what will come, also after ``commit``. The caller closes it."""
        try:
            return os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as err:
            raise from_oserror(err, "read an ingest", path=self._path) from err

    def actual_digest(self) -> str:
        """The digest of the bytes so far."""
        return "sha256:" + self._hash.hexdigest()

    def commit(self, media_type: str = "") -> str:
        """Verify, sync, rename, record; returns the digest.

        Raises: DataLoss when the bytes are not what was announced (they are deleted: no try can use them).
        """
        actual = self.actual_digest()
        if self.digest is not None and actual != self.digest:
            self.abandon()
            raise DataLoss(f"filesystem layer verification failed for digest {self.digest}")
        if self.size is not None and self.offset != self.size:
            self.abandon()
            raise DataLoss(f"blob {actual} has {self.offset} bytes, {self.size} were announced")
        try:
            os.fchmod(self._fd, 0o600)
            os.fsync(self._fd)
        except OSError as err:
            raise from_oserror(err, f"store blob {actual}") from err
        self._store.publish(self._path, actual, self.offset, media_type)
        self.close()
        os.rmdir(self._directory)
        return actual

    def close(self) -> None:
        """Keep the bytes for another try."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def abandon(self) -> None:
        """Delete the bytes."""
        self.close()
        for remove, path in ((os.unlink, self._path), (os.rmdir, self._directory)):
            try:
                remove(path)
            except OSError:
                pass  # the next start deletes ingests that no lease names


def ingest_key(digest: str) -> str:
    return hex_of(digest)
