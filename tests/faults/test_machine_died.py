"""The machine's death: a layer that nobody saw reach the disk is not believed afterwards, but made again from its blob."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from berth.base.layout import Layout
from berth.content.trash import Trash
from berth.db.database import Database
from berth.engine.images.durable import LayerSync
from berth.snapshots.apply import Applied
from berth.snapshots.overlay import Snapshots
from harness.daemon import Daemon
from harness.eventually import eventually
from harness.images import Entry, docker_archive, layer_tar

pytestmark = pytest.mark.root
Make = Callable[..., Daemon]


def _archive(tmp_path: Path) -> str:
    path = f"{tmp_path}/two.tar"
    docker_archive(path, ["t/two:1"], [layer_tar([Entry("a", b"1" * 5000)]), layer_tar([Entry("b", b"2" * 9000)])])
    return path


def _rows(daemon: Daemon) -> dict[str, tuple[int, str | None]]:
    with sqlite3.connect(f"{daemon.data_root}/berth.db") as db:
        return {
            key: (name, boot)
            for key, name, boot in db.execute("SELECT key, name, boot FROM snapshots WHERE kind = 'committed'")
        }


def _as_after_another_boot(daemon: Daemon) -> None:
    with sqlite3.connect(f"{daemon.data_root}/berth.db") as db:
        db.execute("UPDATE snapshots SET boot = 'another' WHERE boot IS NOT NULL")
    db.close()


def _verified(daemon: Daemon) -> str:
    command = [sys.executable, "-m", "berth.daemon.verify", "--data-root", daemon.data_root, "--deep"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_layers_that_were_lost_with_the_machine_are_made_again(make_daemon: Make, tmp_path: Path) -> None:
    daemon = make_daemon()
    daemon.docker("load", "-q", "-i", _archive(tmp_path))
    container = daemon.docker("create", "busybox", "true").out.strip()
    daemon.docker("run", "--name", "writes", "busybox", "sh", "-c", "echo kept > /kept")
    daemon.stop()
    before = _rows(daemon)
    assert len(before) == 3 and all(boot for _, boot in before.values())
    for number, _ in before.values():  # the files have their names and sizes, and no bytes: what a journal replays
        for folder, _, files in os.walk(f"{daemon.data_root}/snapshots/{number}/fs"):
            for name in files:
                if os.path.isfile(f"{folder}/{name}") and not os.path.islink(f"{folder}/{name}"):
                    os.truncate(f"{folder}/{name}", 0)
    _as_after_another_boot(daemon)
    daemon.start()
    after = _rows(daemon)
    assert set(after) == set(before) and not set(after.values()) & set(before.values())
    assert daemon.docker("run", "--rm", "busybox", "echo", "alive").out == "alive\n"
    assert daemon.docker("start", "-a", container).code == 0
    daemon.docker("start", "-a", "writes")
    assert daemon.docker("export", "writes").code == 0
    daemon.stop()
    _verified(daemon)


def test_layers_of_this_boot_and_synced_ones_are_believed(make_daemon: Make) -> None:
    """kill -9 is no death of the machine: what the kernel holds is whole."""
    daemon = make_daemon()
    before = _rows(daemon)
    daemon.kill9()
    daemon.start()
    assert _rows(daemon) == before
    daemon.stop()
    with sqlite3.connect(f"{daemon.data_root}/berth.db") as db:
        db.execute("UPDATE snapshots SET boot = NULL")
    db.close()
    before = _rows(daemon)
    daemon.start()
    assert _rows(daemon) == before


def test_a_layer_whose_blob_is_gone_is_told_and_the_rest_lives(make_daemon: Make, tmp_path: Path) -> None:
    daemon = make_daemon()
    daemon.docker("load", "-q", "-i", _archive(tmp_path))
    digest = daemon.api("GET", "/images/t/two:1/json").body["RootFS"]["Layers"][1].partition(":")[2]
    daemon.stop()
    _as_after_another_boot(daemon)
    Path(f"{daemon.data_root}/content/blobs/sha256/{digest}").unlink()
    daemon.start()
    assert "lacks a layer that cannot be made again" in daemon.log()
    assert daemon.docker("run", "--rm", "busybox", "echo", "alive").out == "alive\n"


@pytest.fixture
def snapshots(tmp_path: Path) -> Iterator[Snapshots]:
    layout = Layout(str(tmp_path), str(tmp_path / "r"))
    db, trash = Database(layout.db), Trash(layout.trash_images)
    db.open()
    trash.open()
    made = Snapshots(layout.snapshots, db, trash)
    made.open()
    yield made
    trash.close()
    db.close()


def _commit(snapshots: Snapshots, chain: str) -> None:
    snapshots.commit(snapshots.draft(), "", chain, Applied(chain, 0, 1, rooted=True))


def test_a_burst_of_layers_is_synced_once(snapshots: Snapshots, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr("berth.snapshots.overlay.syncfs", synced.append)

    async def live() -> None:
        sync = LayerSync(snapshots, 0.05)
        for name in ("sha256:a", "sha256:b", "sha256:c"):
            _commit(snapshots, name)
            sync.soon()
        done = lambda: not any(layer.boot for layer in snapshots._layers.values())  # noqa: E731
        await asyncio.to_thread(eventually, done, why="the burst is synced")
        assert len(synced) == 1
        sync.soon()
        await sync.close()

    asyncio.run(live())
    assert snapshots.sync() == 0 and len(synced) == 1
    monkeypatch.undo()
    _commit(snapshots, "sha256:d")
    assert snapshots.sync() == 1
    again = Snapshots(snapshots._root, snapshots._db, snapshots._trash)
    again.open()
    assert not any(layer.boot for layer in again._layers.values()) and again.doubtful() == set()
