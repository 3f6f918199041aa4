"""Who may use the socket: root and the members of its group, nobody else."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable

import pytest

from harness import cli
from harness.daemon import Daemon

pytestmark = pytest.mark.root

GROUP = 54321  # a group that needs no entry in /etc/group


def as_user(engine: Daemon, groups: str, *args: str) -> subprocess.CompletedProcess[str]:
    """The stock CLI as uid 12345 with supplementary ``groups``."""
    command = ["setpriv", "--reuid", "12345", "--regid", "12345", "--groups", groups, cli.docker_program(), *args]
    environ = cli.client_environ(engine.host, {"HOME": "/nonexistent", "DOCKER_CONFIG": "/nonexistent"})
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)


def test_members_of_the_group_need_no_sudo(make_daemon: Callable[..., Daemon]) -> None:
    engine = make_daemon("--group", str(GROUP))
    found = os.stat(engine.socket)
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o660, 0, GROUP)
    member = as_user(engine, str(GROUP), "run", "--rm", "busybox", "echo", "as a member")
    assert (member.returncode, member.stdout) == (0, "as a member\n"), member.stderr
    stranger = as_user(engine, "12345", "ps")
    assert stranger.returncode == 1
    assert "permission denied" in stranger.stderr
