"""Layers are hostile: what they may not do is refused with a reason, and the store is as it was before.

The family of CVE-2014-9356, CVE-2015-3627, CVE-2018-1002207, CVE-2021-32760 and CVE-2024-0406 (names and links that lead
outside), CVE-2017-14992, CVE-2021-20291 and CVE-2023-25153 (exhaustion), CVE-2026-4360 (ownership through hard links).
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from harness.daemon import Daemon
from harness.eventually import eventually
from harness.images import (
    Entry,
    busybox_program,
    docker_archive,
    image_config,
    layer_tar,
    oci_archive,
    oci_image,
    to_json,
)
from harness.rawtar import archive, base256, member, pax

pytestmark = pytest.mark.root

LIMIT = 8 << 20
Load = Callable[..., str]


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon("--max-layer-bytes", str(LIMIT), "--max-layer-entries", "1000") as engine:
        yield engine


def store(daemon: Daemon) -> list[str]:
    """All that the store holds: files of blobs, ingests and layers, and rows."""
    seen = []
    for folder in ("content/blobs/sha256", "content/ingest", "snapshots", "trash-images"):
        seen += [f"{folder}/{name}" for name in sorted(os.listdir(f"{daemon.data_root}/{folder}"))]
    with sqlite3.connect(f"file:{daemon.data_root}/berth.db?mode=ro", uri=True, timeout=5) as db:
        for table in ("blobs", "images", "image_names", "image_variants", "leases", "snapshots"):
            seen.append(f"{table}: {db.execute(f'SELECT count(*) FROM {table}').fetchone()[0]}")
    db.close()
    return seen


def quiet(daemon: Daemon) -> list[str]:
    """``store`` once nothing is being deleted any more."""
    eventually(lambda: not os.listdir(f"{daemon.data_root}/trash-images"), why="the trash is empty")
    return store(daemon)


@pytest.fixture
def load(daemon: Daemon, tmp_path: Path) -> Iterator[Load]:
    """Load layers as one image; returns the directory of the top layer."""

    def make(*layers: bytes) -> str:
        path = f"{tmp_path}/hostile.tar"
        docker_archive(path, ["hostile:1"], layers)
        put(daemon, path)
        graph = daemon.api("GET", "/images/hostile:1/json").body["GraphDriver"]["Data"]
        return str(graph["UpperDir"])

    yield make
    daemon.api("DELETE", "/images/hostile:1?force=1")


class Refused(Exception):
    """What the engine said."""


def put(daemon: Daemon, path: str) -> None:
    """``docker load`` without the CLI. Raises: Refused."""
    answer = daemon.api(
        "POST", "/images/load?quiet=1", Path(path).read_bytes(), headers={"Content-Type": "application/x-tar"}
    )
    text = json.dumps(answer.body) if isinstance(answer.body, dict) else answer.body
    if answer.status != 200 or '"error"' in text:
        raise Refused(text)


@pytest.fixture
def refuse(daemon: Daemon, load: Load) -> Callable[..., str]:
    """A layer that must not load: the sentence says why, and nothing is left."""

    def check(layer: bytes, *sentences: str) -> str:
        before = quiet(daemon)
        with pytest.raises(Refused) as caught:
            load(layer)
        for sentence in sentences:
            assert sentence in str(caught.value)
        eventually(lambda: store(daemon) == before, why="the store is as before")
        return str(caught.value)

    return check


ESCAPES = {
    "dots": [Entry("../../../../../../tmp/berth-escaped", b"x")],
    "dots in the middle": [Entry("a/../../../tmp/berth-escaped", b"x")],
    "a hard link to dots": [Entry("passwd", kind="hardlink", target="../../../../etc/passwd")],
    "a whiteout of dots": [Entry("a/.wh...", b"")],
    "a directory of dots": [Entry("..", kind="dir")],
}


@pytest.mark.parametrize("name", ESCAPES)
def test_names_that_lead_outside(refuse: Callable[..., str], name: str) -> None:
    refuse(layer_tar(ESCAPES[name]), "layer entry")
    assert not os.path.exists("/tmp/berth-escaped")


def test_an_absolute_name_is_inside(load: Load) -> None:
    top = load(layer_tar([Entry("/tmp/berth-escaped", b"x")]))
    assert Path(f"{top}/tmp/berth-escaped").read_bytes() == b"x" and not os.path.exists("/tmp/berth-escaped")


def test_symbolic_links_are_followed_inside_only(load: Load) -> None:
    """Absolute links lead from the layer's root, and no file is written through one to the host."""
    top = load(
        layer_tar([
            Entry("out", kind="symlink", target="/tmp"), Entry("out/berth-escaped", b"inside"),
            Entry("up", kind="symlink", target="../../../../../../tmp"), Entry("up/berth-escaped2", b"inside"),
            Entry("dangling", kind="symlink", target="/no/such/place"), Entry("dangling/deep/file", b"made"),
        ])
    )  # fmt: skip
    assert not os.path.exists("/tmp/berth-escaped") and not os.path.exists("/tmp/berth-escaped2")
    assert Path(f"{top}/tmp/berth-escaped").read_bytes() == b"inside"
    assert Path(f"{top}/no/such/place/deep/file").read_bytes() == b"made"


