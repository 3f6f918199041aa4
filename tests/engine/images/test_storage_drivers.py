"""Overlay layers, and copies where overlayfs does not work: the same images and containers either way."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator

import pytest

from harness.daemon import Daemon
from harness.images import Entry, busybox_layer, docker_archive, layer_tar

pytestmark = pytest.mark.root
Make = Callable[..., Daemon]


@pytest.fixture(scope="module", params=["overlay2", "vfs"])
def daemon(request: pytest.FixtureRequest) -> Iterator[Daemon]:
    with Daemon("--storage-driver", request.param) as engine:
        engine.driver = request.param  # type: ignore[attr-defined]
        engine.load_busybox()
        yield engine


def load(daemon: Daemon, name: str, *layers: bytes) -> None:
    path = f"{daemon.root}/x.tar"
    docker_archive(path, [name], [busybox_layer(), *layers], {"Cmd": ["sh"]})
    daemon.docker("load", "-q", "-i", path)
    os.unlink(path)


def test_info_says_so(daemon: Daemon) -> None:
    assert daemon.docker("info", "-f", "{{.Driver}}").out.strip() == daemon.driver  # type: ignore[attr-defined]
    assert "storage driver" in daemon.docker("info").out.lower()


def test_layers_add_and_take_away(daemon: Daemon) -> None:
    load(
        daemon, "t/layers",
        layer_tar([Entry("d/old", b"1"), Entry("o/old", b"2"), Entry("gone", b"3"), Entry("mode", b"4", 0o600)]),
        layer_tar([
            Entry(".wh.gone"), Entry("o/.wh..wh..opq"), Entry("o/new", b"5"), Entry("d/new", b"6"), Entry("mode", b"7", 0o644),
        ]),
    )  # fmt: skip
    out = daemon.docker(
        "run", "--rm", "t/layers", "sh", "-c", "ls d o; test -e /gone && echo there; stat -c %a /mode"
    ).lines
    assert [line for line in out if line] == ["d:", "new", "old", "o:", "new", "644"]


def test_containers_have_layers_of_their_own(daemon: Daemon) -> None:
    first = daemon.docker("create", "busybox", "sh", "-c", "echo $HOSTNAME >/mine; sleep 60").out.strip()
    daemon.docker("start", first)
    assert daemon.docker("run", "--rm", "busybox", "ls", "/mine", check=False).code
    daemon.docker("exec", first, "sh", "-c", "head -c 100000 /dev/zero >/zeros")
    daemon.docker("restart", "-t", "0", first)
    assert daemon.docker("exec", first, "cat", "/mine").out.strip()
    size = daemon.docker("ps", "-s", "--no-trunc", "--filter", f"id={first}", "--format", "{{.Size}}").out
    assert size.startswith("100kB")
    daemon.docker("rm", "-f", first)


def test_diff_tells_only_what_changed(daemon: Daemon) -> None:
    load(
        daemon, "t/diff", layer_tar([Entry("d/kept", b"1"), Entry("d/old", b"1"), Entry("e/f", b"2"), Entry("w", b"3")])
    )
    script = (
        "rm /d/old; mkdir -p /n/m; touch /n/m/x; rm -r /e; touch /e; echo more >> /w; chmod 600 /d/kept; ln -s w /l"
    )
    ident = daemon.docker("create", "t/diff", "sh", "-c", script).out.strip()
    assert daemon.docker("diff", ident).lines == []
    daemon.docker("start", "-a", ident)
    found = daemon.docker("diff", ident).lines
    daemon.docker("rm", ident)
    assert found == [
        "C /d", "C /d/kept", "D /d/old", "C /e", "A /l", "A /n", "A /n/m", "A /n/m/x", "C /w",
    ]  # fmt: skip


def test_prune_returns_the_disk(daemon: Daemon) -> None:
    load(daemon, "t/big", layer_tar([Entry("big", os.urandom(3_000_000))]))
    before = _used(f"{daemon.data_root}/snapshots") + _used(f"{daemon.data_root}/content")
    freed = daemon.api("POST", '/images/prune?filters={"dangling":["false"],"label!":["x"]}').body["SpaceReclaimed"]
    assert freed > 6_000_000
    daemon.settled(0.3)
    after = _used(f"{daemon.data_root}/snapshots") + _used(f"{daemon.data_root}/content")
    assert abs((before - after) - freed) < 0.01 * before
    daemon.load_busybox()


def _used(folder: str) -> int:
    return int(
        subprocess.run(["du", "-s", "-B1", folder], capture_output=True, text=True, check=True).stdout.split()[0]
    )


def test_the_choice_stays_with_the_data_root(make_daemon: Make) -> None:
    first = make_daemon("--storage-driver", "vfs")
    first.stop()
    first.flags = []
    first.start()
    assert first.docker("info", "-f", "{{.Driver}}").out.strip() == "vfs"
    assert first.docker("run", "--rm", "busybox", "echo", "ok").out == "ok\n"
    first.stop()
    first.flags = ["--storage-driver", "overlay2"]
    with pytest.raises((AssertionError, RuntimeError), match="were made by vfs"):
        first.start()
    first.flags = []
    first.start()


def test_below_an_overlay_copies_take_its_place(make_daemon: Make) -> None:
    """A data-root on an overlay cannot hold upper directories of another: seen at the start, said by info."""
    base = tempfile.mkdtemp(prefix="bt", dir="/tmp")
    for name in ("lower", "upper", "work", "d"):
        os.mkdir(f"{base}/{name}")
    options = f"lowerdir={base}/lower,upperdir={base}/upper,workdir={base}/work"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, f"{base}/d"], check=True)
    daemon = make_daemon(root=base, busybox=True)
    info = daemon.api("GET", "/info").body
    assert info["Driver"] == "vfs"
    assert any("overlayfs does not work" in value for _, value in info["DriverStatus"])
    assert daemon.docker("run", "--rm", "busybox", "sh", "-c", "echo hi >/x; cat /x").out == "hi\n"
