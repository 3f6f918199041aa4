"""A restart did not wait until the last run's shim had let go.

A container's control group and its shim's folder have the same names in every run. After a stop the old shim removes them, and
kills what is still in the group: a new run that had taken the name meanwhile died of it ("the container's init died while it
was set up"), or lost its socket.
Fails when: ``_launch`` in ``engine/containers/start.py`` does not wait for ``container.leaving``, and the machine is busy.
"""

from __future__ import annotations

import os

import pytest

from harness.daemon import Daemon

pytestmark = pytest.mark.root

ROUNDS = 6


def test_restarts_in_a_row_on_a_busy_machine(engine: Daemon) -> None:
    """Containers that restart at the same time keep each other's old shims from running soon."""
    names = [f"again{number}" for number in range(4)]
    for name in names:
        engine.docker("run", "-d", "--name", name, "--network", "none", "busybox", "sleep", "1000")
    for _ in range(ROUNDS):
        engine.docker("restart", "-t", "0", *names)
    for name in names:
        found = engine.api("GET", f"/containers/{name}/json").body
        assert found["State"]["Running"], found["State"]
        assert engine.docker("exec", name, "true", check=False).code == 0
        assert os.path.exists(f"{engine.run_root}/c/{found['Id'][:32]}/shim.sock")