def test_a_file_over_a_symbolic_link_replaces_the_link(load: Load, tmp_path: Path) -> None:
    """CVE-2021-32760's sibling: neither content, mode nor owner goes through the link."""
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    victim.chmod(0o600)
    top = load(
        layer_tar([
            Entry("x", kind="symlink", target=str(victim)), Entry("x", b"new", 0o6777, 1000, 1000),
            Entry("d", kind="symlink", target=str(tmp_path)), Entry("d", kind="dir", mode=0o777, uid=1000),
        ])
    )  # fmt: skip
    assert victim.read_text() == "untouched" and stat.S_IMODE(victim.stat().st_mode) == 0o600
    assert tmp_path.stat().st_uid == 0
    assert Path(f"{top}/x").read_bytes() == b"new" and not os.path.islink(f"{top}/d")


def test_a_hard_link_to_a_symbolic_link_links_the_link(load: Load) -> None:
    top = load(
        layer_tar([
            Entry("s", kind="symlink", target="/etc/passwd"), Entry("h", kind="hardlink", target="s"), Entry("h", b"mine"),
        ])
    )  # fmt: skip
    assert Path(f"{top}/h").read_bytes() == b"mine"
    assert not Path("/etc/passwd").read_bytes().startswith(b"mine")


LIES = {
    "a loop of links": (
        [Entry("a", kind="symlink", target="b"), Entry("b", kind="symlink", target="a"), Entry("a/f")],
        "levels",
    ),
    "a file as a directory": ([Entry("f", b"x"), Entry("f/g", b"y")], "not a directory"),
    "a hard link to nothing": ([Entry("h", kind="hardlink", target="nothing")], "does not have"),
    "a hard link to a directory": ([Entry("d", kind="dir"), Entry("h", kind="hardlink", target="d")], "no file"),
    "a hard link to a whiteout": ([Entry(".wh.w"), Entry("h", kind="hardlink", target="w")], "no file"),
    "a hard link to itself": ([Entry("h", kind="hardlink", target="h")], "itself"),
    "a file as the root": ([Entry("./", b"", kind="symlink", target="x")], "root is not a directory"),
    "a component of 300 bytes": ([Entry("n" * 300, b"x")], "name too long"),
    "a path of 5000 bytes": ([Entry("/".join(["n" * 99] * 50), b"x")], "longer than"),
}


@pytest.mark.parametrize("name", LIES)
def test_layers_that_contradict_themselves(refuse: Callable[..., str], name: str) -> None:
    entries, sentence = LIES[name]
    refuse(layer_tar(entries), "layer entry", sentence)


