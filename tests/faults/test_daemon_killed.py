"""``kill -9`` of the daemon under running, logging, published containers is nobody else's matter.

None is restarted, no line of their logs is lost, their ports answer throughout, and the API is back within 2 s of the next
daemon's start.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sqlite3
import threading
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from harness.cli import Pty
from harness.daemon import Daemon
from harness.eventually import eventually

pytestmark = pytest.mark.root

BACK_WITHIN_S = 2.0
# A numbered line every 20 ms, from a program that also serves HTTP.
SCRIPT = "httpd -h /var/www; n=0; while :; do n=$((n+1)); echo $n; usleep 20000; done"


def first_start_s() -> float:
    """How long a daemon without anything takes now: on a machine that others keep busy too, more than the bound."""
    begun = time.monotonic()
    with Daemon():
        return time.monotonic() - begun


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for sock in sockets:
        sock.bind(("127.0.0.1", 0))
    ports = [int(sock.getsockname()[1]) for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


class Visitor:
    """Fetches every port in turn for as long as it is told; remembers what failed."""

    def __init__(self, ports: list[int]) -> None:
        self.failures: list[str] = []
        self.visits = 0
        self._ports = ports
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.is_set():
            for port in self._ports:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                        answer.read()
                    self.visits += 1
                except OSError as err:
                    self.failures.append(f"port {port}: {err}")
            self._stop.wait(0.02)

    def __enter__(self) -> Visitor:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()


def start_many(engine: Daemon, ports: list[int]) -> dict[str, int]:
    """Containers by id, with the pid of each."""
    for n, port in enumerate(ports):
        engine.docker("run", "-d", "--name", f"c{n}", "-p", f"{port}:80", "busybox", "sh", "-c", SCRIPT)
    idents = engine.docker("ps", "-q", "--no-trunc").lines
    return {ident: engine.inspect(ident)["State"]["Pid"] for ident in idents}


def check_outlived(engine: Daemon, count: int, kill: Callable[[], object]) -> None:
    ports = free_ports(count)
    before = start_many(engine, ports)
    assert len(before) == count

    def answers() -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{ports[-1]}/", timeout=2) as answer:
            return bool(answer.read())

    eventually(answers)
    with Visitor(ports) as visitor:
        kill()
        engine.spawn()
        begin = time.monotonic()
        engine.wait_ready()
        back = time.monotonic() - begin
        seen = visitor.visits
        eventually(lambda: visitor.visits > seen + 2 * count, 60)
    assert visitor.failures == []
    assert back < BACK_WITHIN_S or back < 3 * first_start_s(), f"the API was back after {back:.2f} s"
    for ident, pid in before.items():
        state = engine.inspect(ident)
        assert (state["State"]["Pid"], state["State"]["Running"], state["RestartCount"]) == (pid, True, 0)
    idents = list(before)
    engine.docker("stop", "-t", "0", *idents, timeout_s=120)
    for ident in idents:
        lines = [int(line) for line in engine.docker("logs", ident).lines]
        assert lines == list(range(1, len(lines) + 1)) and len(lines) > 10


def test_killed_under_fifty(make_daemon: Callable[..., Daemon]) -> None:
    engine = make_daemon()
    check_outlived(engine, 50, engine.kill9)


def test_killed_again_and_again(make_daemon: Callable[..., Daemon]) -> None:
    engine = make_daemon()
    for _ in range(3):
        check_outlived(engine, 3, engine.kill9)
        engine.remove_all()


def test_stopped_for_an_upgrade(make_daemon: Callable[..., Daemon]) -> None:
    """SIGTERM with live-restore, the default, leaves them alone too."""
    engine = make_daemon()
    check_outlived(engine, 4, engine.stop)


def test_without_live_restore_they_stop_with_the_daemon(make_daemon: Callable[..., Daemon]) -> None:
    engine = make_daemon("--live-restore=false")
    engine.docker("run", "-d", "--name", "stops", "--stop-timeout", "1", "busybox", "sleep", "1000")
    pid = engine.inspect("stops")["State"]["Pid"]
    engine.stop()
    assert not _alive(pid)
    engine.start()
    state = engine.inspect("stops")["State"]
    assert (state["Status"], state["Running"]) == ("exited", False)


@pytest.mark.parametrize("live_restore", [True, False])
def test_a_restart_that_waits_for_its_delay_waits_for_the_next_daemon(
    make_daemon: Callable[..., Daemon], live_restore: bool
) -> None:
    """It held the end of the daemon up for as long, and started then."""
    engine = make_daemon(f"--live-restore={str(live_restore).lower()}")
    engine.docker("run", "-d", "--name", "again", "--restart", "always", "busybox", "false")

    def delayed() -> bool:
        """By 6.4 s since the end of the sixth restart; the count rises when a restart begins, 3.2 s after the end before."""
        found = engine.inspect("again")
        ended = datetime.fromisoformat(found["State"]["FinishedAt"])
        waits = found["State"]["Status"] == "restarting" and datetime.now(UTC) - ended < timedelta(seconds=3)
        return bool(found["RestartCount"] >= 6 and waits)

    eventually(delayed, 30)
    before = engine.inspect("again")
    engine.stop()
    with contextlib.closing(sqlite3.connect(f"{engine.data_root}/berth.db")) as db:
        ((doc,),) = db.execute("SELECT doc FROM containers")
    row = json.loads(doc)
    assert (row["phase"], row["restart_count"]) == ("restarting", before["RestartCount"])
    shims = f"{engine.run_root}/c"
    eventually(lambda: not os.path.exists(shims) or not os.listdir(shims), why="parked shims end with the daemon")
    engine.start()
    eventually(lambda: engine.inspect("again")["State"]["StartedAt"] > before["State"]["StartedAt"], 20)
    assert "Traceback" not in engine.log(10_000)


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_an_end_while_nobody_watched_is_known_afterwards(make_daemon: Callable[..., Daemon]) -> None:
    """Exit status from the exit record, ``die`` exactly once, the last lines in the log."""
    engine = make_daemon()
    engine.docker("run", "-d", "--name", "short", "busybox", "sh", "-c", "sleep 1; echo last; exit 33")
    pid = engine.inspect("short")["State"]["Pid"]
    engine.kill9()
    eventually(lambda: not _alive(pid))
    begin = str(int(time.time()) - 1)
    engine.start()
    eventually(lambda: engine.inspect("short")["State"]["Status"] == "exited")
    assert engine.inspect("short")["State"]["ExitCode"] == 33
    assert engine.docker("wait", "short").out == "33\n"
    assert engine.docker("logs", "short").out == "last\n"
    until = str(int(time.time()) + 1)
    events = engine.docker("events", "--since", begin, "--until", until, "--format", "{{json .}}").lines
    assert [json.loads(line)["Action"] for line in events if '"die"' in line] == ["die"]


def test_restart_policies_hold_over_the_daemons_death(make_daemon: Callable[..., Daemon]) -> None:
    engine = make_daemon()
    engine.docker("run", "-d", "--name", "again", "--restart", "always", "busybox", "sh", "-c", "sleep 1; exit 1")
    engine.docker("run", "-d", "--name", "once", "busybox", "sh", "-c", "sleep 1; exit 1")
    pids = [engine.inspect(name)["State"]["Pid"] for name in ("again", "once")]
    engine.kill9()
    eventually(lambda: not any(_alive(pid) for pid in pids))
    engine.start()
    eventually(lambda: engine.inspect("again")["State"]["Running"])
    assert engine.inspect("once")["State"]["Status"] == "exited"


def test_rm_holds_over_the_daemons_death(make_daemon: Callable[..., Daemon]) -> None:
    engine = make_daemon()
    engine.docker("run", "-d", "--rm", "--name", "gone", "busybox", "sleep", "1")
    pid = engine.inspect("gone")["State"]["Pid"]
    engine.kill9()
    eventually(lambda: not _alive(pid))
    engine.start()
    eventually(lambda: engine.docker("ps", "-aq").out == "")


def test_an_attached_client_sees_the_programs_output_throughout(make_daemon: Callable[..., Daemon]) -> None:
    """The stream belongs to the shim: it goes on without the daemon, and the container runs on after the client."""
    engine = make_daemon()
    engine.docker("run", "-d", "-i", "--name", "talks", "busybox", "cat")
    client = engine.docker_popen("attach", "talks", stdin=-1)
    assert client.stdin is not None
    assert client.stdout is not None

    def echo(words: bytes) -> bytes:
        client.stdin.write(words)
        client.stdin.flush()
        return client.stdout.readline()

    assert echo(b"before\n") == b"before\n"
    engine.kill9()
    assert echo(b"without\n") == b"without\n"
    engine.start()
    assert echo(b"after\n") == b"after\n"
    assert engine.docker("logs", "talks").lines == ["before", "without", "after"]
    client.send_signal(signal.SIGKILL)
    client.communicate()
    assert engine.inspect("talks")["State"]["Running"]


def test_exec_and_terminal_work_with_the_next_daemon(make_daemon: Callable[..., Daemon]) -> None:
    engine = make_daemon()
    engine.docker("run", "-dit", "--name", "shell", "busybox")
    engine.kill9()
    engine.start()
    assert engine.docker("exec", "shell", "echo", "in").out == "in\n"
    with engine.docker_pty("attach", "shell", rows=29, cols=91) as pty:
        assert isinstance(pty, Pty)
        pty.send("\n")
        pty.expect("# ")

        def sized() -> bool:
            pty.send("stty size\n")
            return "29 91" in pty.expect(r"size\r\n[^\r]*\r\n")

        eventually(sized, every_s=0.1)
        pty.send("exit 4\n")
        pty.wait()
    assert engine.docker("wait", "shell").out == "4\n"


def test_a_dead_zygote_is_started_again(make_daemon: Callable[..., Daemon]) -> None:
    import os

    from harness import leaks

    engine = make_daemon()
    engine.docker("run", "-d", "--name", "stays", "busybox", "sleep", "1000")
    children = set(_children(engine.pid))
    zygotes = [pid for pid, _ in leaks.processes(engine.instance_id, engine.run_root) if pid in children]
    assert len(zygotes) == 1
    os.kill(zygotes[0], signal.SIGKILL)
    for _ in range(12):  # more than are parked
        engine.docker("run", "--rm", "busybox", "true")
    assert engine.inspect("stays")["State"]["Running"]


def _children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        found = [int(word) for word in file.read().split()]
    for name in __import__("os").listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{name}/children") as file:
            found += [int(word) for word in file.read().split()]
    return found
