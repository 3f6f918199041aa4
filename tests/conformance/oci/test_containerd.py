"""containerd of Debian with ``ctr run --runc-binary berth-runtime``: its shim drives our program as it drives runc."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.attack import RUNTIME
from harness.cli import Result
from harness.criu import CRIU, needs_criu
from harness.eventually import eventually
from harness.images import busybox_archive

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("containerd") is None, reason="containerd is not installed (./dev setup does it)"),
]
IMAGE = "docker.io/library/busybox:latest"
_CONFIG = """\
version = 2
root = "{home}/root"
state = "{home}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{home}/c.sock"
[ttrpc]
address = "{home}/t.sock"
"""


class Ctr:
    """A containerd of our own with private roots, and its client."""

    def __init__(self, home: Path) -> None:
        self.home = home
        (home / "config.toml").write_text(_CONFIG.format(home=home))
        self.runtime = str(home / "berth-runtime")
        quoted = " ".join(f"'{word}'" for word in (*RUNTIME[:4], RUNTIME[4].replace("'", '"')))
        Path(self.runtime).write_text(f'#!/bin/sh\nexec {quoted} --criu "{CRIU or "criu"}" "$@"\n')
        Path(self.runtime).chmod(0o755)
        with open(home / "log", "wb") as log:
            self._daemon = subprocess.Popen(["containerd", "-c", str(home / "config.toml")], stdout=log, stderr=log)
        eventually(lambda: self("version", check=False).code == 0, timeout_s=30)

    def __call__(self, *words: str, check: bool = True) -> Result:
        command = ["ctr", "-a", f"{self.home}/c.sock", *words]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90)
        result = Result(done.returncode, done.stdout, done.stderr, command)
        assert not check or result.code == 0, result
        return result

    def run(self, name: str, *words: str, flags: tuple[str, ...] = ("--rm",), check: bool = True) -> Result:
        how = ["--snapshotter", "native", "--runc-binary", self.runtime]
        return self("run", *flags, *how, IMAGE, name, *words, check=check)

    def close(self) -> None:
        self._daemon.terminate()
        self._daemon.wait(30)


@pytest.fixture(scope="module")
def ctr(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ctr]:
    home = tmp_path_factory.mktemp("ctd")
    made = Ctr(home)
    try:
        busybox_archive(str(home / "busybox.tar"))
        made("image", "import", str(home / "busybox.tar"))
        yield made
    finally:
        made.close()
        shutil.rmtree(home, ignore_errors=True)


def test_run_and_its_statuses(ctr: Ctr) -> None:
    assert ctr.run("one", "echo", "hi").out == "hi\n"
    assert ctr.run("two", "sh", "-c", "exit 5", check=False).code == 5
    missing = ctr.run("three", "nosuch", check=False)
    assert missing.code == 1 and "executable file not found in $PATH" in missing.err


def test_a_life_of_a_task(ctr: Ctr) -> None:
    ctr.run("life", "sleep", "1000", flags=("-d",))

    def status() -> str:
        return next(line.split()[2] for line in ctr("task", "ls").out.splitlines() if line.startswith("life "))

    assert status() == "RUNNING"
    assert "sleep 1000" in ctr("task", "exec", "--exec-id", "e1", "life", "ps").out
    ctr("task", "pause", "life")
    assert status() == "PAUSED"
    ctr("task", "resume", "life")
    assert "memory.usage_in_bytes" in ctr("task", "metrics", "life").out
    ctr("task", "kill", "-s", "KILL", "life")
    eventually(lambda: status() == "STOPPED")
    ctr("task", "rm", "life", check=False)  # it answers with the task's own status
    ctr("container", "rm", "life")
    assert "life" not in ctr("container", "ls").out


@needs_criu
def test_checkpoint_into_an_image_and_restore_from_it(ctr: Ctr) -> None:
    count = "n=0; while :; do n=$((n+1)); echo $n > /count; sleep 0.1; done"
    ctr.run("counter", "sh", "-c", count, flags=("-d",))

    def counted(name: str) -> int:
        out = ctr("task", "exec", "--exec-id", "look", name, "cat", "/count", check=False).out.strip()
        return int(out) if out.isdigit() else 0

    eventually(lambda: counted("counter") > 5)
    ctr("containers", "checkpoint", "--task", "--rw", "--image", "counter", "saved")
    at_dump = counted("counter")
    ctr("task", "kill", "-s", "KILL", "counter")
    eventually(lambda: ctr("container", "rm", "counter", check=False).code == 0)
    ctr("containers", "restore", "--live", "--rw", "again", "saved")
    eventually(lambda: counted("again") > 5)
    assert counted("again") < at_dump + 1000
    ctr("task", "checkpoint", "--exit", "--image-path", f"{ctr.home}/images", "again")
    eventually(lambda: "STOPPED" in ctr("task", "ls").out)
    eventually(lambda: ctr("container", "rm", "again", check=False).code == 0)
    ctr("image", "rm", "saved")
