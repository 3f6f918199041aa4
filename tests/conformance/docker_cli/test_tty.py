"""``docker run -it``, attach and detach under a pty."""

from __future__ import annotations

import pytest

from harness.daemon import Daemon
from harness.eventually import eventually

pytestmark = pytest.mark.root


def test_a_shell_on_a_terminal(engine: Daemon) -> None:
    with engine.docker_pty("run", "--rm", "-it", "busybox") as pty:
        pty.expect("# ")
        pty.send("tty; echo $((40 + 2))\n")
        assert "/dev/pts/0" in pty.expect("42\r\n")
        pty.send("exit 3\n")
        assert pty.wait() == 3


def test_the_size_is_known_and_follows(engine: Daemon) -> None:
    with engine.docker_pty("run", "--rm", "-it", "busybox", rows=31, cols=97) as pty:
        pty.expect("# ")
        eventually(lambda: _size(pty) == "31 97", every_s=0.1)
        pty.resize(40, 120)
        eventually(lambda: _size(pty) == "40 120", every_s=0.1)
        pty.send("exit\n")
        assert pty.wait() == 0


def _size(pty: object) -> str:
    pty.send("stty size\n")  # type: ignore[attr-defined]
    return pty.expect(r"\r\n\d+ \d+\r\n").splitlines()[-1]  # type: ignore[attr-defined]  # the shell may redraw its line


def test_control_c_reaches_the_program(engine: Daemon) -> None:
    with engine.docker_pty(
        "run", "--rm", "-it", "busybox", "sh", "-c", "trap 'exit 130' INT; echo on; while :; do sleep 0.1; done"
    ) as pty:
        pty.expect("on\r\n")
        pty.send("\x03")
        assert pty.wait() == 130


def test_control_d_ends_the_input(engine: Daemon) -> None:
    with engine.docker_pty("run", "--rm", "-it", "busybox", "cat") as pty:
        pty.send("line\n")
        pty.expect("line\r\nline\r\n")
        pty.send("\x04")
        assert pty.wait() == 0


def test_detach_keys_leave_it_running_and_attach_comes_back(engine: Daemon) -> None:
    with engine.docker_pty("run", "-it", "--name", "left", "busybox") as pty:
        pty.expect("# ")
        pty.send("\x10\x11")
        assert pty.wait() == 0
    assert engine.docker("inspect", "-f", "{{.State.Running}}", "left").out == "true\n"
    with engine.docker_pty("attach", "left") as pty:
        pty.send("echo back $((1 + 1))\n")
        pty.expect("back 2")
        pty.send("exit\n")
        assert pty.wait() == 0


def test_the_log_of_a_terminal_keeps_its_carriage_returns(engine: Daemon) -> None:
    ident = engine.docker("run", "-dt", "busybox", "echo", "line").out.strip()
    engine.docker("wait", ident)
    assert engine.docker("logs", ident).out == "line\r\n"


def test_exec_on_a_terminal(engine: Daemon) -> None:
    engine.docker("run", "-d", "--name", "host", "busybox", "sleep", "1000")
    with engine.docker_pty("exec", "-it", "host", "sh", rows=33, cols=99) as pty:
        pty.expect("# ")
        eventually(lambda: _size(pty) == "33 99", every_s=0.1)
        pty.send("tty\n")
        pty.expect("/dev/pts/")
        pty.send("exit 9\n")
        assert pty.wait() == 9
