"""Overlay mounts on kernels of both kinds: layer by layer (Linux 6.7), and as one string before that."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from berth.kernel import mount as m

pytestmark = pytest.mark.root


@pytest.fixture(params=["by parts", "by string"])
def overlay(request: pytest.FixtureRequest) -> Callable[..., int]:
    return m.overlay if request.param == "by parts" else m._overlay_by_string


def layers(root: Path, count: int) -> list[str]:
    """``count`` layers, top first; each has a file of its own, and ``which`` says which is on top."""
    made = []
    for n in range(count):
        layer = root / str(n) / "fs"
        layer.mkdir(parents=True)
        (layer / f"file{n}").write_text(str(n))
        (layer / "which").write_text(str(n))
        made.append(str(layer))
    return made


def read(fd: int, name: str) -> str:
    file = os.open(name, os.O_RDONLY, dir_fd=fd)
    try:
        return os.read(file, 100).decode()
    finally:
        os.close(file)


def test_a_hundred_layers_and_an_upper(tmp_path: Path, overlay: Callable[..., int]) -> None:
    lower = layers(tmp_path, 100)
    upper, work = tmp_path / "up,per:1", tmp_path / "work"
    upper.mkdir()
    work.mkdir()
    fd = overlay(lower, str(upper), str(work), volatile=True)
    try:
        assert (read(fd, "which"), read(fd, "file99")) == ("0", "99")
        made = os.open("new", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=fd)
        os.close(made)
    finally:
        os.close(fd)
    assert (upper / "new").exists()
    assert os.listdir(upper) == ["new"]


def test_read_only_leaves_nothing(tmp_path: Path, overlay: Callable[..., int]) -> None:
    fd = overlay(layers(tmp_path, 3), "", "", volatile=False)
    try:
        assert read(fd, "which") == "0"
        with pytest.raises(OSError, match="Read-only"):
            os.open("new", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=fd)
    finally:
        os.close(fd)
    assert sorted(os.listdir(tmp_path)) == ["0", "1", "2"]
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
