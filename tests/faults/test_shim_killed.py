"""A shim that is killed takes its container with it: no process, group or folder stays, and the container starts again."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.daemon import Daemon
from harness.eventually import eventually

pytestmark = pytest.mark.root


def kill_shim(engine: Daemon, ident: str) -> None:
    record = json.loads(Path(f"{engine.run_root}/c/{ident[:32]}/shim.json").read_text())
    os.kill(record["pid"], signal.SIGKILL)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("runtime", ["berth", "runc"])
def test_under_the_daemons_eyes(engine: Daemon, runtime: str) -> None:
    ident = engine.docker(
        "run", "-d", "--runtime", runtime, "busybox", "sh", "-c", "sleep 999 & sleep 1000"
    ).out.strip()
    pid = engine.inspect(ident)["State"]["Pid"]
    kill_shim(engine, ident)
    eventually(lambda: engine.inspect(ident)["State"]["Status"] == "exited")
    state = engine.inspect(ident)["State"]
    assert (state["ExitCode"], state["Error"]) == (137, "the container's shim died")
    assert not lives(pid)
    engine.docker("start", ident)
    assert engine.docker("exec", ident, "echo", "again").out == "again\n"


@pytest.mark.parametrize("runtime", ["berth", "runc"])
def test_while_the_daemon_was_away(make_daemon: Callable[..., Daemon], runtime: str) -> None:
    engine = make_daemon()
    ident = engine.docker("run", "-d", "--runtime", runtime, "busybox", "sleep", "1000").out.strip()
    pid = engine.inspect(ident)["State"]["Pid"]
    engine.kill9()
    kill_shim(engine, ident)
    engine.start()
    eventually(lambda: not lives(pid), why="its process is gone")
    assert engine.inspect(ident)["State"]["Status"] == "exited"
    engine.docker("start", ident)
    engine.docker("rm", "-f", ident)
    eventually(lambda: os.listdir(f"{engine.run_root}/c") == [] or None, why="shim folders are gone")
