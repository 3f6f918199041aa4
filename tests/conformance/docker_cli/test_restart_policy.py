"""Restart policies: on-failure counts, always comes back, a user's stop is a stop."""

from __future__ import annotations

import os
import signal

import pytest

from harness.daemon import Daemon
from harness.eventually import eventually

pytestmark = pytest.mark.root


def state(engine: Daemon, name: str) -> tuple[str, int]:
    document = engine.inspect(name)
    return document["State"]["Status"], document["RestartCount"]


def test_on_failure_tries_as_often_as_told(engine: Daemon) -> None:
    engine.docker(
        "run", "-d", "--name", "fails", "--restart", "on-failure:2", "busybox", "sh", "-c", "echo try; exit 1"
    )
    eventually(lambda: state(engine, "fails") == ("exited", 2))
    assert engine.docker("logs", "fails").out == "try\n" * 3
    assert engine.inspect("fails")["State"]["ExitCode"] == 1


def test_on_failure_leaves_success_alone(engine: Daemon) -> None:
    engine.docker("run", "-d", "--name", "fine", "--restart", "on-failure", "busybox", "true")
    eventually(lambda: state(engine, "fine") == ("exited", 0))


def test_always_comes_back_after_a_kill_from_outside(engine: Daemon) -> None:
    engine.docker("run", "-d", "--name", "phoenix", "--restart", "always", "busybox", "sleep", "1000")
    first = engine.inspect("phoenix")["State"]["Pid"]
    os.kill(first, signal.SIGKILL)

    def again() -> bool:
        found = engine.inspect("phoenix")["State"]
        return found["Status"] == "running" and found["Pid"] != first

    eventually(again)
    assert state(engine, "phoenix")[1] == 1


@pytest.mark.parametrize("policy", ["always", "unless-stopped"])
def test_a_users_stop_is_a_stop(engine: Daemon, policy: str) -> None:
    engine.docker("run", "-d", "--name", "obeys", "--restart", policy, "busybox", "sleep", "1000")
    engine.docker("stop", "-t", "0", "obeys")
    assert state(engine, "obeys")[0] == "exited"
    engine.docker("start", "obeys")
    assert state(engine, "obeys")[0] == "running"


def test_a_users_kill_is_a_stop_too(engine: Daemon) -> None:
    engine.docker("run", "-d", "--name", "killed", "--restart", "always", "busybox", "sleep", "1000")
    engine.docker("kill", "killed")
    eventually(lambda: state(engine, "killed")[0] == "exited")


def test_a_restarting_container_can_be_stopped_and_removed(engine: Daemon) -> None:
    engine.docker("run", "-d", "--name", "loop", "--restart", "always", "busybox", "false")
    eventually(lambda: state(engine, "loop")[1] >= 2)
    engine.docker("stop", "loop")
    assert state(engine, "loop")[0] == "exited"
    engine.docker("rm", "loop")


def test_one_that_ends_by_itself_while_it_is_stopped_stays_so(engine: Daemon) -> None:
    """A young process without a handler is given a moment before SIGKILL; this one ends in that moment."""
    engine.docker("run", "-d", "--name", "brief", "--restart", "always", "busybox", "sh", "-c", "sleep 0.4; exit 1")
    engine.docker("stop", "brief")
    assert state(engine, "brief")[0] == "exited"


def test_restart_and_rm_contradict_each_other(engine: Daemon) -> None:
    result = engine.docker("run", "--rm", "--restart", "always", "busybox", "true", check=False)
    assert result.code == 125
    assert "onflicting options" in result.err


def test_a_policy_that_does_not_exist(engine: Daemon) -> None:
    result = engine.docker("run", "--restart", "sometimes", "busybox", "true", check=False)
    assert result.code == 125
    assert "invalid restart policy" in result.err
    assert engine.docker("ps", "-aq").out == ""


def test_always_comes_back_with_the_daemon_and_stopped_ones_do_not(make_daemon: object) -> None:
    engine: Daemon = make_daemon("--live-restore=false")  # type: ignore[operator]
    run = ["run", "-d", "--stop-timeout", "1", "--restart"]
    engine.docker(*run, "always", "--name", "always", "busybox", "sleep", "1000")
    engine.docker(*run, "unless-stopped", "--name", "stopped", "busybox", "sleep", "1000")
    engine.docker("run", "-d", "--stop-timeout", "1", "--name", "plain", "busybox", "sleep", "1000")
    engine.docker("stop", "-t", "0", "stopped")
    engine.restart()
    eventually(lambda: state(engine, "always")[0] == "running")
    assert state(engine, "stopped")[0] == "exited"
    assert state(engine, "plain")[0] == "exited"
