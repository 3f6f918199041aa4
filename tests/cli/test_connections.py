"""The ways to an engine: ssh through ``system dial-stdio``, TLS with half-close; by our client and the stock one."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import cli
from harness.certificates import for_docker
from harness.daemon import Daemon
from harness.ports import free_port

pytestmark = pytest.mark.root
MakeDaemon = Callable[..., Daemon]

_SSH = """#!/bin/sh
# what is asked of the other side, and then this side in its place
echo "$@" >> {log}
while [ $# -gt 0 ]; do case "$1" in -o|-l|-p) shift 2;; -*) shift;; *) break;; esac; done
host=$1; shift
[ "$host" = nowhere ] && {{ echo "ssh: Could not resolve hostname nowhere" >&2; exit 255; }}
DOCKER_HOST={engine} PATH={bin}:$PATH exec sh -c "$*"
"""


@pytest.fixture
def ssh(engine: Daemon, tmp_path: Path) -> dict[str, str]:
    """An environment in which ``ssh`` is a stand-in that runs the command here, where ``docker`` is our own client."""
    there = tmp_path / "there"
    there.mkdir()
    (there / "docker").write_text(f'#!/bin/sh\nexec {sys.executable} -m berth.cli.main "$@"\n')
    (there / "docker").chmod(0o755)
    here = tmp_path / "here"
    here.mkdir()
    (here / "ssh").write_text(_SSH.format(log=tmp_path / "asked", engine=engine.host, bin=there))
    (here / "ssh").chmod(0o755)
    path = f"{here}:{os.environ['PATH']}"
    return cli.client_environ("ssh://me@other.example:2222", {"PATH": path, "ASKED": str(tmp_path / "asked")})


@pytest.mark.parametrize("client", ["berth", "docker"])
def test_ssh(ssh: dict[str, str], client: str) -> None:
    program = cli.berth_command() if client == "berth" else [cli.docker_program()]
    assert cli.run([*program, "run", "--rm", "-i", "busybox", "cat"], env=ssh, stdin="over ssh\n").out == "over ssh\n"
    assert cli.run([*program, "run", "--rm", "busybox", "sh", "-c", "exit 5"], env=ssh, check=False).code == 5
    asked = Path(ssh["ASKED"]).read_text()
    assert "other.example" in asked and "2222" in asked and "dial-stdio" in asked


def test_ssh_says_why_there_is_no_engine(ssh: dict[str, str]) -> None:
    found = cli.run([*cli.berth_command(), "ps"], env={**ssh, "DOCKER_HOST": "ssh://nowhere"}, check=False)
    assert found.code == 1
    assert "Could not resolve hostname nowhere" in found.err
    found = cli.run([*cli.berth_command(), "ps"], env={**ssh, "DOCKER_HOST": "ssh://a:secret@b"}, check=False)
    assert "plain-text password" in found.err and "secret" not in found.err


def test_tls_half_close(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    """What a client sends after its output began arrives whole, and its end is seen as the end, on exec and on run."""
    for_docker(str(tmp_path))
    port = free_port()
    make_daemon(
        "--host", f"tcp://127.0.0.1:{port}", "--tlsverify", "--tlscacert", f"{tmp_path}/ca.pem",
        "--tlscert", f"{tmp_path}/server-cert.pem", "--tlskey", f"{tmp_path}/server-key.pem",
    )  # fmt: skip
    environ = cli.client_environ(
        f"tcp://127.0.0.1:{port}", {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path)}
    )

    def berth(*words: str, stdin: str | None = None, check: bool = True) -> cli.Result:
        return cli.run([*cli.berth_command(), *words], env=environ, stdin=stdin, check=check)

    text = "line\n" * 50_000
    assert berth("run", "--rm", "-i", "busybox", "sh", "-c", "cat; echo end", stdin=text).out == text + "end\n"
    berth("run", "-d", "--name", "held", "busybox", "sleep", "1000")
    assert berth("exec", "-i", "held", "sh", "-c", "cat; echo end", stdin=text).out == text + "end\n"
    assert berth("exec", "held", "cat", stdin="not read").out == ""
    without = cli.client_environ(f"tcp://127.0.0.1:{port}")
    assert "HTTPS" in cli.run([*cli.berth_command(), "ps"], env=without, check=False).err
    flags = ("--tlsverify", "--tlscacert", f"{tmp_path}/ca.pem", "--tlscert", f"{tmp_path}/cert.pem")
    assert cli.run([*cli.berth_command(), *flags, "--tlskey", f"{tmp_path}/key.pem", "ps", "-q"], env=without).out
