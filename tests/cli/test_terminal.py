"""Our client on a terminal: raw mode, window sizes, signals, detaching."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from harness import cli
from harness.daemon import Daemon
from harness.eventually import eventually

pytestmark = pytest.mark.root


def _pty(engine: Daemon, *words: str, rows: int = 24, cols: int = 80) -> cli.Pty:
    return cli.Pty([*cli.berth_command(), *words], env=cli.client_environ(engine.host), rows=rows, cols=cols)


def test_a_shell_with_its_window(engine: Daemon) -> None:
    with _pty(engine, "run", "-it", "--rm", "busybox", "sh", rows=31, cols=97) as pty:
        pty.expect("# ")
        pty.send("stty size\n")
        pty.expect("31 97")
        pty.resize(40, 120)
        os.kill(pty.pid, signal.SIGWINCH)

        def grown() -> bool:
            pty.send("stty size; echo asked-$?\n")
            return "40 120" in pty.expect("asked-0")

        eventually(grown, why="the window has its new size inside")
        pty.send("\x03")  # raw: the shell inside gets it, the client stays
        pty.send("exit 9\n")
        assert pty.wait() == 9


def test_exec_on_a_terminal(engine: Daemon) -> None:
    engine.docker("run", "-d", "--name", "held", "busybox", "sleep", "1000")
    with _pty(engine, "exec", "-it", "held", "sh", "-c", "stty size; tty; read x; exit $x", rows=20, cols=70) as pty:
        pty.expect("/dev/pts/")
        pty.send("6\n")
        assert pty.wait() == 6


def test_detach_and_attach_again(engine: Daemon) -> None:
    with _pty(engine, "run", "-it", "--name", "left", "busybox", "cat") as pty:
        pty.send("one\n")
        pty.expect("one.*one")
        pty.send("\x10\x11")
        assert pty.wait() == 0
    assert engine.inspect("left")["State"]["Running"]
    with _pty(engine, "attach", "left") as pty:
        pty.send("two\n")
        pty.expect("two.*two")
        pty.send("\x04")
        assert pty.wait() == 0


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGTERM, "TERM"), (signal.SIGUSR1, "USR1"), (signal.SIGINT, "INT")]
)
def test_signals_go_to_the_container(engine: Daemon, number: int, name: str) -> None:
    script = f"trap 'echo got {name}; exit 3' {name}; echo ready; while :; do sleep 0.05; done"
    command = [*cli.berth_command(), "run", "--rm", "busybox", "sh", "-c", script]
    client = subprocess.Popen(command, env=cli.client_environ(engine.host), stdout=subprocess.PIPE, text=True)
    assert client.stdout is not None
    assert client.stdout.readline() == "ready\n"
    client.send_signal(number)
    assert client.stdout.read() == f"got {name}\n"
    assert client.wait() == 3
