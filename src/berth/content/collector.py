"""The collector: from roots to what may go.

    roots   what images name (blobs, chains of layers), what containers stand on, what leases hold
    sweep   under ``Leases.guard``: forget in memory, rename to the trash     (milliseconds)
    then    delete the rows, and in the background what is in the trash

A crash after the sweep leaves rows without files, which the next start deletes: they were nobody's.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple, Protocol

from berth.base import failpoints

if TYPE_CHECKING:
    from berth.content.blobs import BlobStore
    from berth.content.leases import Leases
    from berth.content.trash import Trash
    from berth.db.database import Database


class Roots(NamedTuple):
    """Digests of blobs, and chain ids of snapshots, that somebody stands on."""

    blobs: set[str]
    chains: set[str]


class Snapshots(Protocol):
    """What the collector needs of a snapshotter."""

    def sweep(self, keep: Iterable[str]) -> list[tuple[str, int]]: ...

    def forget(self, conn: sqlite3.Connection, gone: list[tuple[str, int]]) -> None: ...


class Collector:
    """``collect`` takes away what nobody stands on; blocking, one at a time.

    ``roots`` is asked under ``Leases.guard``: it must read memory only.
    """

    def __init__(
        self,
        db: Database,
        leases: Leases,
        blobs: BlobStore,
        snapshots: Snapshots,
        trash: Trash,
        roots: Callable[[], Roots],
    ) -> None:
        self._db = db
        self._leases = leases
        self._blobs = blobs
        self._snapshots = snapshots
        self._trash = trash
        self._roots = roots
        self._one = threading.Lock()

    def collect(self) -> int:
        """Returns how many blobs and snapshots went."""
        with self._one:
            with self._leases.guard:
                roots = self._roots()
                blobs = self._blobs.sweep(roots.blobs | self._leases.held("blob"))
                chains = self._snapshots.sweep(roots.chains | self._leases.held("snapshot"))
            if blobs or chains:
                failpoints.hit("content.swept")
                self._db.write_sync(lambda conn: self._forget(conn, blobs, chains))
                self._trash.empty()
            return len(blobs) + len(chains)

    def _forget(self, conn: sqlite3.Connection, blobs: list[tuple[str, int]], chains: list[tuple[str, int]]) -> None:
        self._blobs.forget(conn, blobs)
        self._snapshots.forget(conn, chains)
