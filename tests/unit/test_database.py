"""Transactions: where they run, in which order, and what a durable one waits for."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from berth.db.database import Database


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    made = Database(str(tmp_path / "db"))
    made.open()
    made.write_sync(lambda conn: conn.execute("CREATE TABLE said (word TEXT)"))
    yield made
    made.close()


def words(db: Database) -> list[str]:
    return [
        row[0] for row in db.read_sync(lambda conn: conn.execute("SELECT word FROM said ORDER BY rowid").fetchall())
    ]


def test_who_need_not_wait_is_not_handed_over(db: Database) -> None:
    def say(conn: sqlite3.Connection) -> int:
        conn.execute("INSERT INTO said VALUES ('one')")
        return threading.get_ident()

    assert asyncio.run(db.write(say)) == threading.get_ident()
    assert words(db) == ["one"]


def test_who_comes_while_another_is_at_it_waits_in_line(db: Database) -> None:
    begun, go = threading.Event(), threading.Event()

    def slow(conn: sqlite3.Connection) -> None:
        begun.set()
        assert go.wait(10)
        conn.execute("INSERT INTO said VALUES ('first')")

    async def both() -> None:
        thread = threading.Thread(target=db.write_sync, args=(slow,))
        thread.start()
        assert begun.wait(10)
        later = [
            asyncio.ensure_future(db.write(lambda c, w=w: c.execute("INSERT INTO said VALUES (?)", w))) for w in "abc"
        ]
        await asyncio.sleep(0)
        go.set()
        await asyncio.gather(*later)
        thread.join()

    asyncio.run(both())
    assert words(db) == ["first", "a", "b", "c"]


def test_a_failed_transaction_changes_nothing(db: Database) -> None:
    def fail(conn: sqlite3.Connection) -> None:
        conn.execute("INSERT INTO said VALUES ('gone')")
        raise ValueError

    with pytest.raises(ValueError):
        asyncio.run(db.write(fail, durable=True))
    assert words(db) == []


def test_durable_commits_share_a_sync_and_none_returns_before_its_own(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    begun, go = threading.Event(), threading.Event()

    def sync(fd: int) -> None:
        assert os.readlink(f"/proc/self/fd/{fd}").endswith("/db-wal")
        begun.set()
        assert go.wait(10)
        synced.append(len(committed))

    committed: list[str] = []
    returned: list[tuple[str, int]] = []
    monkeypatch.setattr(os, "fdatasync", sync)

    async def say(word: str) -> None:
        def insert(conn: sqlite3.Connection) -> None:
            conn.execute("INSERT INTO said VALUES (?)", (word,))
            committed.append(word)

        await db.write(insert, durable=True)
        returned.append((word, len(synced)))

    async def all_of_them() -> None:
        first = asyncio.ensure_future(say("a"))
        await asyncio.to_thread(begun.wait, 10)
        later = [asyncio.ensure_future(say(word)) for word in "bcd"]  # the sync under way may be too early for these
        while len(committed) < 4:
            await asyncio.sleep(0)
        assert not returned
        go.set()
        await asyncio.gather(first, *later)

    asyncio.run(all_of_them())
    assert len(synced) == 2
    assert [count for word, count in returned if word != "a"] == [2, 2, 2]


def test_who_gives_up_takes_no_sync_from_the_others(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go = threading.Event(), threading.Event()

    def sync(fd: int) -> None:
        begun.set()
        assert go.wait(10)

    monkeypatch.setattr(os, "fdatasync", sync)

    def say(word: str) -> asyncio.Task[sqlite3.Cursor]:
        return asyncio.ensure_future(
            db.write(lambda conn: conn.execute("INSERT INTO said VALUES (?)", word), durable=True)
        )

    async def all_of_them() -> None:
        under_way = say("a")
        await asyncio.to_thread(begun.wait, 10)
        gives_up, stays = say("b"), say("c")
        while len(await db.read(lambda conn: conn.execute("SELECT 1 FROM said").fetchall())) < 3:
            await asyncio.sleep(0)
        gives_up.cancel()
        await asyncio.sleep(0)
        go.set()
        await asyncio.gather(under_way, stays)
        await say("d")
        assert gives_up.cancelled()

    asyncio.run(asyncio.wait_for(all_of_them(), 20))
    assert words(db) == ["a", "b", "c", "d"]


def test_a_sync_that_fails_is_told(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(fd: int) -> None:
        raise OSError(5, os.strerror(5))

    monkeypatch.setattr(os, "fdatasync", broken)
    with pytest.raises(Exception, match="to the disk"):
        asyncio.run(db.write(lambda conn: conn.execute("INSERT INTO said VALUES ('x')"), durable=True))
