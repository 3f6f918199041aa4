"""The client of a checkout, ``./berth``: finds this machine's Berth, starts it when none answers, then runs the command.

Only for callers that named no engine: ``DOCKER_HOST``, ``-H`` and ``--context`` mean what they say, and nothing is started.
A Berth is told by the ``Server: Berth/`` header of its ``/_ping``; a dockerd is never taken for one.
"""

from __future__ import annotations

import sys

from berth.client import environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

DOCKER_SOCKET = "/var/run/docker.sock"
OWN_SOCKET = "/run/berth/berth.sock"
LOG = "/var/log/berthd.log"
LOG_KEPT_BYTES = 10 << 20
READY_TIMEOUT_S = 60.0
_OWN_LOCK = "/run/berth-launch.lock"  # not below /run/berth, which the daemon may mount
_PING = b"HEAD /_ping HTTP/1.1\r\nHost: berth\r\nConnection: close\r\n\r\n"
_WITHOUT_ENGINE = frozenset({"", "help", "--help", "-h", "--version", "-v", "completion", "context", "login", "logout"})
_GROUPS = frozenset({"builder", "container", "image", "manifest", "network", "system", "volume"})
_FLAGS_WITH_VALUE = frozenset({"--config", "-l", "--log-level", "--tlscacert", "--tlscert", "--tlskey"})


def main() -> int:
    """Run the client's command against this machine's Berth; its exit status."""
    if _unnamed() and wants_local(sys.argv[1:]):
        address = find()
        if address is None:
            try:
                address = start()
            except OSError as err:
                print(f"berth: {err}", file=sys.stderr)
                return 125
        import os

        os.environ["DOCKER_HOST"] = f"unix://{address}"
    from berth.cli.main import program

    program()
    return 0


def _unnamed() -> bool:
    """Whether neither the environment nor the configuration names an engine."""
    if environment.get("DOCKER_HOST") or environment.get("DOCKER_CONTEXT"):
        return False
    from berth.cli import config

    return config.text("currentContext") in ("", "default")


def wants_local(args: Sequence[str]) -> bool:
    """Whether a command line needs an engine and names none."""
    rest = list(args)
    while rest and rest[0].startswith("-"):
        flag = rest.pop(0)
        if flag.startswith(("-H", "--host", "-c", "--context")) and not flag.startswith("--config"):
            return False
        if flag in _WITHOUT_ENGINE:
            return False
        if flag in _FLAGS_WITH_VALUE and rest:
            rest.pop(0)
    command = rest[0] if rest else ""
    if command in _GROUPS:
        return len(rest) > 1 and "--help" not in rest[1:3]
    return command not in _WITHOUT_ENGINE and rest[1:2] != ["--help"]


def find() -> str | None:
    """The socket where a Berth answers, Docker's own place first."""
    return next((path for path in (DOCKER_SOCKET, OWN_SOCKET) if is_berth(path)), None)


def is_berth(path: str) -> bool:
    """Whether the engine behind a unix socket calls itself Berth. Somebody else, nobody or silence is a no."""
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2.0)
        try:
            probe.connect(path)
            probe.sendall(_PING)
            head = b""
            while b"\r\n\r\n" not in head and len(head) < 8192:
                chunk = probe.recv(4096)
                if not chunk:
                    break
                head += chunk
        except OSError:
            return False
    return b"\r\nserver: berth/" in head.lower()


def start() -> str:
    """Start berthd with its defaults, detached, and wait until it answers; returns its socket.

    Raises: OSError with a sentence when this user may not, or when it does not come up (with its last words).
    """
    import os

    if os.geteuid() != 0:
        raise OSError(
            "no Berth answers on this machine, and only root can start one: sudo ./berth info. "
            "(Where one runs, members of the group docker need no sudo.)"
        )
    import fcntl

    with open(_OWN_LOCK, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of two first commands one starts it, the other finds it
        return find() or _spawn()


def _spawn() -> str:
    import os
    import time

    from berth.base import spawn

    print(f"berth: no Berth answers here: starting berthd (its log: {LOG})", file=sys.stderr)
    if os.path.exists(LOG) and os.path.getsize(LOG) > LOG_KEPT_BYTES:
        os.replace(LOG, LOG + ".1")
    with open(LOG, "ab") as log:
        begin = log.tell()
        process = spawn.start(
            [sys.executable, "-m", "berth.daemon.main"],
            stdout=log.fileno(),
            stderr=log.fileno(),
            new_session=True,
            cwd="/",
        )
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline:
        address = find()
        if address is not None:
            if address != DOCKER_SOCKET:
                print(f"berth: another engine has {DOCKER_SOCKET}; for other clients:", file=sys.stderr)
                print(f"export DOCKER_HOST=unix://{address}", file=sys.stderr)
            return address
        if process.poll() is not None:
            raise OSError(f"berthd ended with status {process.returncode} at its start:\n{_tail(begin)}")
        time.sleep(0.02)
    raise OSError(f"berthd did not answer within {READY_TIMEOUT_S:.0f} s:\n{_tail(begin)}")


def _tail(begin: int) -> str:
    """The last lines of the daemon's log since ``begin``."""
    with open(LOG, encoding="utf-8", errors="replace") as log:
        log.seek(begin)
        return "\n".join(log.read().splitlines()[-15:])
