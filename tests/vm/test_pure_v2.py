"""Pure cgroup v2 under systemd, as most hosts are today: limits, device rules by BPF, huge pages, limits that may be raised.

These run in the virtual machine of ``./dev test-vm``.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.attack import RUNTIME, Bundle
from harness.daemon import Daemon

pytestmark = [pytest.mark.vm, pytest.mark.root]


def inside(engine: Daemon, *flags: str, script: str) -> str:
    return engine.docker("run", "--rm", *flags, "busybox", "sh", "-c", script, timeout_s=300).out.strip()


def test_info_tells_the_version(engine: Daemon) -> None:
    assert engine.docker("info", "-f", "{{.CgroupVersion}}").out.strip() == "2"


@pytest.mark.parametrize(("flags", "file", "value"), [
    (["--memory", "64m", "--memory-swap", "96m"], "memory.max", str(64 << 20)),
    (["--memory", "64m", "--memory-swap", "96m"], "memory.swap.max", str(32 << 20)),
    (["--memory-reservation", "32m"], "memory.low", str(32 << 20)),
    (["--cpus", "1.5"], "cpu.max", "150000 100000"),
    (["--cpu-shares", "512"], "cpu.weight", "20"),
    (["--cpuset-cpus", "1"], "cpuset.cpus", "1"),
    (["--pids-limit", "77"], "pids.max", "77"),
])  # fmt: skip
def test_limits(engine: Daemon, flags: list[str], file: str, value: str) -> None:
    """The container sees its own group at /sys/fs/cgroup, and the limit in it."""
    assert inside(engine, *flags, script=f"cat /sys/fs/cgroup/{file}") == value


def test_memory_above_the_limit_is_killed_and_said(engine: Daemon) -> None:
    script = "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo survived"
    result = engine.docker(
        "run", "--name", "eater", "--memory", "32m", "--memory-swap", "32m", "busybox", "sh", "-c", script,
        check=False, timeout_s=600,
    )  # fmt: skip
    assert "survived" not in result.out
    assert engine.inspect("eater")["State"]["OOMKilled"] is True


def test_devices_are_refused_by_the_groups_program(engine: Daemon) -> None:
    """mknod is permitted (CAP_MKNOD), using what was made is not; what was given is."""
    script = "mknod /k b 254 16 2>&1; dd if=/k of=/dev/null count=1 2>&1 | head -1; head -c 4 /dev/zero | wc -c"
    lines = inside(engine, "--cap-add", "MKNOD", script=script).splitlines()
    assert "Operation not permitted" in lines[0]
    assert lines[-1] == "4"
    given = inside(
        engine, "--device", "/dev/vdb:/dev/given:r", script="dd if=/dev/given bs=1024 count=2 2>/dev/null | wc -c"
    )
    assert given == "2048"
    written = inside(
        engine, "--device", "/dev/vdb:/dev/given:r", script="dd if=/dev/zero of=/dev/given count=1 2>&1 | head -1"
    )
    assert "not permitted" in written.lower()


def test_pause_and_unpause(engine: Daemon) -> None:
    engine.docker("run", "-d", "--name", "paused", "busybox", "sleep", "1000")
    engine.docker("pause", "paused")
    assert engine.inspect("paused")["State"]["Paused"] is True
    engine.docker("unpause", "paused")
    assert engine.docker("exec", "paused", "echo", "awake").out == "awake\n"


def test_update_of_a_running_container(engine: Daemon) -> None:
    engine.docker("run", "-d", "--name", "updated", "--memory", "64m", "busybox", "sleep", "1000")
    engine.docker("update", "--memory", "128m", "--memory-swap", "128m", "--cpus", "0.5", "updated")
    assert engine.docker("exec", "updated", "cat", "/sys/fs/cgroup/memory.max").out.strip() == str(128 << 20)
    assert engine.docker("exec", "updated", "cat", "/sys/fs/cgroup/cpu.max").out.strip() == "50000 100000"


def test_limits_may_be_raised_where_the_host_lets_us(engine: Daemon) -> None:
    assert inside(engine, "--ulimit", "nofile=600000:600000", script="ulimit -Hn") == "600000"
    assert inside(engine, "--oom-score-adj", "-500", script="cat /proc/self/oom_score_adj") == "-500"


def test_the_daemons_death_leaves_containers_alone(make_daemon: Callable[..., Daemon]) -> None:
    engine = make_daemon()
    engine.docker("run", "-d", "--name", "kept", "busybox", "sleep", "1000")
    pid = engine.inspect("kept")["State"]["Pid"]
    engine.kill9()
    engine.start(120)
    assert engine.inspect("kept")["State"]["Pid"] == pid
    assert engine.docker("exec", "kept", "echo", "there").out == "there\n"


def test_huge_pages_are_limited() -> None:
    with Bundle() as bundle:
        bundle.config["linux"]["resources"]["hugepageLimits"] = [{"pageSize": "2MB", "limit": 2 << 20}]
        bundle.start()
        for name in ("hugetlb.2MB.max", "hugetlb.2MB.rsvd.max"):
            assert Path(f"/sys/fs/cgroup/{bundle.group}/{name}").read_text().strip() == str(2 << 20)


@pytest.mark.parametrize("flags", [[], ["--systemd-cgroup"]])
def test_the_program_under_both_drivers(flags: list[str]) -> None:
    """Created, updated, frozen, removed: and systemd knows of a scope only where it was asked for one."""
    with Bundle() as bundle:
        if flags:
            bundle.config["linux"]["cgroupsPath"] = f"system.slice:bt:{bundle.name}"
        Path(f"{bundle.home}/config.json").write_text(json.dumps(bundle.config))
        where = f"system.slice/bt-{bundle.name}.scope" if flags else bundle.group
        command = [
            *RUNTIME,
            "--root",
            f"{bundle.home}/state",
            *flags,
            "run",
            "--detach",
            "-b",
            bundle.home,
            bundle.name,
        ]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)  # it keeps its streams
        bundle.runtime("update", "--memory", str(64 << 20), bundle.name)
        assert Path(f"/sys/fs/cgroup/{where}/memory.max").read_text().strip() == str(64 << 20)
        bundle.runtime("pause", bundle.name)
        assert json.loads(bundle.runtime("state", bundle.name).out)["status"] == "paused"
        bundle.runtime("resume", bundle.name)
        bundle.runtime("delete", "--force", bundle.name)
        assert not Path(f"/sys/fs/cgroup/{where}").exists()
