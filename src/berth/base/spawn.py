"""The one place that starts programs.

Every program of ours or of the host's that Berth executes goes through here, so that file descriptors,
environment and signal dispositions are given on purpose, and so that a reader can list what Berth runs.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence


def start(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
    executable: str | None = None,
    stdin: int | None = subprocess.DEVNULL,
    stdout: int | None = None,
    stderr: int | None = None,
    new_session: bool = False,
    cwd: str | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program; the caller owns the process. Raises: OSError when it cannot be executed."""
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
    return subprocess.run(list(argv), input=stdin, capture_output=True, timeout=timeout_s, check=False)
