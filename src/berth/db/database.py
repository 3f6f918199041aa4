"""The database: one connection, one transaction at a time in the order asked for, on a thread of its own where it may wait.

WAL with synchronous=NORMAL: a commit survives the daemon's death at once and the machine's death from the next sync of the
log on. ``durable=True`` returns after such a sync, for acknowledgements that promise durability; those that are asked for
while one is under way share the next. Checkpoints (which sync) run on the thread after a burst, never inside a request.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from berth.base.errors import DataLoss, Internal, ResourceExhausted, from_oserror
from berth.db.schema import MIGRATIONS

log = logging.getLogger("berth.db")

T = TypeVar("T")
_CHECKPOINT_AFTER = 500  # commits
_RESERVED_BYTES = 4 << 20


class Database:
    """``await db.write(fn)`` runs ``fn(connection)`` in a transaction on the writer thread; ``read`` without one.

    Raises: ResourceExhausted (disk full; nothing was changed), DataLoss (the file is not a database of ours).
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="db")
        self._syncer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="db-sync")
        self._sync: Future[None] | None = None  # one that has not begun
        self._log_fd = -1
        self._conn: sqlite3.Connection | None = None
        self._commits = 0
        self._turn = threading.Lock()
        self._ahead = 0  # transactions that wait for the thread, or are at it
        self._count = threading.Lock()

    def open(self) -> None:
        """Open or create the file and bring its schema up to date (blocking; at start)."""
        self._thread.submit(self._open).result()

    def close(self) -> None:
        """Checkpoint and close (blocking; at the end)."""
        self._syncer.shutdown()
        self._thread.submit(self._close).result()
        self._thread.shutdown()

    async def write(self, fn: Callable[[sqlite3.Connection], T], *, durable: bool = False) -> T:
        """On the caller's thread when it need not wait for anybody: a commit that does not sync takes less than a hand-over."""
        if self._ahead == 0 and self._turn.acquire(blocking=False):
            try:
                result = self._write(fn)
            finally:
                self._turn.release()
        else:
            result = await _of_all(self._submit(self._write, fn))
        if durable:
            await _of_all(self._sync_soon())
        return result

    async def read(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        return await _of_all(self._submit(self._read, fn))

    def write_sync(self, fn: Callable[[sqlite3.Connection], T], *, durable: bool = False) -> T:
        """As ``write``, for plain code on worker threads and at start."""
        result: T = self._submit(self._write, fn).result()
        if durable:
            self._sync_soon().result()
        return result

    def read_sync(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        result: T = self._submit(self._read, fn).result()
        return result

    def _submit(self, work: Callable[..., T], *args: Any) -> Future[T]:
        with self._count:
            self._ahead += 1
        return self._thread.submit(self._in_turn, work, *args)

    def _in_turn(self, work: Callable[..., T], *args: Any) -> T:
        try:
            with self._turn:
                return work(*args)
        finally:
            with self._count:
                self._ahead -= 1

    def _sync_soon(self) -> Future[None]:
        with self._count:
            if self._sync is None:
                self._sync = self._syncer.submit(self._sync_log)
            return self._sync

    def _sync_log(self) -> None:
        with self._count:
            self._sync = None  # who commits from here on needs the next one
        try:
            os.fdatasync(self._log_fd)
        except OSError as err:
            raise from_oserror(err, f"write {self._path} to the disk", path=self._path) from err

    def _open(self) -> None:
        fresh = not os.path.exists(self._path)
        if fresh:
            os.close(os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        try:
            conn = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            conn.execute("PRAGMA journal_mode=WAL")
            conn.execute("PRAGMA synchronous=NORMAL")
            conn.execute("PRAGMA wal_autocheckpoint=0")
            conn.execute("PRAGMA cache_size=-1024")
            version = int(conn.execute("PRAGMA user_version").fetchone()[0])
        except sqlite3.DatabaseError as err:
            raise DataLoss(f"{self._path} is not a database of Berth's: {err}", path=self._path) from err
        if version > len(MIGRATIONS):
            raise DataLoss(
                f"{self._path} was written by a newer Berth (schema {version}, this one knows {len(MIGRATIONS)})",
                path=self._path,
            )
        for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
            conn.executescript(f"BEGIN; {script}; PRAGMA user_version={number}; COMMIT;")
        self._conn = conn
        self._reserve()

    def _reserve(self) -> None:
        """Give the log its room on the disk beforehand, so that on a full disk containers can still end and be removed.

        The zeros behind the log's end are no frames to SQLite, which writes over them and starts again from the front
        after a checkpoint.
        """
        flags = os.O_WRONLY | os.O_CLOEXEC
        try:
            self._log_fd = os.open(f"{self._path}-wal", flags)
        except FileNotFoundError:  # nothing was written yet: the first commit makes it
            self._connection().execute(f"PRAGMA user_version={len(MIGRATIONS)}")
            self._log_fd = os.open(f"{self._path}-wal", flags)
        try:
            os.posix_fallocate(self._log_fd, 0, _RESERVED_BYTES)
        except OSError as err:
            log.warning("no room for the database's log on %s: %s", self._path, err.strerror)
        _sync_directory(os.path.dirname(self._path))  # the log is a new file after each clean end

    def _close(self) -> None:
        if self._conn is not None:
            self._conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._conn.close()
            self._conn = None
            os.close(self._log_fd)

    def _connection(self) -> sqlite3.Connection:
        if self._conn is None:
            raise Internal("the database is not open")
        return self._conn

    def _read(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        return fn(self._connection())

    def _write(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return self._commit(fn)
        except ResourceExhausted:
            # the log is at its end: start it again from the front, where its room is
            self._connection().execute("PRAGMA wal_checkpoint(RESTART)")
            return self._commit(fn)

    def _commit(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        conn = self._connection()
        try:
            conn.execute("BEGIN IMMEDIATE")
            try:
                result = fn(conn)
                conn.execute("COMMIT")
            except BaseException:
                if conn.in_transaction:
                    conn.execute("ROLLBACK")
                raise
        except sqlite3.OperationalError as err:
            if "full" in str(err):
                raise ResourceExhausted(f"no space left on device: {self._path}", path=self._path) from err
            raise
        self._commits += 1
        if self._commits >= _CHECKPOINT_AFTER:
            self._commits = 0
            self._submit(conn.execute, "PRAGMA wal_checkpoint(PASSIVE)")
        return result


async def _of_all(work: Future[T]) -> T:
    """Its result. Who gives up waiting does not cancel it: others may wait for the same, and turns are counted."""
    return await asyncio.shield(asyncio.wrap_future(work))


def _sync_directory(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
