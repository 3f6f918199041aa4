"""podman of Debian with ``--runtime berth-runtime``: run, exec, stop, pause, limits, users, terminals; and buildah."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cli import Result
from harness.criu import CRIU, needs_criu
from harness.eventually import eventually
from harness.images import busybox_archive

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("podman") is None, reason="podman is not installed (./dev setup does it)"),
]


class Podman:
    """With roots of its own; ``--network none`` everywhere, so that the host's network is left alone."""

    def __init__(self, home: Path, runtime: str) -> None:
        self.home = home
        self.runtime = runtime
        self.storage = ["--root", f"{home}/root", "--runroot", f"{home}/run", "--storage-driver", "vfs"]

    def __call__(self, *words: str, check: bool = True) -> Result:
        command = [
            "podman", *self.storage, "--tmpdir", f"{self.home}/tmp", "--events-backend", "file", "--cgroup-manager", "cgroupfs",
            "--runtime", self.runtime, *words,
        ]  # fmt: skip
        return self._run(command, check)

    def buildah(self, *words: str, check: bool = True) -> Result:
        return self._run(["buildah", *self.storage, *words], check)

    def run(self, *words: str, check: bool = True) -> Result:
        return self("run", "--network", "none", *words, check=check)

    def _run(self, command: list[str], check: bool) -> Result:
        # a configuration of our own: nothing of the user's decides
        path = f"{os.path.dirname(CRIU)}:{os.environ['PATH']}" if CRIU else os.environ["PATH"]
        env = {"PATH": path, "HOME": str(self.home), "TMPDIR": f"{self.home}/t"}
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90, env=env)
        result = Result(done.returncode, done.stdout, done.stderr, command)
        assert not check or result.code == 0, result
        return result


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    home = tmp_path_factory.mktemp("podman")
    (home / "t").mkdir()
    launcher = home / "berth-runtime"
    from harness.attack import RUNTIME

    quoted = " ".join(f"'{word}'" for word in (*RUNTIME[:4], RUNTIME[4].replace("'", '"')))
    launcher.write_text(f'#!/bin/sh\nexec {quoted} --criu "{CRIU or "criu"}" "$@"\n')
    launcher.chmod(0o755)
    made = Podman(home, str(launcher))
    busybox_archive(str(home / "busybox.tar"))
    made("load", "-q", "-i", str(home / "busybox.tar"))
    try:
        yield made
    finally:
        made("rm", "-a", "-f", "-t", "0", check=False)
        subprocess.run(["umount", "-l", f"{home}/root/vfs"], capture_output=True)
        subprocess.run(["umount", "-l", f"{home}/root/overlay"], capture_output=True)
        shutil.rmtree(home, ignore_errors=True)


def test_run_and_its_statuses(podman: Podman) -> None:
    assert podman.run("--rm", "busybox", "echo", "hi").out == "hi\n"
    assert podman.run("--rm", "busybox", "sh", "-c", "exit 3", check=False).code == 3
    missing = podman.run("--rm", "busybox", "nosuch", check=False)
    assert missing.code == 127 and "executable file not found in $PATH" in missing.err
    assert podman.run("--rm", "-t", "busybox", "tty").out.strip() == "/dev/pts/0"


def test_a_life_of_a_container(podman: Podman) -> None:
    podman.run("-d", "--name", "life", "busybox", "sleep", "1000")
    assert podman("exec", "life", "ps").out.count("sleep 1000") == 1
    assert podman("exec", "life", "sh", "-c", "exit 9", check=False).code == 9
    assert podman("exec", "-t", "life", "tty").out.strip().startswith("/dev/pts/")
    podman("pause", "life")
    assert podman("inspect", "-f", "{{.State.Status}}", "life").out == "paused\n"
    podman("unpause", "life")
    assert "sleep 1000" in podman("top", "life").out
    assert "life" in podman("stats", "--no-stream", "life").out
    podman("stop", "-t", "0", "life")
    assert podman("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "life").out == "exited 137\n"
    podman("start", "life")
    podman("kill", "life")
    podman("rm", "-f", "life")
    assert podman("ps", "-aq").out == ""


def test_options_reach_the_container(podman: Podman, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    script = "ulimit -n; cat /proc/sys/kernel/msgmax; ls /m; chmod 700 /m || touch /t/y; id -u; cat /sys/fs/cgroup/pids/pids.max"
    seen = podman.run(
        "--rm", "--memory", "64m", "--pids-limit", "20", "--ulimit", "nofile=100:200", "--sysctl", "kernel.msgmax=1000",
        "--tmpfs", "/t", "-v", f"{tmp_path}:/m:ro", "--read-only", "--cgroupns", "private",
        "busybox", "sh", "-c", script,
    )  # fmt: skip
    assert seen.out.split() == ["100", "1000", "0", "20"] and "Read-only file system" in seen.err


def test_user_namespaces_and_privileged(podman: Podman) -> None:
    assert podman.run("--rm", "--uidmap", "0:100000:1000", "busybox", "cat", "/proc/self/uid_map").out.split() == [
        "0", "100000", "1000",
    ]  # fmt: skip
    seen = podman.run(
        "--rm", "--privileged", "busybox", "sh", "-c", "ls /dev | wc -l; grep CapEff /proc/self/status"
    ).out
    assert int(seen.split()[0]) > 20 and "ffff" in seen


@pytest.mark.skipif(shutil.which("buildah") is None, reason="buildah is not installed (./dev setup does it)")
def test_buildah_runs_and_builds(podman: Podman, tmp_path: Path) -> None:
    how = ["--isolation", "oci", "--runtime", podman.runtime, "--network", "none"]
    made = podman.buildah("from", "--pull-never", "localhost/busybox").out.strip()
    assert podman.buildah("run", *how, made, "echo", "from buildah").out == "from buildah\n"
    assert podman.buildah("run", *how, made, "sh", "-c", "exit 4", check=False).code == 4
    (tmp_path / "Dockerfile").write_text("FROM localhost/busybox\nRUN echo built >/f\n")
    podman.buildah("bud", *how, "-t", "built", str(tmp_path))
    assert podman.run("--rm", "built", "cat", "/f").out == "built\n"
    podman.buildah("rm", made)


@needs_criu
def test_checkpoint_and_restore_also_by_way_of_an_archive(podman: Podman) -> None:
    count = "n=0; while :; do n=$((n+1)); echo line $n; sleep 0.1; done"
    podman.run("-d", "--name", "counter", "busybox", "sh", "-c", count)

    def lines(name: str) -> list[int]:
        return [int(line.split()[1]) for line in podman("logs", name).out.splitlines()]

    eventually(lambda: len(lines("counter")) > 5)
    podman("container", "checkpoint", "counter")
    assert podman("inspect", "-f", "{{.State.Status}}", "counter").out == "exited\n"
    at_rest = lines("counter")
    podman("container", "restore", "counter")
    eventually(lambda: len(lines("counter")) > len(at_rest) + 2)
    seen = lines("counter")
    assert seen == list(range(1, len(seen) + 1))

    podman("container", "checkpoint", "--export", f"{podman.home}/archive.tar.gz", "counter")
    at_rest = lines("counter")
    podman("container", "restore", "--import", f"{podman.home}/archive.tar.gz", "--name", "other")
    eventually(lambda: lines("other")[-1] > at_rest[-1] + 2)
    seen = lines("other")  # the archive has the log as well
    assert seen == list(range(1, len(seen) + 1))
    assert "sleep" in podman("exec", "other", "ps").out
    podman("rm", "-f", "-t", "0", "counter", "other")
