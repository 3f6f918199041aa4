"""The two engines of the bench: started in rooms of their own, loaded with the same busybox, driven by the same CLI."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import memory, peer, rooms

HOME = Path(__file__).resolve().parent.parent


class Engine:
    """An engine in a room. ``work`` holds its data, sockets and log; ``close`` takes everything away."""

    name = ""

    def __init__(self) -> None:
        self.work = Path(tempfile.mkdtemp(prefix="bench", dir="/var/tmp"))
        self.work.chmod(0o755)
        self.socket = str(self.work / "s")
        self.host = f"unix://{self.socket}"
        self.log = self.work / "log"
        self.process: subprocess.Popen[bytes] | None = None
        self.version = ""

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def command(self) -> list[str]:
        """The daemon's command line, to be run in the room."""
        raise NotImplementedError

    def room(self) -> list[str]:
        """Flags of the room."""
        return []

    def start(self, timeout_s: float = 60.0) -> None:
        """Raises: RuntimeError with its log when it does not come up."""
        environ = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, rooms.__file__, *self.room(), "--", *self.command()],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environ, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + timeout_s
        while not memory.ping(self.socket):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} does not come up:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.05)

    def engine_pids(self) -> list[int]:
        """The engine's own processes (shims too), not what runs in its containers."""
        below = set(memory.descendants(self.pid)) | set(memory.with_command(self.work.name))
        return [pid for pid in below if not self.in_container(pid)]

    def in_container(self, pid: int) -> bool:
        raise NotImplementedError

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.sweep()
        shutil.rmtree(self.work, ignore_errors=True)

    def sweep(self) -> None:
        """What outlives the daemon and is the engine's own."""


class Docker(Engine):
    """dockerd with a containerd of its own, from Debian's newest suite.

    It keeps its images in containerd, as Docker 29 does by default; ``BERTH_BENCH_STORE=graph`` is what 28 does unasked.
    """

    name = "Docker"

    def __init__(self) -> None:
        super().__init__()
        self.cgroup = "/" + self.work.name
        self.store = os.environ.get("BERTH_BENCH_STORE", "containerd")

    def room(self) -> list[str]:
        return ["--root", str(peer.ensure_root()), "--bind", str(self.work)]

    def command(self) -> list[str]:
        return [
            "/usr/sbin/dockerd", "--host", self.host, "--data-root", f"{self.work}/data",
            "--exec-root", f"/run/{self.work.name}",  # the room's /run is a tmpfs, as everywhere
            "--pidfile", f"{self.work}/pid", "--cgroup-parent", self.cgroup,
            "--feature", f"containerd-snapshotter={str(self.store == 'containerd').lower()}",
        ]  # fmt: skip

    def in_container(self, pid: int) -> bool:
        return memory.in_cgroup(pid, self.cgroup + "/")

    def sweep(self) -> None:
        memory.remove_cgroup(self.cgroup)


class Berth(Engine):
    """berthd of this checkout."""

    name = "Berth"

    def command(self) -> list[str]:
        return [
            sys.executable, "-m", "berth.daemon.main", "--host", self.host, "--data-root", f"{self.work}/data",
            "--exec-root", f"{self.work}/run", "--pidfile", f"{self.work}/pid",
        ]  # fmt: skip

    def in_container(self, pid: int) -> bool:
        """A container's program has a command line of its own; an engine's process has one of the engine's."""
        return memory.in_cgroup(pid, "/berth-") and pid not in memory.with_command(str(self.work))

    def sweep(self) -> None:
        instance = self.work / "data" / "instance"
        ident = instance.read_text().strip() if instance.exists() else ""
        for pid in memory.with_command(str(self.work)):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for point in memory.mounts_below(str(self.work)):
            subprocess.run(["umount", "-l", point], capture_output=True)
        if ident:
            time.sleep(0.2)
            memory.remove_cgroup(f"/berth-{ident}")


ENGINES: dict[str, type[Engine]] = {"berth": Berth, "docker": Docker}
