"""The trash: gone at once, deleted later, in a pause or when somebody waits for it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from berth.content import trash as module
from berth.content.trash import Trash
from harness.eventually import eventually


@pytest.fixture
def trash(tmp_path: Path) -> Iterator[Trash]:
    made = Trash(str(tmp_path / "trash"))
    made.open()
    made.drain()
    yield made
    made.close()


def throw_away(trash: Trash, folder: Path) -> None:
    (folder / "below" / "deep").mkdir(parents=True)
    (folder / "below" / "file").write_text("x")
    trash.put(str(folder))
    assert not folder.exists()


def test_a_burst_is_deleted_after_it(trash: Trash, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUIET_S", 30.0)
    for number in range(3):
        throw_away(trash, tmp_path / str(number))
        trash.empty_soon()
    assert len(os.listdir(tmp_path / "trash")) == 3
    begin = time.monotonic()
    trash.drain()
    assert os.listdir(tmp_path / "trash") == []
    assert time.monotonic() - begin < 10  # who waits for it does not wait for the pause


def test_in_a_pause_it_is_emptied(trash: Trash, tmp_path: Path) -> None:
    throw_away(trash, tmp_path / "one")
    trash.empty_soon()
    eventually(lambda: not os.listdir(tmp_path / "trash"), why="the trash is empty")


def test_without_a_pause_too_in_the_end(trash: Trash, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUIET_S", 0.2)
    monkeypatch.setattr(module, "PATIENCE_S", 0.4)
    seen = []

    def one_more() -> bool:
        throw_away(trash, tmp_path / f"n{len(seen)}")
        trash.empty_soon()
        seen.append(len(os.listdir(tmp_path / "trash")))
        return len(seen) > 1 and seen[-1] <= seen[-2]

    eventually(one_more, why="something is deleted while more comes")
