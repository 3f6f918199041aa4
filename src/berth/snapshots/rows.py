"""The table ``snapshots``: what is committed, what is active, and what each stands on."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple


class Layer(NamedTuple):
    """A committed layer. ``parent`` is a chain id ("" at the bottom); ``size`` the bytes of its files.

    ``disk``: the bytes that it takes on the disk; -1 while nobody has counted. ``boot``: the boot of the machine in which it was
    written, "" once all of it is known to be on the disk."""

    number: int
    parent: str
    size: int
    disk: int = -1
    boot: str = ""


class Active(NamedTuple):
    """A container's writable layer over the chain ``parent`` ("" for none)."""

    number: int
    parent: str


def read_rows(conn: sqlite3.Connection) -> tuple[dict[str, Layer], dict[str, Active]]:
    layers: dict[str, Layer] = {}
    actives: dict[str, Active] = {}
    columns = "key, name, parent, kind, size, disk, boot"
    for key, number, parent, kind, size, disk, boot in conn.execute(f"SELECT {columns} FROM snapshots"):
        if kind == "committed":
            layers[key] = Layer(number, parent or "", size or 0, -1 if disk is None else disk, boot or "")
        else:
            actives[key] = Active(number, parent or "")
    return layers, actives


def insert_layer(conn: sqlite3.Connection, chain_id: str, layer: Layer) -> None:
    """Replaces the row of a layer that was swept a moment ago, should it still be there."""
    conn.execute(
        "INSERT OR REPLACE INTO snapshots (key, name, parent, kind, chain_id, size, boot) VALUES (?,?,?,'committed',?,?,?)",
        (chain_id, layer.number, layer.parent, chain_id, layer.size, layer.boot),
    )


def insert_active(conn: sqlite3.Connection, key: str, active: Active) -> None:
    conn.execute(
        "INSERT INTO snapshots (key, name, parent, kind) VALUES (?,?,?,'active')", (key, active.number, active.parent)
    )


def update_disk(conn: sqlite3.Connection, chain_id: str, layer: Layer) -> None:
    conn.execute("UPDATE snapshots SET disk = ? WHERE key = ? AND name = ?", (layer.disk, chain_id, layer.number))


def update_synced(conn: sqlite3.Connection, synced: Iterable[tuple[str, int]]) -> None:
    conn.executemany("UPDATE snapshots SET boot = NULL WHERE key = ? AND name = ?", synced)


def delete(conn: sqlite3.Connection, gone: Iterable[tuple[str, int]]) -> None:
    """``gone``: (key, number); a row that was written anew has another number and stays."""
    conn.executemany("DELETE FROM snapshots WHERE key = ? AND name = ?", gone)
