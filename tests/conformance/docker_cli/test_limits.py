"""Limits for memory, processors and processes: written, seen from inside, enforced."""

from __future__ import annotations

import os

import pytest

from harness.daemon import Daemon

pytestmark = pytest.mark.root

V2 = os.path.exists("/sys/fs/cgroup/cgroup.controllers")


def inside(engine: Daemon, flag: str, value: str, v1: str, v2: str) -> str:
    """What the container's own cgroup says about a limit."""
    path = f"/sys/fs/cgroup/{v2 if V2 else v1}"
    return engine.docker("run", "--rm", flag, value, "busybox", "cat", path).out.strip()


def test_memory(engine: Daemon) -> None:
    assert inside(engine, "--memory", "64m", "memory/memory.limit_in_bytes", "memory.max") == str(64 << 20)


def test_memory_below_what_a_container_needs_is_refused(engine: Daemon) -> None:
    result = engine.docker("run", "--rm", "--memory", "1m", "busybox", "true", check=False)
    assert result.code == 125
    assert "Minimum memory limit allowed is 6MB" in result.err


def test_cpus(engine: Daemon) -> None:
    found = inside(engine, "--cpus", "0.5", "cpu/cpu.cfs_quota_us", "cpu.max")
    assert found in ("50000", "50000 100000")


def test_more_cpus_than_there_are_is_refused(engine: Daemon) -> None:
    result = engine.docker("run", "--rm", "--cpus", "10000", "busybox", "true", check=False)
    assert result.code == 125
    assert "range of CPUs is from 0.01 to" in result.err


def test_pids(engine: Daemon) -> None:
    assert inside(engine, "--pids-limit", "17", "pids/pids.max", "pids.max") == "17"


def test_a_fork_bomb_ends_at_the_limit(engine: Daemon) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 3 & done; wait"
    result = engine.docker("run", "--rm", "--pids-limit", "5", "busybox", "sh", "-c", script, check=False)
    assert "fork" in result.err


def test_too_much_memory_is_killed_and_told(engine: Daemon) -> None:
    script = "tail -c 200m /dev/zero | wc -c"
    engine.docker(
        "run", "--name", "hungry", "--memory", "20m", "--memory-swap", "20m", "busybox", "sh", "-c", f"exec {script}",
        check=False,
    )  # fmt: skip
    engine.docker("rm", "hungry")
    engine.docker(
        "run", "--name", "hungry", "--memory", "20m", "--memory-swap", "20m", "busybox", "tail", "-c", "200m", "/dev/zero",
        check=False,
    )  # fmt: skip
    state = engine.inspect("hungry")["State"]
    assert (state["ExitCode"], state["OOMKilled"]) == (137, True)


def test_the_limits_are_reported(engine: Daemon) -> None:
    engine.docker("create", "--name", "limited", "--memory", "64m", "--cpus", "1.5", "--pids-limit", "9", "busybox")
    host = engine.inspect("limited")["HostConfig"]
    assert (host["Memory"], host["NanoCpus"], host["PidsLimit"]) == (64 << 20, 1_500_000_000, 9)
