"""Execs that can be ended, clients that vanish, many containers stopped at once."""

from __future__ import annotations

import os
import signal
import time

import pytest

from harness.daemon import Daemon
from harness.eventually import eventually

pytestmark = pytest.mark.root


def sleeper(engine: Daemon) -> str:
    return engine.docker("run", "-d", "busybox", "sh", "-c", "trap exit TERM; sleep 1000 & wait").out.strip()


def commands(engine: Daemon, ident: str) -> str:
    return engine.docker("top", ident, "-eo", "pid,args").out


def exec_id(engine: Daemon, ident: str) -> str:
    return str(eventually(lambda: (engine.inspect(ident)["ExecIDs"] or [""])[0]))


def test_an_exec_ends_with_its_client(engine: Daemon) -> None:
    ident = sleeper(engine)
    client = engine.docker_popen("exec", ident, "sleep", "777")
    eventually(lambda: "sleep 777" in commands(engine, ident))
    client.send_signal(signal.SIGKILL)
    client.communicate()
    eventually(lambda: "sleep 777" not in commands(engine, ident))
    assert engine.inspect(ident)["ExecIDs"] is None


def test_an_exec_with_a_terminal_ends_with_its_client(engine: Daemon) -> None:
    ident = sleeper(engine)
    with engine.docker_pty("exec", "-it", ident, "sh") as terminal:
        terminal.expect("#")
        terminal.send("sleep 778\n")
        eventually(lambda: "sleep 778" in commands(engine, ident))
        os.kill(terminal.pid, signal.SIGKILL)
    eventually(lambda: "sleep 778" not in commands(engine, ident))


def test_a_detached_exec_lives_on(engine: Daemon) -> None:
    ident = sleeper(engine)
    engine.docker("exec", "-d", ident, "sleep", "779")
    assert "sleep 779" in commands(engine, ident)


def test_standard_input_that_ends_is_no_reason_to_go(engine: Daemon) -> None:
    ident = sleeper(engine)
    result = engine.docker("exec", "-i", ident, "sh", "-c", "cat; sleep 0.3; echo still here", stdin="words\n")
    assert result.out == "words\nstill here\n"


def test_docker_kill_ends_an_exec_by_its_id(engine: Daemon) -> None:
    ident = sleeper(engine)
    engine.docker("exec", "-d", ident, "sleep", "780")
    known = exec_id(engine, ident)
    engine.docker("kill", "-s", "TERM", known)
    eventually(lambda: "sleep 780" not in commands(engine, ident))
    assert engine.api("GET", f"/exec/{known}/json").body["ExitCode"] == 143
    again = engine.docker("kill", known, check=False)
    assert again.code == 1 and "is not running" in again.err
    assert engine.inspect(ident)["State"]["Running"]


def test_exec_kill_of_the_api(engine: Daemon) -> None:
    ident = sleeper(engine)
    engine.docker("exec", "-d", ident, "sleep", "781")
    known = exec_id(engine, ident)
    assert engine.api("POST", f"/exec/{known}/kill?signal=NONSENSE").status == 400
    assert engine.api("POST", f"/exec/{known}/kill").status == 204
    eventually(lambda: engine.api("GET", f"/exec/{known}/json").body["ExitCode"] == 137)
    assert engine.api("POST", "/exec/nowhere/kill").status == 404


def test_a_first_process_without_a_handler_is_not_waited_for(engine: Daemon) -> None:
    """The kernel spares it from SIGTERM: ten seconds would pass for nothing."""
    ident = engine.docker("run", "-d", "busybox", "sleep", "1000").out.strip()
    begin = time.monotonic()
    engine.docker("stop", ident)
    assert time.monotonic() - begin < 3
    assert engine.inspect(ident)["State"]["ExitCode"] == 137


def test_one_that_ignores_the_signal_keeps_its_time(engine: Daemon) -> None:
    ident = engine.docker("run", "-d", "busybox", "sh", "-c", "trap '' TERM; echo on; sleep 2; exit 5").out.strip()
    eventually(lambda: "on" in engine.docker("logs", ident).out)
    engine.docker("stop", ident)
    assert engine.inspect(ident)["State"]["ExitCode"] == 5


def test_twenty_are_stopped_side_by_side(engine: Daemon) -> None:
    idents = [engine.docker("run", "-d", "busybox", "sh", "-c", "trap 'sleep 1; exit 0' TERM; sleep 1000 & wait").out.strip()
              for _ in range(20)]  # fmt: skip
    begin = time.monotonic()
    engine.docker("stop", *idents)
    assert time.monotonic() - begin < 12, "one after the other they would take twenty seconds"
    assert all(engine.inspect(i)["State"]["ExitCode"] == 0 for i in idents)
