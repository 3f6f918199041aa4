"""``python -m bench.first_byte [RUNS]``: from starting a client to its first byte on the wire, ours beside docker's.

A socket that nobody serves takes the connection; the clock stops when the first byte is there. The two take turns, so that
whatever else the machine does meets both. No engine is needed.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

HOME = Path(__file__).resolve().parent.parent
COMMANDS: dict[str, tuple[str, ...]] = {
    "ps": ("ps",),
    "run": ("run", "--rm", "busybox", "true"),
    "exec": ("exec", "name", "true"),
}


class Figures(NamedTuple):
    """Milliseconds of one command line: the medians and the shortest of each client."""

    command: str
    docker_ms: float
    berth_ms: float
    docker_min_ms: float
    berth_min_ms: float

    @property
    def ratio(self) -> float:
        return self.berth_ms / self.docker_ms


class Wire:
    """A unix socket that takes clients and says nothing."""

    def __init__(self, folder: str) -> None:
        self.path = f"{folder}/s"
        self.environ = {**os.environ, "DOCKER_HOST": f"unix://{self.path}", "DOCKER_CONFIG": folder}
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(self.path)
        self._server.listen(8)

    def first_byte_s(self, command: Sequence[str]) -> float:
        """Seconds until ``command`` has sent its first byte; it is then killed."""
        self._drain()
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self.environ)
        try:
            self._server.settimeout(30)
            client, _ = self._server.accept()
            with client:
                client.recv(1)
                return time.perf_counter() - begin
        finally:
            process.kill()
            process.wait()

    def _drain(self) -> None:
        """Forget connections that clients made again before they were killed."""
        self._server.setblocking(False)
        try:
            while True:
                self._server.accept()[0].close()
        except BlockingIOError:
            self._server.setblocking(True)

    def close(self) -> None:
        self._server.close()


def measure(docker: str, runs: int = 20) -> list[Figures]:
    """Every command line, ``runs`` times each client, in turns."""
    found = []
    with tempfile.TemporaryDirectory(prefix="firstbyte") as folder:
        wire = Wire(folder)
        for name, words in COMMANDS.items():
            times: dict[str, list[float]] = {docker: [], str(HOME / "berth"): []}
            for _ in range(runs):
                for program, taken in times.items():
                    taken.append(wire.first_byte_s([program, *words]) * 1000)
            theirs, ours = times.values()
            found.append(Figures(name, statistics.median(theirs), statistics.median(ours), min(theirs), min(ours)))
        wire.close()
    return found


def main() -> int:
    sys.path.insert(0, str(HOME / "tools"))
    from docker_cli import ensure

    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    print(f"{'':8}{'docker':>16}{'berth':>16}{'ratio':>8}   ms to the first byte, median (shortest), {runs} runs")
    for row in measure(ensure(), runs):
        docker = f"{row.docker_ms:.1f} ({row.docker_min_ms:.1f})"
        print(f"{row.command:8}{docker:>16}{f'{row.berth_ms:.1f} ({row.berth_min_ms:.1f})':>16}{row.ratio:>8.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
