"""CVE-2023-25809, CVE-2023-6476: a container wrote to cgroups: its own limits, or those of its neighbours.

Every file and folder of every cgroup mount is tried from inside, with a cgroup namespace and without.

Fails when: ``place_cgroups`` in ``oci/stage.py`` leaves ATTR_RDONLY out.
"""

from __future__ import annotations

import pytest

from harness.daemon import Daemon

pytestmark = pytest.mark.root
PROBE = """
find /sys/fs/cgroup -type f | while read f; do (: >> "$f") 2>/dev/null && echo "$f"; done
find /sys/fs/cgroup -type d | while read d; do mkdir "$d/new" 2>/dev/null && echo "$d"; done
grep -c cgroup /proc/self/mountinfo
"""


@pytest.mark.parametrize("flags", [(), ("--cgroupns", "host"), ("--pids-limit", "50", "-m", "64m")])
def test_nothing_can_be_written(engine: Daemon, flags: tuple[str, ...]) -> None:
    lines = engine.docker("run", "--rm", *flags, "busybox", "sh", "-c", PROBE).lines
    assert int(lines[-1]) > 0, "no cgroup is mounted: nothing was tried"
    assert lines[:-1] == []


def test_a_container_sees_no_other_group(engine: Daemon) -> None:
    engine.docker("run", "-d", "--name", "other", "busybox", "sleep", "1000")
    ident = engine.inspect("other")["Id"]
    found = engine.docker("run", "--rm", "busybox", "find", "/sys/fs/cgroup", "-name", f"*{ident}*")
    assert found.out == ""
