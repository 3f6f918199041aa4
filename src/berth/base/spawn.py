"""The one place that starts programs.

Every program of ours or of the host's that Berth executes goes through here, so that file descriptors,
environment and signal dispositions are given on purpose, and so that a reader can list what Berth runs.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

DEVNULL = -3
"""``subprocess.DEVNULL``: that module is imported where it is used, for a shim has no room for it."""


def start(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
    executable: str | None = None,
    stdin: int | None = DEVNULL,
    stdout: int | None = None,
    stderr: int | None = None,
    new_session: bool = False,
    cwd: str | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program; the caller owns the process. Raises: OSError when it cannot be executed."""
    import subprocess

    return subprocess.Popen(
        list(argv),
        executable=executable,
        env=dict(env) if env is not None else None,
        pass_fds=tuple(pass_fds),
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=new_session,
        cwd=cwd,
    )


def run(
    argv: Sequence[str], *, timeout_s: float = 60.0, stdin: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end and return its output; the exit status is the caller's to judge."""
    import subprocess

    return subprocess.run(list(argv), input=stdin, capture_output=True, timeout=timeout_s, check=False)


_IGNORED = (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD)


def call(
    argv: Sequence[str], *, env: Mapping[str, str], stdio: Sequence[int] = (), timeout_s: float
) -> int:  # fmt: skip
    """Run a program to its end, in a process that has no more than this module: a shim. Returns its exit status.

    ``stdio``: its three streams, /dev/null without them. A signal that ended it is a negative status.
    Raises: OSError when it cannot be executed, TimeoutError (it is dead then).
    """
    actions: list[tuple[int, int, int] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(stdio)
    ]
    if not stdio:
        actions = [(os.POSIX_SPAWN_OPEN, number, "/dev/null", os.O_RDWR, 0) for number in range(3)]
    pid = os.posix_spawn(argv[0], list(argv), env, file_actions=actions, setsigdef=_IGNORED, setsigmask=())
    pidfd = os.pidfd_open(pid)
    try:
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        in_time = bool(poller.poll(timeout_s * 1000))
        if not in_time:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        os.close(pidfd)
    if not in_time:
        raise TimeoutError(f"{argv[0]} took longer than {timeout_s:.0f} s")
    return status
