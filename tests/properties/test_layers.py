"""Layers there and back: what a differ writes, an apply makes, and the kernel's overlayfs agrees."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from berth.snapshots.apply import apply_layer
from berth.snapshots.archive import write_layer, write_rootfs
from berth.snapshots.diff import write_diff
from berth.snapshots.source import Source
from berth.snapshots.tar import Member, read_members
from berth.snapshots.tar_write import TarWriter
from harness import trees

pytestmark = pytest.mark.root
relaxed = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(scope="module")
def ground() -> Iterator[str]:
    """A folder on a file system that takes every attribute and is no overlay: a tmpfs of the tests' own."""
    with tempfile.TemporaryDirectory(prefix="berth-layers", dir="/tmp") as folder:
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)
        try:
            yield folder
        finally:
            subprocess.run(["umount", folder], check=True)


def fresh(ground: str) -> str:
    return tempfile.mkdtemp(dir=ground)


def written(writer: Any, *where: Any) -> bytes:
    out = io.BytesIO()
    writer(*where, out.write)
    return out.getvalue()


class Overlay:
    """What the kernel shows of a stack of layers, top first."""

    def __init__(self, ground: str, *layers: str) -> None:
        self.point = fresh(ground)
        empty = fresh(ground)
        subprocess.run(
            ["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={':'.join([*layers, empty])}", self.point],
            check=True,
        )

    def __enter__(self) -> str:
        return self.point

    def __exit__(self, *exc: object) -> None:
        subprocess.run(["umount", self.point], check=True)


@relaxed
@given(trees.trees, trees.trees)
def test_a_diff_applied_to_its_origin_is_its_target(ground: str, old: Any, new: Any) -> None:
    """apply(diff(a, b), a) == b, onto a copy and as an overlay layer."""
    base = fresh(ground)
    a, b, layer = f"{base}/a", f"{base}/b", f"{base}/layer"
    trees.make(a, old)
    trees.make(b, new)
    tar = written(write_diff, a, b)
    os.mkdir(layer)
    apply_layer(io.BytesIO(tar), layer)
    with Overlay(ground, layer, a) as merged:
        shown = trees.look(merged)
    assert shown == trees.look(b)
    copied = f"{base}/copy"
    trees.copy(a, copied)
    apply_layer(io.BytesIO(tar), copied, flat=True)
    assert trees.look(copied) == trees.look(b)


def _without_times_of_whiteouts(seen: dict[bytes, Any]) -> dict[bytes, Any]:
    """A layer says nothing of them: a whiteout is as old as its making."""
    whiteout = [stat.S_IFCHR, 0, 0, 0]
    return {name: [*is_[:4], 0, *is_[5:]] if list(is_[:4]) == whiteout else is_ for name, is_ in seen.items()}


@relaxed
@given(trees.trees, trees.trees)
def test_an_overlay_layer_written_and_applied_is_the_same_layer(ground: str, old: Any, new: Any) -> None:
    base = fresh(ground)
    a, b, layer, again = (f"{base}/{name}" for name in ("a", "b", "layer", "again"))
    trees.make(a, old)
    trees.make(b, new)
    os.mkdir(layer)
    os.mkdir(again)
    apply_layer(io.BytesIO(written(write_diff, a, b)), layer)
    apply_layer(io.BytesIO(written(write_layer, layer)), again)
    assert _without_times_of_whiteouts(trees.look(again)) == _without_times_of_whiteouts(trees.look(layer))


@relaxed
@given(trees.trees, trees.trees)
def test_a_merged_walk_shows_what_overlayfs_shows(ground: str, old: Any, new: Any) -> None:
    """``export`` needs no mount: the tar of a stack is the tar of the mounted overlay."""
    base = fresh(ground)
    a, b, layer = f"{base}/a", f"{base}/b", f"{base}/layer"
    trees.make(a, old)
    trees.make(b, new)
    os.mkdir(layer)
    apply_layer(io.BytesIO(written(write_diff, a, b)), layer)
    with Overlay(ground, layer, a) as merged:
        assert written(write_rootfs, [layer, a]) == written(write_rootfs, [merged])


@relaxed
@given(trees.trees)
def test_other_programs_read_what_is_written(ground: str, tree: Any) -> None:
    """The stdlib's tarfile and GNU tar list every name, and tarfile every content."""
    root = fresh(ground) + "/r"
    trees.make(root, tree)
    tar = written(write_rootfs, [root])
    expected = trees.look(root)
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        members = {os.fsencode(member.name).rstrip(b"/"): member for member in archive}
        assert members.keys() == expected.keys()
        for name, member in members.items():
            assert (member.uid, member.gid, int(member.mtime)) == tuple(expected[name][i] for i in (2, 3, 4))
            if member.isreg():
                file = archive.extractfile(member)
                assert file is not None and file.read() == expected[name][6]
    listed = subprocess.run(["tar", "-tf", "-", "--quoting-style=literal"], input=tar, capture_output=True, check=True)
    assert {line.rstrip(b"/") for line in listed.stdout.splitlines()} == expected.keys()


@given(
    st.binary(min_size=1, max_size=400).filter(lambda n: b"\0" not in n and not n.endswith(b"/")),
    st.binary(max_size=300).filter(lambda n: b"\0" not in n),
    st.integers(0, 2**32 - 2), st.integers(-(2**40), 2**40), st.dictionaries(st.just(b"user.k"), st.binary(max_size=50)),
)  # fmt: skip
def test_headers_read_back(name: bytes, link: bytes, owner: int, seconds: int, xattrs: dict[bytes, bytes]) -> None:
    """Whatever a header says comes back from our own reader."""
    wrote = Member(name, link, b"2", 0o777, owner, owner, 0, 0, seconds * 10**9, 0, 0, xattrs or None, None)
    out = io.BytesIO()
    writer = TarWriter(out.write)
    writer.add(wrote)
    writer.finish()
    chunks = iter([out.getvalue(), b""])
    assert list(read_members(Source(lambda: next(chunks)))) == [wrote]