BROKEN = {
    "a wrong checksum": (archive(member(b"f", checksum=b"0000001\0")), "checksum"),
    "a negative size": (archive(member(b"f", size=base256(-5, 12))), "negative size"),
    "a negative octal size": (archive(member(b"f", size=b"-0000000005")), "negative size"),
    "a size beyond 63 bits": (archive(pax((b"size", b"9999999999999999999")), member(b"f")), "63 bits"),
    "8 GB that are not there": (archive(member(b"f", b"x", size=b"7" * 11)), "larger than"),
    "4 MB that are not there": (archive(member(b"f", b"x", size=b"00020000000")), "EOF"),
    "an owner beyond 32 bits": (archive(pax((b"uid", b"4294967296")), member(b"f")), "beyond 32 bits"),
    "a PAX record of a wrong length": (
        archive(member(b"p", b"99 path=x\n", kind=b"x"), member(b"f")), "PAX record's length"),
    "a PAX record that is endless": (archive(member(b"p", b"1" * 600, kind=b"x"), member(b"f")), "PAX record"),
    "a PAX header of 2 MB": (archive(member(b"p", b"", kind=b"x", size=b"00010000000")), "is above 1048576"),
    "a PAX path with NUL": (archive(pax((b"path", b"a\0b")), member(b"f")), "NUL"),
    "a PAX path to the outside": (archive(pax((b"path", b"../../x")), member(b"f")), "outside"),
    "a long name to the outside": (archive(member(b"L", b"../../x\0", kind=b"L"), member(b"f")), "outside"),
    "a prefix to the outside": (archive(member(b"x", prefix=b"../..")), "outside"),
    "an unknown type": (archive(member(b"f", kind=b"Z")), "unhandled header type"),
    "a device beyond the kernel": (archive(member(b"d", kind=b"3", major=b"7777777")), "beyond the kernel"),
    "a sparse map that goes back": (
        archive(pax((b"GNU.sparse.map", b"10,5,0,5"), (b"GNU.sparse.size", b"20")), member(b"f", b"x" * 10)), "sparse"),
    "a sparse map beyond the file": (
        archive(pax((b"GNU.sparse.map", b"0,99"), (b"GNU.sparse.size", b"20")), member(b"f", b"x" * 10)), "sparse"),
    "a truncated archive": (member(b"f", b"x" * 5000)[:1000], "EOF"),
    "no archive at all": (b"\x7fELF" + b"\1" * 2000, "checksum"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_broken_archives(refuse: Callable[..., str], name: str) -> None:
    layer, sentence = BROKEN[name]
    refuse(layer, sentence)


def test_a_sparse_giant_is_refused_before_it_is_written(refuse: Callable[..., str]) -> None:
    layer = archive(pax((b"GNU.sparse.map", b"0,1"), (b"GNU.sparse.size", b"999999999999")), member(b"f", b"x"))
    refuse(layer, f"larger than {LIMIT} bytes")


def test_too_many_entries(refuse: Callable[..., str]) -> None:
    refuse(layer_tar(Entry(f"f{n}") for n in range(1001)), "more than 1000 entries")


def _zstd(raw: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(raw)


@pytest.mark.parametrize(
    "pack", [gzip.compress, bz2.compress, lzma.compress, _zstd], ids=["gzip", "bzip2", "xz", "zstd"]
)
def test_a_bomb_is_bounded(daemon: Daemon, tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    """32 MB of zeros in a few kilobytes: inflated up to the limit, not further, and nothing stays."""
    before = quiet(daemon)
    image = oci_image([archive(member(b"zeros", bytes(32 << 20)))], compression="none")
    layer = next(blob for blob in image.blobs.values() if len(blob) > 1 << 20)
    packed = pack(layer)
    assert len(packed) < 1 << 20
    path = f"{tmp_path}/bomb.tar"
    _with_layer(path, layer, packed)
    with pytest.raises(Refused, match=f"larger than {LIMIT} bytes"):
        put(daemon, path)
    eventually(lambda: store(daemon) == before, why="the store is as before")


def _with_layer(path: str, layer: bytes, packed: bytes) -> None:
    """A Docker archive whose layer is compressed inside."""
    config = image_config([layer])
    files = {
        "layer.tar": packed, "config.json": config,
        "manifest.json": to_json([{"Config": "config.json", "RepoTags": ["hostile:1"], "Layers": ["layer.tar"]}]),
    }  # fmt: skip
    Path(path).write_bytes(layer_tar(Entry(name, blob) for name, blob in files.items()))


def test_an_xz_that_wants_a_gigabyte(daemon: Daemon, tmp_path: Path) -> None:
    """CVE-2021-20291's kind: a dictionary above the bound is refused, not allocated."""
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 30, "preset": 0}]
    layer = layer_tar([Entry("f", b"x")])
    path = f"{tmp_path}/xz.tar"
    _with_layer(path, layer, lzma.compress(layer, filters=filters))
    with pytest.raises(Refused, match="xz stream"):
        put(daemon, path)


def test_later_entries_replace_earlier_ones(load: Load) -> None:
    top = load(
        layer_tar([
            Entry("f", b"first", 0o600), Entry("f", b"second", 0o644), Entry("d/x", b"x"), Entry("d", b"a file now"),
            Entry("e", b"a file"), Entry("e", kind="dir", mode=0o700), Entry("e/in", b"in"),
        ])
    )  # fmt: skip
    assert Path(f"{top}/f").read_bytes() == b"second"
    assert Path(f"{top}/d").read_bytes() == b"a file now"
    assert Path(f"{top}/e/in").read_bytes() == b"in"


def test_a_replaced_file_leaves_its_hard_links_alone(load: Load) -> None:
    """CVE-2026-4360's kind: neither content nor owner of the other name changes."""
    top = load(
        layer_tar([Entry("a", b"one"), Entry("b", kind="hardlink", target="a"), Entry("a", b"two", 0o4755, 7, 7)])
    )
    assert Path(f"{top}/b").read_bytes() == b"one" and os.stat(f"{top}/b").st_uid == 0
    assert os.stat(f"{top}/a").st_uid == 7 and stat.S_IMODE(os.stat(f"{top}/a").st_mode) == 0o4755


def test_what_a_layer_may_say_is_kept(load: Load) -> None:
    """Names of any bytes, large owners, set-id bits, attributes, devices, times before 1970 and far ahead."""
    odd = b"\xff\xfe\n\t name"
    top = os.fsencode(
        load(
            archive(
                member(odd, b"x"),
                pax((b"uid", b"4294967294"), (b"gid", b"4000000000")),
                member(b"large", mode=b"0006755"),
                pax((b"SCHILY.xattr.user.k", b"v\0\n=1"), (b"SCHILY.xattr.trusted.overlay.opaque", b"y")),
                member(b"attrs"),
                member(b"null", kind=b"3", major=b"0000001", minor=b"0000003"),
                member(b"old", mtime=base256(-5, 12)),
                pax((b"mtime", b"99999999999.5")),
                member(b"new"),
                pax((b"path", b"/".join([b"p" * 90] * 44))),
                member(b"short", b"deep"),
            )
        )
    )
    assert os.path.exists(top + b"/" + odd)
    large = os.stat(top + b"/large")
    assert (large.st_uid, large.st_gid, stat.S_IMODE(large.st_mode)) == (4294967294, 4000000000, 0o6755)
    assert os.getxattr(top + b"/attrs", "user.k") == b"v\0\n=1"
    assert "trusted.overlay.opaque" not in os.listxattr(top + b"/attrs")
    assert os.stat(top + b"/null").st_rdev == os.makedev(1, 3)
    assert os.stat(top + b"/old").st_mtime == 0


def test_whiteouts_speak_of_the_layers_below_only(daemon: Daemon, load: Load) -> None:
    lower = layer_tar([Entry("gone", b"1"), Entry("dir/old", b"2"), Entry("opaque/old", b"3"), Entry("kept", b"4")])
    upper = layer_tar([
        Entry(".wh.gone"), Entry("kept2", b"5"), Entry(".wh.kept2"), Entry("opaque/new", b"6"), Entry("opaque/.wh..wh..opq"),
        Entry(".wh.dir"), Entry("dir/new", b"7"), Entry(".wh..wh.plnk", kind="dir"), Entry("bin/busybox", _busybox(), 0o755),
    ])  # fmt: skip
    load(lower, upper)
    seen = daemon.docker("run", "--rm", "hostile:1", "/bin/busybox", "find", "/dir", "/opaque", "/kept", "/kept2").lines
    assert sorted(seen) == ["/dir", "/dir/new", "/kept", "/kept2", "/opaque", "/opaque/new"]
    assert daemon.docker("run", "--rm", "hostile:1", "/bin/busybox", "ls", "/gone", check=False).code


def _busybox() -> bytes:
    return Path(busybox_program()).read_bytes()


def test_a_large_hostile_layer_fails_in_its_process(refuse: Callable[..., str]) -> None:
    """Above 2 MB layers are unpacked by a process of their own: the reason comes back whole."""
    refuse(
        layer_tar([Entry("big", os.urandom(3 << 20)), Entry("../../x", b"x")]), "layer entry", "outside of the layer"
    )


def test_a_layer_that_is_not_what_its_config_says(daemon: Daemon, tmp_path: Path) -> None:
    image = oci_image([layer_tar([Entry("a", b"1")])])
    other = oci_image([layer_tar([Entry("a", b"2")])])
    mixed = image._replace(manifest=image.manifest)
    manifest = other.manifest.replace(other.config_digest.encode(), image.config_digest.encode())
    mixed = image._replace(manifest=manifest, blobs={**image.blobs, **other.blobs})
    path = f"{tmp_path}/mixed.tar"
    oci_archive(path, {"docker.io/library/hostile:1": mixed})
    before = quiet(daemon)
    with pytest.raises(Refused, match="its image's config names"):
        put(daemon, path)
    eventually(lambda: store(daemon) == before, why="the store is as before")
