"""runtime-spec 1.2 config-linux.md: the resources that ``test_oci_cgroups`` does not have, on the hierarchies of this host.

What a host lacks is a warning that names it. cgroup v2 alone has its tests in ``tests/vm``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from berth.kernel import cgroups
from berth.kernel.cgroups.files import rdma_line
from harness.attack import Bundle, told

pytestmark = pytest.mark.root

V2 = cgroups.detect().version == 2
MIB = 1 << 20


def limited(bundle: Bundle, **resources: Any) -> str:
    """Start with these limits; what the runtime says."""
    bundle.config["linux"]["resources"].update(resources)
    said = told(bundle.create())
    bundle.runtime("start", bundle.name)
    return said


def value(bundle: Bundle, controller: str, v1: str, v2: str = "") -> str | None:
    """What a file of the group says; None where this host lacks it."""
    folder = cgroups.open_group(f"/{bundle.group}").paths().get("" if V2 else controller)
    path = Path(folder or "/nonexistent", (v2 or v1) if V2 else v1)
    return path.read_text().strip() if path.exists() else None


@pytest.mark.spec("config-linux.md#memory")
def test_every_limit_of_memory() -> None:
    memory = {"limit": 64 * MIB, "reservation": 32 * MIB, "swap": 128 * MIB, "swappiness": 7, "disableOOMKiller": True}
    with Bundle() as bundle:
        said = limited(
            bundle, memory={k: v for k, v in memory.items() if not (V2 and k in ("swappiness", "disableOOMKiller"))}
        )
        assert value(bundle, "memory", "memory.limit_in_bytes", "memory.max") == str(64 * MIB)
        assert value(bundle, "memory", "memory.soft_limit_in_bytes", "memory.low") == str(32 * MIB)
        swap = value(bundle, "memory", "memory.memsw.limit_in_bytes", "memory.swap.max")
        assert swap in (str(64 * MIB if V2 else 128 * MIB), None)
        if not V2:
            assert value(bundle, "memory", "memory.swappiness") == "7" or "swappiness" in said
            assert "oom_kill_disable 1" in str(value(bundle, "memory", "memory.oom_control"))


@pytest.mark.spec("config-linux.md#memory")
def test_memory_above_the_limit_is_killed() -> None:
    with Bundle() as bundle:
        limited(bundle, memory={"limit": 16 * MIB, "swap": 16 * MIB})
        assert bundle.sh("head -c 100000000 /dev/zero | tail").code != 0
        assert bundle.sh("echo alive").out == "alive\n"


@pytest.mark.spec("config-linux.md#cpu")
def test_every_limit_of_cpu() -> None:
    cpu = {"shares": 2048, "quota": 20000, "period": 50000, "burst": 10000, "cpus": "0", "mems": "0"}
    with Bundle() as bundle:
        said = limited(bundle, cpu=cpu)
        if V2:
            assert value(bundle, "cpu", "", "cpu.max") == "20000 50000"
        else:
            assert value(bundle, "cpu", "cpu.shares") == "2048"
            assert value(bundle, "cpu", "cpu.cfs_period_us") == "50000"
        burst = value(bundle, "cpu", "cpu.cfs_burst_us", "cpu.max.burst")
        assert burst == "10000" or (burst is None and "burst" in said)
        assert value(bundle, "cpuset", "cpuset.mems") == "0"
        assert bundle.sh("grep Cpus_allowed_list /proc/1/status").out.split() == ["Cpus_allowed_list:", "0"]


@pytest.mark.spec("config-linux.md#block-io")
def test_every_limit_of_block_devices() -> None:
    rates = {
        "throttleReadBpsDevice": 1 * MIB, "throttleWriteBpsDevice": 2 * MIB, "throttleReadIOPSDevice": 300,
        "throttleWriteIOPSDevice": 400,
    }  # fmt: skip
    device = next((Path(f"/sys/block/{name}/dev").read_text().strip() for name in sorted(os.listdir("/sys/block"))), "")
    if not device:
        pytest.skip("this machine has no block device")
    major, minor = map(int, device.split(":"))
    with Bundle() as bundle:
        said = limited(
            bundle,
            blockIO={"weight": 300, **{k: [{"major": major, "minor": minor, "rate": v}] for k, v in rates.items()}},
        )
        if V2:
            assert f"{device} rbps={MIB} wbps={2 * MIB} riops=300 wiops=400" in str(value(bundle, "io", "", "io.max"))
            return
        for key, file in (
            ("throttleReadBpsDevice", "read_bps"), ("throttleWriteBpsDevice", "write_bps"),
            ("throttleReadIOPSDevice", "read_iops"), ("throttleWriteIOPSDevice", "write_iops"),
        ):  # fmt: skip
            assert value(bundle, "blkio", f"blkio.throttle.{file}_device") == f"{device} {rates[key]}", key
        weight = value(bundle, "blkio", "blkio.weight") or value(bundle, "blkio", "blkio.bfq.weight")
        assert weight == "300" or "no block I/O weight" in said


@pytest.mark.spec("config-linux.md#huge-page-limits")
def test_huge_pages() -> None:
    with Bundle() as bundle:
        said = limited(bundle, hugepageLimits=[{"pageSize": "2MB", "limit": 4 * MIB}])
        found = value(bundle, "hugetlb", "hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max")
        assert found == str(4 * MIB) or (found is None and "hugetlb" in said)


@pytest.mark.spec("config-linux.md#rdma")
def test_rdma() -> None:
    assert rdma_line("mlx5_1", {"hcaHandles": 3, "hcaObjects": 10000}) == "mlx5_1 hca_handle=3 hca_object=10000"
    assert rdma_line("rxe3", {"hcaObjects": 7}) == "rxe3 hca_object=7"
    with Bundle() as bundle:
        bundle.config["linux"]["resources"]["rdma"] = {"no-such-device": {"hcaHandles": 3}}
        made = bundle.create(check=False)
        assert "rdma" in told(made)  # no such controller, or no such device


@pytest.mark.spec("config-linux.md#network")
def test_classes_of_packets() -> None:
    """Of cgroup v1 alone."""
    with Bundle() as bundle:
        said = limited(bundle, network={"classID": 0x100001, "priorities": [{"name": "lo", "priority": 5}]})
        if not V2:
            found = value(bundle, "net_cls", "net_cls.classid")
            assert found == str(0x100001) or "no net_cls cgroup" in said
            found = value(bundle, "net_prio", "net_prio.ifpriomap")
            assert (found is not None and "lo 5" in found) or "no net_prio cgroup" in said


@pytest.mark.spec("config-linux.md#cgroups-path")
def test_the_same_path_is_the_same_place() -> None:
    with Bundle() as bundle:
        bundle.start()
        places = {line.split(":", 2)[2] for line in Path(f"/proc/{bundle.pid}/cgroup").read_text().splitlines()}
        assert f"/{bundle.group}" in places
        bundle.runtime("delete", "-f", bundle.name)
        bundle.start()
        again = {line.split(":", 2)[2] for line in Path(f"/proc/{bundle.pid}/cgroup").read_text().splitlines()}
        assert again == places
