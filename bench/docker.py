"""``python -m bench.docker -- COMMAND...``: a command with Docker beside it, in the same room.

Starts Docker, sets ``BERTH_TEST_AGAINST`` to its socket, runs COMMAND in the room's network and stops Docker again. That is
how the conformance tests are held against Docker itself.
"""

from __future__ import annotations

import os
import subprocess
import sys

from bench.engines import Docker


def main() -> int:
    engine = Docker()
    try:
        engine.start()
        command = ["nsenter", "-t", str(engine.pid), "-n", *sys.argv[2:]]
        return subprocess.run(command, env={**os.environ, "BERTH_TEST_AGAINST": engine.host}).returncode
    finally:
        engine.close()


if __name__ == "__main__":
    sys.exit(main())
