"""Another engine in a daemon's place, to test the tests: ``BERTH_TEST_AGAINST=unix:///path`` in the environment.

What a conformance test says about the stock CLI must hold for Docker itself. ``python -m bench.docker -- pytest ...`` starts
Docker in a room and runs a command against it.
"""

from __future__ import annotations

import os
import tempfile

from harness import leaks
from harness.daemon import Daemon

ADDRESS = os.environ.get("BERTH_TEST_AGAINST", "")


class Reference(Daemon):
    """Somebody else's engine: never started, stopped or looked into."""

    def __init__(self, address: str) -> None:
        self.at_rest = leaks.Picture()
        self.root = tempfile.mkdtemp(prefix="bt", dir="/tmp")
        self.host = address
        self.socket = address.removeprefix("unix://")

    def start(self, timeout_s: float = 20.0) -> Reference:
        return self

    def close(self) -> None:
        os.rmdir(self.root)

    def picture(self) -> leaks.Picture:
        return leaks.Picture()

    def settled(self, rest_s: float = 0.0) -> leaks.Picture:
        return leaks.Picture()

    @property
    def running(self) -> bool:
        return True
