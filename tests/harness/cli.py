"""The stock docker CLI as tests run it: no configuration of the user's, one engine, output captured or on a pty."""

from __future__ import annotations

import atexit
import fcntl
import functools
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from harness.eventually import PATIENCE


class Result(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str
    command: Sequence[str]

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@functools.cache
def docker_program() -> str:
    """The stock CLI: ``BERTH_TEST_DOCKER``, else ``docker`` of the PATH."""
    found = os.environ.get("BERTH_TEST_DOCKER") or shutil.which("docker")
    if not found:
        raise RuntimeError("these tests drive the stock docker CLI, and there is none: ./dev setup fetches one")
    return found


def berth_command() -> list[str]:
    """Our own CLI, from this interpreter."""
    return [sys.executable, "-m", "berth.cli.main"]


@functools.cache
def _empty_config() -> str:
    folder = tempfile.mkdtemp(prefix="berth-test-dockerconfig")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def client_environ(host: str, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a client: nothing of the caller's Docker settings, ``host`` as the engine."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DOCKER_", "BUILDKIT_", "COMPOSE_"))}
    return {**kept, "DOCKER_HOST": host, "DOCKER_CONFIG": _empty_config(), "DOCKER_CLI_HINTS": "false", **(extra or {})}


def run(
    command: Sequence[str], *, env: Mapping[str, str], stdin: str | bytes | None = None, check: bool = True,
    timeout_s: float = 60.0, cwd: str | None = None,
) -> Result:  # fmt: skip
    """Run ``command`` to its end. ``check``: a nonzero exit is an AssertionError that shows both streams."""
    raw = stdin.encode() if isinstance(stdin, str) else stdin
    how = {"stdin": subprocess.DEVNULL} if raw is None else {"input": raw}
    try:
        done = subprocess.run(command, env=dict(env), capture_output=True, timeout=timeout_s * PATIENCE, cwd=cwd, **how)
    except subprocess.TimeoutExpired as err:
        raise AssertionError(
            f"{' '.join(command)} did not end within {timeout_s} s\nstdout: {_text(err.stdout)}\nstderr: {_text(err.stderr)}"
        ) from None
    result = Result(done.returncode, _text(done.stdout), _text(done.stderr), command)
    if check and result.code:
        raise AssertionError(
            f"{' '.join(command)} ended with {result.code}\nstdout: {result.out}\nstderr: {result.err}"
        )
    return result


def _text(raw: bytes | str | None) -> str:
    return raw.decode(errors="replace") if isinstance(raw, bytes) else (raw or "")


class Pty:
    """A command on a pseudo terminal of its own, as its session's controlling terminal."""

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str], rows: int = 24, cols: int = 80) -> None:
        self.seen = b""
        self._code: int | None = None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
                os.execvpe(command[0], list(command), dict(env))
            finally:
                os._exit(127)
        self.resize(rows, cols)

    def send(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def expect(self, pattern: str, timeout_s: float = 10.0) -> str:
        """Read until ``pattern`` (a regular expression) is found; consumes up to its end and returns that text."""
        deadline = time.monotonic() + timeout_s * PATIENCE
        while True:
            found = re.search(pattern.encode(), self.seen, re.DOTALL)
            if found:
                text, self.seen = self.seen[: found.end()], self.seen[found.end() :]
                return text.decode(errors="replace")
            if not self._read(deadline - time.monotonic()):
                raise AssertionError(f"{pattern!r} did not come; seen so far: {self.seen.decode(errors='replace')!r}")

    def _read(self, timeout_s: float) -> bool:
        if timeout_s <= 0 or not select.select([self.fd], [], [], timeout_s)[0]:
            return False
        try:
            chunk = os.read(self.fd, 65536)
        except OSError:  # EIO: the other side has been closed
            return False
        self.seen += chunk
        return bool(chunk)

    def resize(self, rows: int, cols: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def wait(self, timeout_s: float = 10.0) -> int:
        """The exit status; reads on meanwhile so that the program never blocks on its terminal."""
        deadline = time.monotonic() + timeout_s * PATIENCE
        while self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
                while self._read(0.05):
                    pass
                break
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"the command on the pty did not end; seen: {self.seen.decode(errors='replace')!r}"
                )
            self._read(0.05)
        return self._code

    def close(self) -> None:
        """End it whatever it does."""
        if self._code is None:
            try:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass
        try:
            os.close(self.fd)
        except OSError:
            pass

    def __enter__(self) -> Pty:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
