"""Every byte is somebody's: ``system df`` is what ``du`` says, and prune gives the disk back."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.daemon import Daemon
from harness.eventually import eventually
from harness.images import Entry, docker_archive, layer_tar, oci_image
from harness.registry import StandIn

pytestmark = pytest.mark.root
Make = Callable[..., Daemon]


def du(daemon: Daemon) -> int:
    done = subprocess.run(
        ["du", "-sxB1", daemon.data_root], capture_output=True, text=True
    )  # files may vanish meanwhile
    return int(done.stdout.split()[0])


def accounted(daemon: Daemon) -> dict[str, int]:
    found = daemon.api("GET", "/system/df").body
    volumes = sum(volume["UsageData"]["Size"] for volume in found["Volumes"] or ())
    return {"Layers": found["LayersSize"], "Volumes": volumes, **found["Berth"]}


def agrees(daemon: Daemon) -> dict[str, int]:
    """The parts, once they are all that ``du`` finds: deferred deletion may come in between."""
    parts: dict[str, int] = {}

    def same() -> bool:
        nonlocal parts
        parts = accounted(daemon)
        total = du(daemon)
        assert sum(parts.values()) == total, (parts, total)
        return True

    eventually(same, 20, every_s=0.2, why="df is what du says")
    return parts


def prune_all(daemon: Daemon) -> None:
    daemon.remove_all()
    assert daemon.api("POST", '/images/prune?filters={"dangling":["false"]}').status == 200


def _shared(tmp_path: Path) -> list[str]:
    """Two images that share a layer."""
    base = layer_tar([Entry("a", os.urandom(300_000)), Entry("b", kind="hardlink", target="a")])
    paths = [f"{tmp_path}/one.tar", f"{tmp_path}/two.tar"]
    docker_archive(paths[0], ["t/one:1"], [base])
    docker_archive(paths[1], ["t/two:1"], [base, layer_tar([Entry("c", os.urandom(70_000))])])
    return paths


def test_df_is_du_and_prune_gives_it_all_back(make_daemon: Make, tmp_path: Path) -> None:
    daemon = make_daemon(busybox=False)
    empty = agrees(daemon)
    assert empty["Layers"] == empty["Downloads"] - 4096 == 0 and empty["Other"] < 128 << 10
    sizes = []
    for _ in range(2):
        daemon.load_busybox()
        for path in _shared(tmp_path):
            daemon.docker("load", "-q", "-i", path)
        daemon.docker("run", "--name", "writer", "busybox", "dd", "if=/dev/urandom", "of=/x", "bs=100k", "count=7")
        daemon.docker("run", "-d", "--name", "runs", "-v", "/anon", "busybox", "sh", "-c", "echo >/anon/x; sleep 1000")
        eventually(lambda: daemon.docker("exec", "runs", "test", "-s", "/anon/x", check=False).code == 0)
        full = agrees(daemon)
        assert (
            full["WritableLayers"] > 700_000 and full["Volumes"] > 4096 and full["Layers"] > empty["Layers"] + 700_000
        )
        prune_all(daemon)
        eventually(lambda: du(daemon) < 5 << 20, 20, why="what was pruned is deleted")
        agrees(daemon)
        sizes.append(du(daemon))
    more = "the database keeps its pages for the next rows"
    eventually(lambda: du(daemon) <= sizes[0] + (32 << 10), 20, why=f"{sizes}: {more}")
    assert accounted(daemon)["Layers"] == 0
    rows = daemon.berth("system", "df", "--format", "{{.Type}} {{.TotalCount}}").lines
    assert rows[:2] == ["Images 0", "Containers 0"] and rows[4] == "Engine 1"


def test_a_failed_pull_is_accounted_for_and_pruned(make_daemon: Make) -> None:
    """What it left is kept for the next try, told as downloads, and gone with the first prune."""
    daemon = make_daemon("--max-download-attempts=1", busybox=False)
    at_rest = du(daemon)
    with StandIn() as registry:
        registry.add("t/big", "1", oci_image([layer_tar([Entry("noise", os.urandom(1 << 20))])]))
        registry.cut = lambda key, begin, total: (700_000 if begin == 0 else 0) if total > 700_000 else None
        daemon.docker("pull", "-q", f"{registry.host}/t/big:1", check=False)
    left = agrees(daemon)
    assert left["Downloads"] > 700_000
    prune_all(daemon)
    assert agrees(daemon)["Downloads"] == 4096
    eventually(lambda: du(daemon) <= at_rest + (32 << 10), 20, why="what was pruned is deleted")
