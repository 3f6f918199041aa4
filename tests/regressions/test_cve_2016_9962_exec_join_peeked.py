"""CVE-2016-9962: a process of the container looked into the runtime while that joined it.

Between joining the namespaces and execve the runtime is a process of the container with the host's descriptors and powers:
whoever reads its ``/proc/<pid>/fd`` or traces it gets out. The defences: it is not dumpable, and it has closed what it does not
need before it joins.

Fails when: the ``PR_SET_DUMPABLE`` lines of ``oci/program.py`` (first test), ``shim/zygote.py`` (second) go away.
"""

from __future__ import annotations

import threading

import pytest

from harness.attack import Bundle
from harness.daemon import Daemon

pytestmark = pytest.mark.root


def test_a_waiting_init_cannot_be_looked_into() -> None:
    with Bundle() as attacker, Bundle() as victim:
        attacker.start()
        victim.join(attacker, "pid")
        victim.create()
        pids = [p for p in attacker.sh("ls /proc").lines if p.isdigit() and p != "1"]
        looks = " ".join(f"/proc/{p}/{what}" for p in pids for what in ("exe", "cwd", "root"))
        seen = attacker.sh(
            f"readlink {looks}; ls /proc/{pids[0]}/fd; cat /proc/{pids[0]}/mem; cat /proc/{pids[0]}/environ"
        )
        assert not [line for line in seen.lines if "berth" in line or "memfd" in line], seen
        assert "ermission denied" in seen.err


def test_an_exec_cannot_be_looked_into(engine: Daemon) -> None:
    """A racer inside lists every process's descriptors without end while the host runs execs."""
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    looks = " ".join(f"/proc/[0-9]*/{what}" for what in ("fd", "exe", "cwd", "root"))
    script = f"while [ ! -e /stop ]; do ls -l {looks} 2>/dev/null; done"
    with engine.docker_popen("exec", "box", "sh", "-c", script) as racer:
        found: list[str] = []

        def read() -> None:
            assert racer.stdout is not None
            found.extend(line.decode() for line in racer.stdout if b"->" in line)

        reader = threading.Thread(target=read)
        reader.start()
        for _ in range(40):
            engine.docker("exec", "box", "true")
        engine.docker("exec", "box", "touch", "/stop")
        reader.join(30)
    targets = {line.split(" -> ", 1)[1].strip() for line in found}
    foreign = {
        t for t in targets if not t.startswith(("/bin/busybox", "pipe:", "/dev/null", "/proc/")) and t not in ("/",)
    }
    assert targets and not foreign, foreign
