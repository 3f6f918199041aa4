"""Volumes with options: mounted for their first user, unmounted after the last, wrong ones refused in Docker's words."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.daemon import Daemon
from harness.eventually import eventually

pytestmark = pytest.mark.root

_TMPFS = ("--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=size=3m,mode=1750")
_MOUNT = "type=volume,volume-driver=local,volume-opt=type=tmpfs,volume-opt=device=tmpfs,volume-opt=o=size=5m,dst=/v"


@pytest.fixture
def fresh(make_daemon: object) -> Iterator[Daemon]:
    """Named volumes outlive their containers: a daemon of its own, which leaves no mounts."""
    daemon: Daemon = make_daemon()  # type: ignore[operator]
    yield daemon
    daemon.remove_all()
    eventually(lambda: not mounted(daemon), 5, why="no volume stays mounted")


def mounted(engine: Daemon) -> list[str]:
    """Names of the volumes that stand mounted on the host."""
    with open("/proc/self/mountinfo", encoding="utf-8") as table:
        points = [line.split()[4] for line in table]
    place = f"{engine.data_root}/volumes/"
    return [point.removeprefix(place).split("/")[0] for point in points if point.startswith(place)]


def make(engine: Daemon, name: str, kind: str, device: str, options: str = "") -> None:
    words = ["--opt", f"type={kind}", "--opt", f"device={device}", *(("--opt", f"o={options}") if options else ())]
    assert engine.docker("volume", "create", *words, name).out == f"{name}\n"


def refused(engine: Daemon, *words: str) -> str:
    result = engine.docker(*words, check=False)
    assert result.code != 0
    return result.out + result.err


def test_a_tmpfs_is_mounted_from_the_first_container_to_the_last(fresh: Daemon) -> None:
    fresh.docker("volume", "create", *_TMPFS, "fast")
    (shown,) = json.loads(fresh.docker("volume", "inspect", "fast").out)
    assert shown["Options"] == {"type": "tmpfs", "device": "tmpfs", "o": "size=3m,mode=1750"}
    assert mounted(fresh) == []
    one = fresh.docker("run", "-d", "-v", "fast:/v", "busybox", "sleep", "1000").out.strip()
    assert mounted(fresh) == ["fast"]
    assert fresh.docker("exec", one, "sh", "-c", "touch /v/x; df -m /v | tail -1 | awk '{print $2}'").out == "3\n"
    assert fresh.docker("exec", one, "stat", "-c", "%a", "/v").out == "1750\n"
    assert fresh.docker("run", "--rm", "-v", "fast:/v", "busybox", "ls", "/v").out == "x\n"
    assert mounted(fresh) == ["fast"]
    assert "volume is in use" in refused(fresh, "volume", "rm", "-f", "fast")
    fresh.docker("kill", one)
    assert mounted(fresh) == []
    fresh.docker("start", one)
    assert fresh.docker("exec", one, "ls", "/v").out == "", "what a tmpfs had is gone"
    fresh.docker("rm", "-f", one)
    fresh.docker("volume", "rm", "fast")


def test_a_directory_of_the_host(fresh: Daemon, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("words\n")
    make(fresh, "there", "none", str(tmp_path), "bind,ro")
    assert fresh.docker("run", "--rm", "-v", "there:/v", "busybox", "cat", "/v/file").out == "words\n"
    assert "Read-only" in refused(fresh, "run", "--rm", "-v", "there:/v", "busybox", "touch", "/v/x")
    make(fresh, "full", "none", str(tmp_path), "bind")
    fresh.docker("run", "--name", "writer", "-v", "full:/v", "busybox", "touch", "/v/made")
    assert (tmp_path / "made").exists()
    assert fresh.docker("cp", "writer:/v/file", str(tmp_path / "copy")).code == 0, (
        "a container that has ended sees it too"
    )
    assert mounted(fresh) == []
    fresh.docker("rm", "writer")
    fresh.docker("volume", "rm", "full")
    assert (tmp_path / "file").exists(), "only the volume is removed, not what it showed"


def test_the_images_files_are_copied_into_an_empty_one(fresh: Daemon, tmp_path: Path) -> None:
    make(fresh, "filled", "none", str(tmp_path), "bind")
    ident = fresh.docker("create", "-v", "filled:/bin", "busybox", "true").out.strip()
    assert "sh" in os.listdir(tmp_path) and mounted(fresh) == []
    fresh.docker("rm", ident)


def test_a_mount_flag_makes_one(fresh: Daemon) -> None:
    script = "df -m /v | tail -1 | awk '{print $2}'"
    assert fresh.docker("run", "--rm", "--mount", _MOUNT, "busybox", "sh", "-c", script).out == "5\n"
    assert fresh.docker("volume", "ls", "-q").out == "", "one without a name goes with its container"
    assert fresh.docker("run", "--rm", "--mount", f"src=named,{_MOUNT}", "busybox", "sh", "-c", script).out == "5\n"
    assert fresh.docker("volume", "inspect", "-f", "{{.Options.o}}", "named").out == "size=5m\n"
    assert 'invalid option: "foo"' in refused(
        fresh, "run", "--rm", "--mount", "type=volume,volume-opt=foo=bar,dst=/v", "busybox", "true"
    )
    assert fresh.docker("volume", "prune", "-af").out == "Total reclaimed space: 0B\n", "Docker leaves them alone"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["foo=bar"], 'invalid option: "foo"'),
        (["type=tmpfs"], 'missing required option: "device"'),
        (["device=tmpfs"], 'missing required option: "type"'),
        (["o=size=1m"], 'missing required option: "device"'),
        (["size=10m"], "quota size requested but no quota support"),
        (["size=abc"], "invalid size: 'abc'"),
    ],
)
def test_wrong_options(engine: Daemon, options: list[str], sentence: str) -> None:
    words = [word for option in options for word in ("--opt", option)]
    said = refused(engine, "volume", "create", *words, "wrong")
    assert said.strip() == f"Error response from daemon: create wrong: {sentence}"
    assert "no such volume" in refused(engine, "volume", "inspect", "wrong")


def test_what_cannot_be_mounted(fresh: Daemon) -> None:
    for name, kind, device, options, sentence in (
        (
            "gone",
            "none",
            "/no/such/place",
            "bind",
            "mount /no/such/place:{0}, flags: 0x1000: no such file or directory",
        ),
        ("odd", "nonsense", "/x", "ro", "mount /x:{0}, flags: 0x1: no such device"),
        ("disk", "ext4", "/dev/no-such-disk", "", "mount /dev/no-such-disk:{0}: no such file or directory"),
        ("secret", "nonsense", "/x", "password=word", "mount /x:{0}, data: password=********: no such device"),
        ("empty", "tmpfs", "", "", "missing device in volume options"),
    ):
        make(fresh, name, kind, device, options)
        path = f"{fresh.data_root}/volumes/{name}/_data"
        ending = sentence if name == "empty" else f"failed to mount local volume: {sentence.format(path)}"
        wanted = f"error while mounting volume '{path}': {ending}"
        assert wanted in refused(fresh, "run", "--rm", "-v", f"{name}:/v", "busybox", "true")
        assert f"failed to populate volume: {wanted}" in refused(
            fresh, "create", "-v", f"{name}:/bin", "busybox", "true"
        )
    assert fresh.docker("ps", "-aq").out == ""


def test_nfs_is_asked_of_the_kernel(fresh: Daemon) -> None:
    """The server's name becomes an address. Nobody answers at this one, and a kernel without NFS says so."""
    make(fresh, "remote", "nfs", ":/export", "addr=localhost,soft,timeo=1,retrans=1,retry=0,vers=4,port=1")
    said = refused(fresh, "run", "--rm", "-v", "remote:/v", "busybox", "true")
    assert "failed to mount local volume: mount :/export:" in said
    assert "data: addr=127.0.0.1,soft" in said or "data: addr=::1,soft" in said
    if "nfs" not in Path("/proc/filesystems").read_text().split():
        assert 'no such device (this kernel has no file system "nfs")' in said
    make(fresh, "nowhere", "nfs", ":/export", "addr=no-such-host.invalid")
    assert "error resolving passed in network volume address" in refused(
        fresh, "run", "--rm", "-v", "nowhere:/v", "busybox", "true"
    )


