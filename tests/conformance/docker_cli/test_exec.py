"""``docker exec`` without a terminal (with one: ``test_tty.py``)."""

from __future__ import annotations

import hashlib
import os

import pytest

from harness.daemon import Daemon

pytestmark = pytest.mark.root


@pytest.fixture
def box(engine: Daemon) -> Daemon:
    """An engine with a running container ``box``."""
    engine.docker("run", "-d", "--name", "box", "-e", "FROM=run", "busybox", "sleep", "1000")
    return engine


def test_streams_and_status(box: Daemon) -> None:
    result = box.docker("exec", "box", "sh", "-c", "echo out; echo err >&2; exit 3", check=False)
    assert (result.code, result.out, result.err) == (3, "out\n", "err\n")


def test_input_is_piped_through_to_its_end(box: Daemon) -> None:
    payload = os.urandom(3 << 20)
    out = box.docker("exec", "-i", "box", "sha256sum", stdin=payload).out
    assert out.split()[0] == hashlib.sha256(payload).hexdigest()


def test_without_i_there_is_no_input(box: Daemon) -> None:
    assert box.docker("exec", "box", "cat", stdin="ignored").out == ""


def test_it_lives_in_the_containers_namespaces_and_cgroups(box: Daemon) -> None:
    kinds = "cgroup ipc mnt net pid uts"
    script = f"for k in {kinds}; do readlink /proc/self/ns/$k; done"
    inside = box.docker("exec", "box", "sh", "-c", script).lines
    pid = box.docker("inspect", "-f", "{{.State.Pid}}", "box").out.strip()
    assert inside == [os.readlink(f"/proc/{pid}/ns/{kind}") for kind in kinds.split()]
    assert (
        box.docker("exec", "box", "cat", "/proc/self/cgroup").out
        == box.docker("exec", "box", "cat", "/proc/1/cgroup").out
    )


def test_user_workdir_and_environment(box: Daemon) -> None:
    out = box.docker(
        "exec", "-u", "user", "-w", "/tmp", "-e", "MORE=exec", "box", "sh", "-c", "id -u; pwd; echo $FROM $MORE"
    )
    assert out.lines == ["1000", "/tmp", "run exec"]


def test_the_default_environment(box: Daemon) -> None:
    names = {line.split("=")[0] for line in box.docker("exec", "box", "env").lines}
    assert {"PATH", "HOSTNAME", "HOME", "FROM"} <= names


def test_capabilities_are_the_containers_own(box: Daemon) -> None:
    script = "grep -E 'Cap|Seccomp:|NoNewPrivs' /proc/self/status"
    assert (
        box.docker("exec", "box", "sh", "-c", script).out
        == box.docker("run", "--rm", "busybox", "sh", "-c", script).out
    )


def test_privileged_exec_has_every_capability(box: Daemon) -> None:
    plain = box.docker("exec", "box", "grep", "CapEff", "/proc/self/status").out.split()[1]
    wide = box.docker("exec", "--privileged", "box", "grep", "CapEff", "/proc/self/status").out.split()[1]
    assert int(wide, 16) > int(plain, 16)


def test_detached(box: Daemon) -> None:
    box.docker("exec", "-d", "box", "sh", "-c", "echo done > /tmp/flag")
    script = "for i in 1 2 3 4 5 6 7 8 9 10; do [ -s /tmp/flag ] && cat /tmp/flag && exit; sleep 0.1; done; exit 1"
    assert box.docker("exec", "box", "sh", "-c", script).out == "done\n"


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (["nothing-here"], 127, 'exec: "nothing-here": executable file not found in $PATH'),
        (["/etc/passwd"], 126, "permission denied"),
        (["/no/such/file"], 127, "no such file or directory"),
    ],
)
def test_what_cannot_be_executed(box: Daemon, command: list[str], code: int, words: str) -> None:
    result = box.docker("exec", "box", *command, check=False)
    assert result.code == code, result
    assert words in result.err + result.out


def test_a_stopped_container_is_refused(box: Daemon) -> None:
    box.docker("kill", "box")
    box.docker("wait", "box")
    result = box.docker("exec", "box", "true", check=False)
    assert result.code == 1
    assert "is not running" in result.err


def test_many_at_once(box: Daemon) -> None:
    running = [box.docker_popen("exec", "box", "sh", "-c", f"echo {n}; exit {n}") for n in range(10)]
    for n, process in enumerate(running):
        out, _ = process.communicate(timeout=30)
        assert (process.returncode, out) == (n, f"{n}\n".encode())


def test_it_ends_with_the_container(box: Daemon) -> None:
    process = box.docker_popen("exec", "box", "sh", "-c", "echo in; sleep 1000")
    assert process.stdout is not None
    assert process.stdout.readline() == b"in\n"
    box.docker("kill", "box")
    assert process.wait(10) == 137
