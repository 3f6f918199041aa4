"""``--exec-opt native.cgroupdriver=systemd``: every container is a scope that systemd made, with its limits as properties.

These run in the virtual machine of ``./dev test-vm``.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

import pytest

from harness.daemon import Daemon
from harness.eventually import eventually

pytestmark = [pytest.mark.vm, pytest.mark.root]


def show(unit: str, name: str) -> str:
    done = subprocess.run(
        ["systemctl", "show", "-p", name, "--value", unit], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_containers_life(make_daemon: Callable[..., Daemon]) -> None:
    engine = make_daemon("--exec-opt", "native.cgroupdriver=systemd")
    assert engine.docker("info", "-f", "{{.CgroupDriver}}").out.strip() == "systemd"
    ident = engine.docker(
        "run", "-d", "--name", "scoped", "--memory", "64m", "--pids-limit", "50", "busybox", "sleep", "1000"
    ).out.strip()
    unit = f"berth-{engine.instance_id}-{ident}.scope"
    group = f"/sys/fs/cgroup/system.slice/{unit}"
    assert show(unit, "ActiveState") == "active"
    assert show(unit, "MemoryMax") == str(64 << 20) and show(unit, "TasksMax") == "50"
    pid = engine.inspect("scoped")["State"]["Pid"]
    with open(f"{group}/cgroup.procs", encoding="ascii") as file:
        assert str(pid) in file.read().split()
    assert engine.docker("exec", "scoped", "cat", "/proc/self/cgroup").out == "0::/\n"
    engine.docker("update", "--memory", "96m", "--memory-swap", "96m", "scoped")
    assert show(unit, "MemoryMax") == str(96 << 20)
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    with open(f"{group}/memory.max", encoding="ascii") as file:
        assert file.read().strip() == str(96 << 20)
    engine.docker("pause", "scoped")
    engine.docker("unpause", "scoped")
    assert "96MiB" in engine.docker("stats", "--no-stream", "scoped").out
    refused = engine.docker("exec", "scoped", "sh", "-c", "cat /dev/kmsg", check=False)
    assert refused.code != 0
    engine.docker("rm", "-f", "scoped")
    eventually(lambda: not os.path.exists(group), why="the scope is gone")


def test_a_slice_of_ones_own(make_daemon: Callable[..., Daemon]) -> None:
    engine = make_daemon("--exec-opt", "native.cgroupdriver=systemd")
    refused = engine.docker("run", "--rm", "--cgroup-parent", "/not/a/slice", "busybox", "true", check=False)
    assert 'cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"' in refused.err
    ident = engine.docker("run", "-d", "--cgroup-parent", "berth-tests.slice", "busybox", "sleep", "1000").out.strip()
    assert os.path.isdir(f"/sys/fs/cgroup/berth.slice/berth-tests.slice/berth-{engine.instance_id}-{ident}.scope")
    engine.docker("rm", "-f", ident)
    subprocess.run(["systemctl", "stop", "berth-tests.slice", "berth.slice"], check=True)
