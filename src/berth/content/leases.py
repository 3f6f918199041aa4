"""Leases: what must stay although no image refers to it yet.

A pull takes a lease under a name made from its reference, holds every blob and snapshot that it needs by it, and releases
it when the image is recorded. A pull that fails or dies leaves its lease, so that the next try finds what had come already;
after ``expires_ns``, or after a prune (``drop_idle``), it no longer counts.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from berth.base.clock import now_ns

if TYPE_CHECKING:
    from berth.db.database import Database

Kind = Literal["blob", "snapshot"]
DAY_NS = 24 * 3600 * 10**9


class Leases:
    """All leases, in memory and in the database.

    Locks: ``guard`` is for the collector and for whoever turns "it is here" into "I keep it".
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self.guard = threading.Lock()
        self._held: dict[str, set[tuple[Kind, str]]] = {}
        self._busy: set[str] = set()

    def open(self) -> None:
        """Read the leases that still count; forget the expired ones."""

        def load(conn: sqlite3.Connection) -> list[tuple[str, Kind | None, str]]:
            conn.execute("DELETE FROM leases WHERE expires_ns <= ?", (now_ns(),))
            conn.execute("DELETE FROM lease_refs WHERE lease_id NOT IN (SELECT id FROM leases)")
            query = "SELECT l.id, r.kind, r.key FROM leases l LEFT JOIN lease_refs r ON r.lease_id = l.id"
            return conn.execute(query).fetchall()

        for lease_id, kind, key in self._db.write_sync(load):
            refs = self._held.setdefault(lease_id, set())
            if kind is not None:
                refs.add((kind, key))

    def acquire(self, lease_id: str, ttl_ns: int = DAY_NS) -> Lease:
        """The lease of that name, made or taken up again."""
        created = now_ns()
        with self.guard:
            self._held.setdefault(lease_id, set())
            self._busy.add(lease_id)
        self._db.write_sync(
            lambda conn: conn.execute(
                "INSERT INTO leases VALUES (?,?,?) ON CONFLICT (id) DO UPDATE SET expires_ns = excluded.expires_ns",
                (lease_id, created, created + ttl_ns),
            )
        )
        return Lease(self, lease_id)

    def held(self, kind: Kind) -> set[str]:
        """Keys of that kind under any lease. Locks: the caller holds ``guard``."""
        return {key for refs in self._held.values() for held_kind, key in refs if held_kind == kind}

    def _hold(self, lease_id: str, refs: Iterable[tuple[Kind, str]]) -> None:
        rows = [(lease_id, kind, key) for kind, key in refs]
        with self.guard:
            held = self._held.setdefault(lease_id, set())
            rows = [row for row in rows if (row[1], row[2]) not in held]
            held.update((kind, key) for _, kind, key in rows)
        if rows:
            self._db.write_sync(lambda conn: conn.executemany("INSERT OR IGNORE INTO lease_refs VALUES (?,?,?)", rows))

    def drop_idle(self) -> set[str]:
        """Release what failed tries left for the next one; returns the digests of the blobs that they held."""
        with self.guard:
            idle = [lease_id for lease_id in self._held if lease_id not in self._busy]
            blobs = {key for lease_id in idle for kind, key in self._held[lease_id] if kind == "blob"}
            for lease_id in idle:
                del self._held[lease_id]
        if idle:
            self._db.write_sync(lambda conn: _forget(conn, idle))
        return blobs

    def _release(self, lease_id: str) -> None:
        with self.guard:
            self._held.pop(lease_id, None)
            self._busy.discard(lease_id)
        self._db.write_sync(lambda conn: _forget(conn, [lease_id]))


def _forget(conn: sqlite3.Connection, lease_ids: list[str]) -> None:
    rows = [(lease_id,) for lease_id in lease_ids]
    conn.executemany("DELETE FROM leases WHERE id = ?", rows)
    conn.executemany("DELETE FROM lease_refs WHERE lease_id = ?", rows)


class Lease:
    """One holder's claim. ``hold`` first, then look whether the thing is there: only this order is safe."""

    def __init__(self, leases: Leases, lease_id: str) -> None:
        self._leases = leases
        self.id = lease_id

    def hold(self, kind: Kind, *keys: str) -> None:
        """Nothing of ``keys`` is collected until ``release``, whether it exists already or not."""
        self._leases._hold(self.id, [(kind, key) for key in keys])

    def keys(self, kind: Kind) -> set[str]:
        """What it holds."""
        with self._leases.guard:
            return {key for held_kind, key in self._leases._held.get(self.id, ()) if held_kind == kind}

    def leave(self) -> None:
        """Nobody works under it now; what it holds stays for the next ``acquire``. After ``release``: nothing happens."""
        with self._leases.guard:
            self._leases._busy.discard(self.id)

    def release(self) -> None:
        self._leases._release(self.id)
