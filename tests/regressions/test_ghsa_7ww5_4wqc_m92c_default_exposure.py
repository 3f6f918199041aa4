"""GHSA-7ww5-4wqc-m92c (RAPL), thermal interrupts (Docker 28.0.2), CVE-2026-31431 (AF_ALG): what a default container may see.

Power readings of the processor tell keys apart; interrupt counts tell what others type; a crypto socket reached kernel code that
nobody in a container needs. A matrix over procfs, sysfs and socket families.

Fails when: a path leaves ``MASKED_PATHS`` or ``READONLY_PATHS`` in ``engine/containers/runtime_spec.py``, 38 is allowed in
``kernel/seccomp/default.py``.
"""

from __future__ import annotations

import glob
import json
import os
import sys

import pytest

from harness import attack
from harness.daemon import Daemon
from harness.images import Entry

pytestmark = pytest.mark.root
MASKED = [
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug",
    "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware",
    *sorted(glob.glob("/sys/devices/system/cpu/cpu*/thermal_throttle")),
]  # fmt: skip
WRITES = [
    "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/vm/panic_on_oom", "/proc/sysrq-trigger",
    "/proc/irq/default_smp_affinity", "/proc/bus", "/proc/fs", "/proc/acpi/wakeup", "/sys/kernel/uevent_helper",
    "/sys/power/state", "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/fs/cgroup/release_agent",
    "/sys/module/printk/parameters/time",
    "/sys/block", "/sys/class/net/lo/mtu", "/sys/kernel/vmcoreinfo",
]  # fmt: skip


@pytest.mark.parametrize("path", MASKED)
def test_masked(engine: Daemon, path: str) -> None:
    """As where the host has no such thing: nothing is in it, nothing can be made in it."""
    look = f"if [ -d {path} ]; then find {path} -mindepth 1; else cat {path}; fi; : 2>/dev/null >{path}/new"
    script = f"[ -e {path} ] || exit 9; {look}"
    result = engine.docker("run", "--rm", "busybox", "sh", "-c", script, check=False)
    assert (result.code == 9) is not os.path.exists(path), result
    assert result.out == "", result


def test_nothing_of_power_is_anywhere(engine: Daemon) -> None:
    names = engine.docker(
        "run", "--rm", "busybox", "find", "/sys", "-name", "energy_uj", "-o", "-name", "*thermal_throttle*"
    )
    for folder in names.lines:
        assert engine.docker("run", "--rm", "busybox", "sh", "-c", f"cat {folder}/* 2>/dev/null").out == ""


@pytest.mark.parametrize("path", WRITES)
def test_not_writable(engine: Daemon, path: str) -> None:
    script = f"if [ -d {path} ]; then mkdir {path}/new; else : >> {path}; fi && echo written"
    assert engine.docker("run", "--rm", "busybox", "sh", "-c", script, check=False).out == ""


def test_no_file_of_sysfs_or_proc_sys_is_writable(engine: Daemon) -> None:
    script = "find /sys /proc/sys /proc/irq /proc/fs /proc/bus -type f 2>/dev/null | head -4000 |" \
             " while read f; do (: >> $f) 2>/dev/null && echo $f; done; true"  # fmt: skip
    assert engine.docker("run", "--rm", "busybox", "sh", "-c", script, timeout_s=120).lines == []


FAMILIES = """
import json, socket
found = {}
for family in range(46):
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_RAW):
        try:
            socket.socket(family, kind).close()
            found[family] = 0
            break
        except OSError as err:
            found[family] = err.errno
print(json.dumps(found))
"""


def families(engine: Daemon, *flags: str) -> dict[int, int]:
    """errno for each address family; the host's Python runs it, from a read-only bind."""
    links = [Entry(name, kind="symlink", target=f"usr/{name}") for name in ("lib", "lib64")]
    program = os.path.realpath(sys.executable)
    with attack.image(engine, links) as tag:
        flags = ("--rm", "-v", "/usr:/usr:ro", "-v", f"{sys.base_prefix}:{sys.base_prefix}:ro", *flags)
        out = engine.docker("run", *flags, tag, program, "-I", "-S", "-c", FAMILIES).out
    return {int(family): number for family, number in json.loads(out).items()}


def test_socket_families(engine: Daemon) -> None:
    seen = families(engine)
    assert seen[38] == seen[40] == 1, "AF_ALG and AF_VSOCK are refused"
    assert seen[1] == seen[2] == seen[16] == seen[17] == 0
    free = families(engine, "--security-opt", "seccomp=unconfined")
    assert {f: n for f, n in seen.items() if f not in (38, 40)} == {f: n for f, n in free.items() if f not in (38, 40)}
