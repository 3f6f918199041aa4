"""kill -9 at every step of load, pull and remove: the store verifies, nothing acknowledged is lost, the next try succeeds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.daemon import Daemon
from harness.eventually import eventually
from harness.images import Entry, docker_archive, layer_tar
from harness.registry import StandIn, layered

pytestmark = pytest.mark.root
Make = Callable[..., Daemon]

POINTS = ["content.before_rename", "content.before_row", "snapshots.before_row", "images.recorded"]
STEPS = ["content.before_rename", "snapshots.after_row", "images.before_record"]
STEPS_LIKE_LOADS = [pytest.param(point, marks=pytest.mark.long) for point in POINTS[1:]]


def verify(daemon: Daemon, *flags: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "berth.daemon.verify", "--data-root", daemon.data_root, *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def is_whole(daemon: Daemon) -> None:
    code, said = verify(daemon, "--deep")
    assert code == 0, said


def names(daemon: Daemon) -> list[str]:
    return sorted(daemon.docker("images", "--format", "{{.Repository}}:{{.Tag}}").lines)


def archive(tmp_path: Path) -> str:
    path = f"{tmp_path}/two.tar"
    docker_archive(path, ["t/two:1"], [layer_tar([Entry("a", b"1" * 5000)]), layer_tar([Entry("b", b"2")])])
    return path


def dies(daemon: Daemon) -> None:
    eventually(lambda: not daemon.running, 20, why="the daemon died at the failpoint")


def back(daemon: Daemon) -> None:
    daemon.env.clear()
    daemon.start()


@pytest.mark.parametrize("point", POINTS)
def test_load(make_daemon: Make, tmp_path: Path, point: str) -> None:
    daemon = make_daemon()
    daemon.stop()
    daemon.env["BERTH_FAILPOINTS"] = f"{point}=kill"
    daemon.start()
    daemon.docker("load", "-q", "-i", archive(tmp_path), check=False)
    dies(daemon)
    code, said = verify(daemon)
    assert code == 0 or "0 problems" in said, said  # what has no row yet takes only room
    back(daemon)
    is_whole(daemon)
    assert "busybox:latest" in names(daemon)
    assert daemon.docker("run", "--rm", "busybox", "echo", "alive").out == "alive\n"
    daemon.docker("load", "-q", "-i", archive(tmp_path))
    assert names(daemon) == ["busybox:latest", "t/two:1"]
    is_whole(daemon)


@pytest.mark.parametrize("point", [*STEPS, *STEPS_LIKE_LOADS])
def test_pull(make_daemon: Make, point: str) -> None:
    """What was downloaded and verified before the death is not downloaded again."""
    daemon = make_daemon(busybox=False, env={"BERTH_FAILPOINTS": f"{point}=kill"})
    with StandIn() as registry:
        registry.add("t/three", "1", layered(3))
        daemon.docker("pull", "-q", f"{registry.host}/t/three:1", check=False)
        dies(daemon)
        back(daemon)
        is_whole(daemon)
        daemon.docker("pull", "-q", f"{registry.host}/t/three:1")
        assert names(daemon) == [f"{registry.host}/t/three:1"]
    is_whole(daemon)


@pytest.mark.parametrize("point", ["images.untagged", "images.deleted", "content.swept"])
def test_remove(make_daemon: Make, tmp_path: Path, point: str) -> None:
    daemon = make_daemon(env={"BERTH_FAILPOINTS": f"{point}=kill"})
    daemon.docker("load", "-q", "-i", archive(tmp_path))
    daemon.docker("rmi", "t/two:1", check=False)
    dies(daemon)
    back(daemon)
    assert "t/two:1" not in names(daemon)  # the removal was on the disk; what it held is collected later
    daemon.docker("image", "prune", "-f")
    assert names(daemon) == ["busybox:latest"]
    is_whole(daemon)


@pytest.mark.parametrize("point", ["content.before_rename", "snapshots.before_row", "images.before_record"])
def test_a_step_that_fails_leaves_the_store_as_it_was(make_daemon: Make, tmp_path: Path, point: str) -> None:
    daemon = make_daemon()
    daemon.docker("image", "prune", "-f")
    before = sorted(os.listdir(f"{daemon.data_root}/content/blobs/sha256"))
    daemon.stop()
    daemon.env["BERTH_FAILPOINTS"] = f"{point}=error:ENOSPC"
    daemon.start()
    for command in (("load", "-q", "-i", archive(tmp_path)), ("import", archive(tmp_path), "t/imported")):
        refused = daemon.docker(*command, check=False)
        assert refused.code == 1 and "no space left on device" in refused.err.lower(), refused
    assert names(daemon) == ["busybox:latest"]
    eventually(
        lambda: sorted(os.listdir(f"{daemon.data_root}/content/blobs/sha256")) == before, why="what came is collected"
    )
    assert os.listdir(f"{daemon.data_root}/content/ingest") == []
    daemon.stop()
    is_whole(daemon)


def test_repair(make_daemon: Make, tmp_path: Path) -> None:
    """A damaged layer is unpacked again, a damaged blob is let go, and an image that lost both is named and let go."""
    daemon = make_daemon()
    daemon.docker("load", "-q", "-i", archive(tmp_path))
    found = daemon.api("GET", "/images/t/two:1/json").body
    upper = found["GraphDriver"]["Data"]["UpperDir"]
    daemon.stop()
    Path(f"{upper}/b").write_bytes(b"changed")
    code, said = verify(daemon)
    assert code == 0, said  # only a deep look sees it
    code, said = verify(daemon, "--deep")
    assert code == 1 and "its files are not what its blob says" in said
    code, said = verify(daemon, "--deep", "--repair")
    assert code == 0 and "unpacked again from its blob" in said, said
    daemon.start()
    upper = daemon.api("GET", "/images/t/two:1/json").body["GraphDriver"]["Data"]["UpperDir"]
    assert Path(f"{upper}/b").read_bytes() == b"2"
    code, said = verify(daemon, "--repair")
    assert code == 2 and re.search(r"another berthd \(process \d+\) uses the data-root", said)
    daemon.stop()
    blob = f"{daemon.data_root}/content/blobs/sha256/{found['RootFS']['Layers'][1].partition(':')[2]}"
    Path(blob).write_bytes(b"rotten")
    subprocess.run(["rm", "-rf", os.path.dirname(upper)], check=True)
    code, said = verify(daemon)
    assert code == 1 and "bytes instead of" in said and "its directory is missing" in said
    code, said = verify(daemon, "--repair")
    assert code == 0 and "(t/two:1): let go" in said, said
    daemon.start()
    assert names(daemon) == ["busybox:latest"]
    assert daemon.berth("system", "verify").out.endswith("the store is whole\n")
