"""Leases: what must stay although no image refers to it yet.

A pull takes a lease under a name made from its reference, holds every blob and snapshot that it needs by it, and releases
it when the image is recorded. A pull that fails or dies leaves its lease, so that the next try finds what had come already;
after ``expires_ns`` it no longer counts.
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

    def _release(self, lease_id: str) -> None:
        with self.guard:
            self._held.pop(lease_id, None)

        def forget(conn: sqlite3.Connection) -> None:
            conn.execute("DELETE FROM leases WHERE id = ?", (lease_id,))
            conn.execute("DELETE FROM lease_refs WHERE lease_id = ?", (lease_id,))

        self._db.write_sync(forget)


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

    def release(self) -> None:
        self._leases._release(self.id)
