"""runtime-spec 1.2 config-linux.md: Control groups and their resources; pause, update, events, ps."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from berth.kernel import cgroups
from harness.attack import Bundle, told
from harness.eventually import eventually

pytestmark = pytest.mark.root

V2 = cgroups.detect().version == 2


def directory(bundle: Bundle, controller: str) -> str:
    return cgroups.open_group(f"/{bundle.group}").paths()["" if V2 else controller]


def value(bundle: Bundle, controller: str, v1: str, v2: str) -> str:
    return Path(directory(bundle, controller), v2 if V2 else v1).read_text().strip()


@pytest.mark.spec("config-linux.md#memory", "config-linux.md#cpu", "config-linux.md#pids")
def test_resources_are_written_and_updated() -> None:
    with Bundle() as bundle:
        bundle.config["linux"]["resources"] = {
            "memory": {"limit": 64 << 20}, "pids": {"limit": 33},
            "cpu": {"shares": 512, "quota": 20000, "period": 50000, "cpus": "0"},
        }  # fmt: skip
        bundle.start()
        assert value(bundle, "memory", "memory.limit_in_bytes", "memory.max") == str(64 << 20)
        assert value(bundle, "pids", "pids.max", "pids.max") == "33"
        assert value(bundle, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0] == "20000"
        assert value(bundle, "cpuset", "cpuset.cpus", "cpuset.cpus") == "0"
        assert os.sched_getaffinity(bundle.pid) == {0}
        bundle.runtime("update", "--memory", "128M", "--pids-limit", "44", "--cpu-quota", "30000", bundle.name)
        assert value(bundle, "memory", "memory.limit_in_bytes", "memory.max") == str(128 << 20)
        assert value(bundle, "pids", "pids.max", "pids.max") == "44"
        Path(f"{bundle.home}/r.json").write_text(json.dumps({"pids": {"limit": -1}}))
        bundle.runtime("update", "-r", f"{bundle.home}/r.json", bundle.name)
        assert value(bundle, "pids", "pids.max", "pids.max") == "max"
        refused = bundle.runtime("update", "--memory", "moon", bundle.name, check=False)
        assert refused.code == 1 and "invalid size: 'moon'" in told(refused)


@pytest.mark.parametrize("path", ["/a/../b", "/", "a/./b"])
@pytest.mark.spec("config-linux.md#cgroups-path")
def test_paths_of_cgroups_that_are_none(path: str) -> None:
    with Bundle() as bundle:
        bundle.config["linux"]["cgroupsPath"] = path
        assert "invalid cgroupsPath" in told(bundle.create(check=False))


@pytest.mark.spec("config-linux.md#control-groups", "runtime.md#errors")
def test_a_limit_that_the_kernel_refuses_is_told_with_its_file() -> None:
    with Bundle() as bundle:
        bundle.config["linux"]["resources"] = {"cpu": {"cpus": "4000"}}
        refused = bundle.create(check=False)
        assert refused.code == 1 and "cpuset.cpus" in told(refused)
        assert bundle.runtime("list", "-q").out == "" and not os.path.exists(directory(bundle, "cpuset"))


@pytest.mark.spec("config-linux.md#unified")
def test_unified_needs_v2() -> None:
    with Bundle(args=["true"]) as bundle:
        bundle.config["linux"]["resources"] = {"unified": {"pids.max": "20"}}
        done = bundle.run(check=False)
        assert (done.code == 0) is V2
        if not V2:
            assert "unified resources are of cgroup v2" in told(done) or "pids.max" in told(done)


@pytest.mark.spec("config-linux.md#control-groups")
def test_a_group_with_processes_or_frozen_is_not_fit() -> None:
    with Bundle() as first, Bundle() as second:
        first.start()
        second.config["linux"]["cgroupsPath"] = f"/{first.group}"
        assert "container's cgroup is not empty: 1 process(es) found" in told(second.create(check=False))
        assert first.sh("echo alive").out == "alive\n"


@pytest.mark.spec("config-linux.md#allowed-device-list")
def test_device_rules_stand_on_deny_and_the_defaults_last() -> None:
    with Bundle() as bundle:
        bundle.config["process"]["capabilities"] = {n: ["CAP_MKNOD"] for n in ("bounding", "effective", "permitted")}
        bundle.config["linux"]["resources"] = {"devices": [
            {"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "r"},
        ]}  # fmt: skip
        bundle.start()
        said = bundle.sh("mknod /fuse c 10 229; mknod /mem c 1 1; : </fuse && echo fuse; (: >/fuse) || echo no writing; "
                         "(: </mem) || echo no mem; head -c1 /dev/zero >/dev/null && echo zero")  # fmt: skip
        assert said.out.splitlines() == ["fuse", "no writing", "no mem", "zero"], said


@pytest.mark.spec("config-linux.md#control-groups")
def test_pause_freezes_everybody_and_exec_waits_for_a_word() -> None:
    with Bundle(args=["sh", "-c", "while :; do echo >>/ticks; usleep 20000; done"]) as bundle:
        bundle.start()
        ticks = f"{bundle.rootfs}/ticks"
        eventually(lambda: os.path.getsize(ticks) > 2)
        bundle.runtime("pause", bundle.name)
        before = os.path.getsize(ticks)
        refused = bundle.runtime("exec", bundle.name, "true", check=False)
        assert "cannot exec in a paused container (use --ignore-paused to override)" in told(refused)
        assert os.path.getsize(ticks) == before
        bundle.runtime("resume", bundle.name)
        eventually(lambda: os.path.getsize(ticks) > before)


@pytest.mark.spec("runtime.md#kill")
def test_sigkill_ends_a_paused_container() -> None:
    with Bundle() as bundle:
        bundle.start()
        bundle.runtime("pause", bundle.name)
        bundle.runtime("kill", bundle.name, "KILL")
        eventually(lambda: json.loads(bundle.runtime("state", bundle.name).out)["status"] == "stopped")


@pytest.mark.spec("config-linux.md#namespaces", "config-linux.md#cgroup-ownership")
def test_the_container_sees_its_own_group_and_cannot_write_it() -> None:
    with Bundle() as bundle:
        bundle.start()
        assert all(line.endswith(":/") for line in bundle.sh("cat /proc/self/cgroup").out.split())
        place = "/sys/fs/cgroup" if V2 else "/sys/fs/cgroup/pids"
        assert bundle.sh(f"cat {place}/cgroup.procs").out.split()[0] == "1"
        assert bundle.sh(f"echo 1 >{place}/pids.max").code != 0


@pytest.mark.spec("config-linux.md#control-groups")
def test_events_figures_and_ps() -> None:
    with Bundle() as bundle:
        bundle.start()
        event: dict[str, Any] = json.loads(bundle.runtime("events", "--stats", bundle.name).out)
        assert event["type"] == "stats" and event["id"] == bundle.name
        assert event["data"]["pids"]["current"] == 1 and event["data"]["memory"]["usage"]["usage"] > 0
        pid = bundle.pid
        assert json.loads(bundle.runtime("ps", "-f", "json", bundle.name).out) == [pid]
        table = bundle.runtime("ps", bundle.name).out.splitlines()
        assert table[0].split()[:3] == ["UID", "PID", "PPID"] and str(pid) in table[1] and "sleep 1000" in table[1]
        assert "interval must be greater" in told(
            bundle.runtime("events", "--interval", "0s", bundle.name, check=False)
        )


@pytest.mark.spec("config-linux.md#control-groups")
def test_exec_is_in_the_containers_group() -> None:
    with Bundle() as bundle:
        bundle.start()
        assert bundle.sh("cat /proc/self/cgroup").out == bundle.sh("cat /proc/1/cgroup").out


@pytest.mark.spec("config-linux.md#cgroups-path")
def test_the_systemd_driver_says_what_it_needs() -> None:
    """Its work is shown in a virtual machine; a host without systemd gets a clear word."""
    if os.path.exists("/run/systemd/private") or os.path.exists("/run/dbus/system_bus_socket"):
        pytest.skip("this host has systemd")
    with Bundle() as bundle:
        bundle.config["linux"]["cgroupsPath"] = "system.slice:berth:x"
        Path(f"{bundle.home}/config.json").write_text(json.dumps(bundle.config))
        words = ["run", "-b", bundle.home, bundle.name]
        refused = bundle.runtime("--systemd-cgroup", *words, check=False)
        assert "systemd cannot be asked" in told(refused) and "cgroupfs driver" in told(refused)
        bundle.config["linux"]["cgroupsPath"] = "/not/units"
        Path(f"{bundle.home}/config.json").write_text(json.dumps(bundle.config))
        refused = bundle.runtime("--systemd-cgroup", *words, check=False)
        assert 'of format "slice:prefix:name"' in told(refused)
