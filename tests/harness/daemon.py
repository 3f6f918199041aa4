"""``Daemon``: an isolated berthd. Own roots, socket, bridge, address range, nft table and cgroup parent.

    with Daemon() as engine:
        engine.load_busybox()
        engine.docker("run", "--rm", "busybox", "true")

Roots lie in a short folder below /tmp (a unix socket path ends at 108 bytes). ``close`` removes whatever is left, also
after a daemon that died; ``start`` tells the daemon's own words when it does not come up.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from harness import cli, leaks
from harness.eventually import PATIENCE, eventually
from harness.images import busybox_archive

_LOCKS = "/run/lock/berth-tests" if os.path.isdir("/run/lock") else "/tmp/berth-tests-lock"


class Answer(NamedTuple):
    """What the API answered: ``body`` is decoded JSON where it is JSON, else text."""

    status: int
    body: Any
    headers: http.client.HTTPMessage


class Daemon:
    """One engine. ``flags`` are more flags of berthd; ``env`` more environment (failpoints)."""

    def __init__(self, *flags: str, env: Mapping[str, str] | None = None, root: str | None = None) -> None:
        self.root = root or tempfile.mkdtemp(prefix="bt", dir="/tmp")
        os.chmod(self.root, 0o755)
        self.data_root = f"{self.root}/d"
        self.run_root = f"{self.root}/r"
        self.socket = f"{self.root}/s"
        self.host = f"unix://{self.socket}"
        self.log_path = f"{self.root}/berthd.log"
        self.env = dict(env or {})
        self._lease, number = _lease_network()
        self.bridge = f"bt{os.getpid() % 0xFFFFF:05x}{number:02x}"
        self.gateway = f"10.231.{number}.1"
        self.pool = f"100.{64 + number // 4}.{64 * (number % 4)}.0/18"  # of its networks, a /24 each
        self.flags = list(flags)
        self.process: subprocess.Popen[bytes] | None = None
        self.at_rest = leaks.Picture()

    # --- life ---------------------------------------------------------------------------------------------------

    def command(self) -> list[str]:
        return [
            sys.executable, "-m", "berth.daemon.main",
            "--host", self.host, "--data-root", self.data_root, "--exec-root", self.run_root,
            "--pidfile", f"{self.root}/pid", "--bridge", self.bridge, "--bip", f"{self.gateway}/24",
            "--default-address-pool", f"base={self.pool},size=24", *self.flags,
        ]  # fmt: skip

    def start(self, timeout_s: float = 20.0) -> Daemon:
        """Spawn it and wait until it answers. Raises: AssertionError with its log."""
        self.spawn()
        self.wait_ready(timeout_s)
        return self

    def spawn(self) -> subprocess.Popen[bytes]:
        assert self.process is None or self.process.poll() is not None, "the daemon runs already"
        environ = {**os.environ, "PYTHONUNBUFFERED": "1", **self.env}
        with open(self.log_path, "ab") as out:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environ, start_new_session=True
            )
        return self.process

    def wait_ready(self, timeout_s: float = 20.0) -> None:
        def ready() -> bool:
            assert self.process is not None
            if self.process.poll() is not None:
                raise RuntimeError(f"berthd ended with {self.process.returncode} at its start:\n{self.log()}")
            return self.answers()

        try:
            eventually(ready, timeout_s, every_s=0.01, why="berthd answers")
        except AssertionError as err:
            raise AssertionError(f"{err}\n{self.log()}") from None

    def answers(self) -> bool:
        try:
            return self.api("GET", "/_ping", timeout_s=2).status == 200
        except (OSError, http.client.HTTPException):
            return False

    def stop(self, timeout_s: float = 30.0) -> int:
        """SIGTERM, and its exit status. Raises: AssertionError with its log when it stays."""
        return self._end(signal.SIGTERM, timeout_s)

    def kill9(self) -> None:
        self._end(signal.SIGKILL, 10)

    def _end(self, number: int, timeout_s: float) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        try:
            return self.process.wait(timeout_s * PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"berthd did not end within {timeout_s} s of signal {number}:\n{self.log()}") from None

    def restart(self) -> Daemon:
        self.stop()
        return self.start()

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def __enter__(self) -> Daemon:
        return self if self.running else self.start()

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the containers, end the daemon and everything of its instance, the roots included."""
        try:
            if self.running:
                try:
                    self.remove_all()
                    self.stop()
                except (AssertionError, OSError, http.client.HTTPException):
                    self.kill9()
        finally:
            self.sweep()
            if self._lease >= 0:
                os.close(self._lease)
                self._lease = -1

    def sweep(self) -> None:
        """Take away by force what an engine that is not running left."""
        ident = self.instance_id
        if ident:
            self.end_processes()
            _remove_cgroups(ident)
            for family in ("inet", "ip", "ip6", "bridge"):
                subprocess.run(["nft", "delete", "table", family, f"berth_{ident}"], capture_output=True)
        for name in (self.bridge, *leaks.bridges(ident)):
            subprocess.run(["ip", "link", "delete", name], capture_output=True)
        for point in reversed(_mounts_below(self.root)):
            subprocess.run(["umount", "-l", point], capture_output=True)
        shutil.rmtree(self.root, ignore_errors=True)

    def end_processes(self) -> None:
        """Kill what an engine that is not running left."""
        for _ in range(3):
            for pid, _name in list(leaks.processes(self.instance_id, self.run_root)):
                _kill(pid)
            time.sleep(0.02)
            if not list(leaks.processes(self.instance_id, self.run_root)):
                break

    # --- looking ------------------------------------------------------------------------------------------------

    @property
    def instance_id(self) -> str:
        try:
            with open(f"{self.data_root}/instance", encoding="ascii") as file:
                return file.read().strip()
        except OSError:
            return ""

    def log(self, last: int = 60) -> str:
        """The end of the daemon's log."""
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as file:
                return "".join(file.readlines()[-last:])
        except OSError:
            return ""

    def picture(self) -> leaks.Picture:
        return leaks.picture(
            self.instance_id, self.data_root, self.run_root, self.bridge, self.pid if self.running else None
        )

    def settled(self, rest_s: float = 1.0) -> leaks.Picture:
        """The picture once it stays the same: parked shims are made in the background, files deleted there."""
        last, since = self.picture(), time.monotonic()

        def same() -> bool:
            nonlocal last, since
            now = self.picture()
            if now != last:
                last, since = now, time.monotonic()
            return time.monotonic() - since > rest_s

        eventually(same, 20, every_s=0.1, why="the engine comes to rest")
        return last

    def assert_clean(self, before: leaks.Picture, timeout_s: float = 45.0) -> None:
        """Deferred deletion drains, then the picture equals ``before``."""

        def same() -> bool:
            left = leaks.difference(before, self.picture())
            assert not left, "left behind: " + "; ".join(left)
            return True

        eventually(same, timeout_s, every_s=0.1, why="the engine is as clean as before")

    # --- clients ------------------------------------------------------------------------------------------------

    def docker(
        self, *args: str, stdin: str | bytes | None = None, check: bool = True, timeout_s: float = 60.0,
        env: Mapping[str, str] | None = None,
    ) -> cli.Result:  # fmt: skip
        """The stock CLI against this engine."""
        command = [cli.docker_program(), *args]
        return cli.run(command, env=cli.client_environ(self.host, env), stdin=stdin, check=check, timeout_s=timeout_s)

    def berth(
        self, *args: str, stdin: str | bytes | None = None, check: bool = True, timeout_s: float = 60.0
    ) -> cli.Result:
        """Our own CLI against this engine."""
        command = [*cli.berth_command(), *args]
        return cli.run(command, env=cli.client_environ(self.host), stdin=stdin, check=check, timeout_s=timeout_s)

    def docker_popen(self, *args: str, **how: Any) -> subprocess.Popen[bytes]:
        """The stock CLI in the background, on pipes unless told otherwise."""
        how = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
        return subprocess.Popen([cli.docker_program(), *args], env=cli.client_environ(self.host), **how)

    def docker_pty(self, *args: str, rows: int = 24, cols: int = 80) -> cli.Pty:
        """The stock CLI on a pty."""
        return cli.Pty([cli.docker_program(), *args], env=cli.client_environ(self.host), rows=rows, cols=cols)

    def api(
        self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
    ) -> Answer:  # fmt: skip
        """One request of the Engine API. ``body``: bytes as they are, anything else as JSON."""
        connection = UnixConnection(self.socket, timeout_s * PATIENCE)
        try:
            raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
            given = {"Content-Type": "application/json", **(headers or {})} if raw is not None else dict(headers or {})
            connection.request(method, path, body=raw, headers=given)
            response = connection.getresponse()
            text = response.read()
            found = response.headers
        finally:
            connection.close()
        if (found.get("Content-Type") or "").startswith("application/json") and text:
            try:
                return Answer(response.status, json.loads(text), found)
            except ValueError:  # a stream of JSON objects
                pass
        return Answer(response.status, text.decode(errors="replace"), found)

    def inspect(self, ref: str) -> dict[str, Any]:
        answer = self.api("GET", f"/containers/{ref}/json")
        assert answer.status == 200, answer
        return dict(answer.body)

    def load_busybox(self, *tags: str) -> None:
        """busybox:latest (or ``tags``) from Debian's busybox-static."""
        path = f"{self.root}/busybox.tar"
        busybox_archive(path, tags or ("busybox:latest",))
        self.docker("load", "-q", "-i", path)
        os.unlink(path)

    def remove_all(self) -> None:
        """Every container, by force, and every network that a test made."""
        ids = [c["Id"] for c in self.api("GET", "/containers/json?all=1").body]
        for ident in ids:
            self.api("DELETE", f"/containers/{ident}?force=1&v=1")
        filters = "%7B%22type%22%3A%5B%22custom%22%5D%7D"  # {"type":["custom"]}
        for network in self.api("GET", f"/networks?filters={filters}").body or []:
            self.api("DELETE", f"/networks/{network['Id']}")


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout_s: float = 60.0) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _lease_network() -> tuple[int, int]:
    """A number of 0–255 that no other test process uses now; the lock lives as long as the descriptor.

    A bridge that a test process left when it was killed keeps its number too.
    """
    os.makedirs(_LOCKS, exist_ok=True)
    with open("/proc/net/fib_trie", encoding="ascii") as routes:
        in_use = set(re.findall(r"10\.231\.(\d+)\.1\s", routes.read()))
    for number in range(256):
        if str(number) in in_use:
            continue
        fd = os.open(f"{_LOCKS}/{number}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd, number
        except OSError:
            os.close(fd)
    raise RuntimeError("256 test daemons at once?")


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _remove_cgroups(instance_id: str) -> None:
    for folder in sorted(leaks.cgroup_dirs(instance_id), key=len, reverse=True):
        try:
            os.rmdir(folder)
        except OSError:
            pass


def _mounts_below(root: str) -> list[str]:
    with open("/proc/self/mountinfo", encoding="utf-8") as table:
        points = [line.split()[4] for line in table]
    return [point for point in points if point == root or point.startswith(f"{root}/")]


__all__: Sequence[str] = ["Answer", "Daemon", "UnixConnection"]