def test_a_daemons_death_leaves_none_mounted(fresh: Daemon) -> None:
    """One container runs on and keeps its volume; the other's ends while nobody looks."""
    fresh.docker("volume", "create", *_TMPFS, "kept")
    fresh.docker("volume", "create", *_TMPFS, "left")
    kept = fresh.docker("run", "-d", "-v", "kept:/v", "busybox", "sleep", "1000").out.strip()
    left = fresh.docker("run", "-d", "-v", "left:/v", "busybox", "sleep", "1000").out.strip()
    fresh.docker("exec", kept, "touch", "/v/x")
    pid = fresh.inspect(left)["State"]["Pid"]
    fresh.kill9()
    subprocess.run(["kill", "-9", str(pid)], check=True)
    assert sorted(mounted(fresh)) == ["kept", "left"]
    fresh.start()
    eventually(lambda: mounted(fresh) == ["kept"], 5, why="the ended container's volume is unmounted")
    assert fresh.docker("run", "--rm", "-v", "kept:/v", "busybox", "ls", "/v").out == "x\n"
    fresh.docker("kill", kept)
    assert mounted(fresh) == []


def test_a_container_and_the_removal_of_its_volume_at_once(fresh: Daemon) -> None:
    """Whoever comes first: a container that could be created has its volume."""

    def create(number: int) -> str:
        return fresh.docker("create", "--name", f"c{number}", "-v", "shared:/bin", "busybox", "true").out.strip()

    def remove(_: int) -> None:
        fresh.docker("volume", "rm", "-f", "shared", check=False)

    with ThreadPoolExecutor(4) as pool:
        for number in range(6):
            removals = [pool.submit(remove, n) for n in range(3)]
            created = pool.submit(create, number).result()
            for removal in removals:
                removal.result()
            assert "sh" in os.listdir(f"{fresh.data_root}/volumes/shared/_data")
            assert created in refused(fresh, "volume", "rm", "-f", "shared")
            fresh.docker("rm", created)
