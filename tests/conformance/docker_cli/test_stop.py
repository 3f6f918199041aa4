"""Stop, kill, restart, wait: the right signal, the timeout, the exit status."""

from __future__ import annotations

import time

import pytest

from harness.daemon import Daemon
from harness.eventually import eventually

pytestmark = pytest.mark.root

TRAPS = "trap 'echo term; exit 11' TERM; trap 'echo usr1; exit 12' USR1; echo ready; while :; do sleep 0.05; done"


def start(engine: Daemon, *args: str) -> str:
    return engine.docker("run", "-d", *args).out.strip()


def started_trapping(engine: Daemon, *flags: str) -> str:
    ident = start(engine, *flags, "busybox", "sh", "-c", TRAPS)
    eventually(lambda: "ready" in engine.docker("logs", ident).out)
    return ident


def exit_code(engine: Daemon, ident: str) -> str:
    return engine.docker("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", ident).out.strip()


def test_stop_sends_term_first(engine: Daemon) -> None:
    ident = started_trapping(engine)
    engine.docker("stop", ident)
    assert exit_code(engine, ident) == "exited 11"
    assert engine.docker("logs", ident).lines[-1] == "term"


def test_stop_sends_the_containers_own_stop_signal(engine: Daemon) -> None:
    ident = started_trapping(engine, "--stop-signal", "SIGUSR1")
    engine.docker("stop", ident)
    assert exit_code(engine, ident) == "exited 12"


def test_stop_kills_after_the_timeout(engine: Daemon) -> None:
    ident = start(engine, "busybox", "sh", "-c", "trap '' TERM; while :; do sleep 0.05; done")
    begin = time.monotonic()
    engine.docker("stop", "-t", "1", ident)
    assert 0.9 < time.monotonic() - begin < 4
    assert exit_code(engine, ident) == "exited 137"


def test_the_containers_own_stop_timeout(engine: Daemon) -> None:
    ident = start(engine, "--stop-timeout", "1", "busybox", "sh", "-c", "trap '' TERM; while :; do sleep 0.05; done")
    begin = time.monotonic()
    engine.docker("stop", ident)
    assert time.monotonic() - begin < 4


def test_pid_1_without_a_handler_is_killed_at_the_timeout(engine: Daemon) -> None:
    """The kernel ignores SIGTERM for a namespace's pid 1 without a handler: only the timeout ends it."""
    ident = start(engine, "busybox", "sleep", "1000")
    engine.docker("stop", "-t", "0", ident)
    assert exit_code(engine, ident) == "exited 137"


def test_stopping_the_stopped_is_no_error(engine: Daemon) -> None:
    ident = start(engine, "busybox", "true")
    engine.docker("wait", ident)
    assert engine.docker("stop", ident).out.strip() == ident


def test_kill_sends_any_signal(engine: Daemon) -> None:
    ident = started_trapping(engine)
    engine.docker("kill", "-s", "USR1", ident)
    assert engine.docker("wait", ident).out == "12\n"
    result = engine.docker("kill", ident, check=False)
    assert result.code == 1 and f"container {ident} is not running" in result.err


def test_kill_without_a_name_is_sigkill(engine: Daemon) -> None:
    ident = started_trapping(engine)
    engine.docker("kill", ident)
    assert engine.docker("wait", ident).out == "137\n"


def test_an_unknown_signal(engine: Daemon) -> None:
    ident = start(engine, "busybox", "sleep", "1000")
    result = engine.docker("kill", "-s", "NONSENSE", ident, check=False)
    assert result.code == 1 and "nvalid signal: NONSENSE" in result.err


def test_restart_gives_a_new_process(engine: Daemon) -> None:
    ident = started_trapping(engine)
    before = engine.inspect(ident)["State"]
    engine.docker("restart", ident)
    after = engine.inspect(ident)["State"]
    assert after["Running"] and after["Pid"] != before["Pid"] and after["StartedAt"] > before["StartedAt"]


def test_wait_before_the_end(engine: Daemon) -> None:
    ident = start(engine, "-i", "busybox", "sh", "-c", "read x; exit 21")
    waiting = engine.docker_popen("wait", ident)
    engine.docker("attach", ident, stdin="\n", check=False)
    out, _ = waiting.communicate(timeout=10)
    assert out == b"21\n"


def test_remove_a_running_one_needs_force(engine: Daemon) -> None:
    ident = start(engine, "busybox", "sleep", "1000")
    result = engine.docker("rm", ident, check=False)
    assert result.code == 1
    assert "container is running: stop the container before removing or force remove" in result.err
    assert engine.docker("rm", "-f", ident).out.strip() == ident
    assert engine.docker("ps", "-aq").out == ""


def test_stop_answers_quickly_when_the_program_does(engine: Daemon) -> None:
    ident = started_trapping(engine)
    begin = time.monotonic()
    engine.docker("stop", ident)
    assert time.monotonic() - begin < 1.5


def test_a_program_is_given_the_time_to_install_its_handler(engine: Daemon) -> None:
    """With a timeout of the user's too: PID 1 without a handler would not get the signal at all."""
    script = "sleep 0.3; trap 'exit 4' TERM; sleep 1000 & wait"
    engine.docker("run", "-d", "--name", "young", "busybox", "sh", "-c", script)
    engine.docker("stop", "-t", "20", "young")
    assert engine.docker("wait", "young").out.strip() == "4"
