"""CVE-2019-5736: a container overwrote the host's runtime through ``/proc/<pid>/exe``.

The runtime entered the container to run something there (``exec``, or an entrypoint that is a link to ``/proc/self/exe``), and
whoever looked at its ``exe`` link held the host's binary: opened now, written to as soon as nobody ran it. For us the binary
is the Python interpreter. The defence: whatever of ours stands in a container runs from a sealed memfd.

Fails when: ``kernel/sealed.py`` ``run_sealed`` returns at once (the program), ``shim_client/zygote.py`` gives no descriptor (the
engine). The test never writes, so that a host without the defence survives it.
"""

from __future__ import annotations

import fcntl
import os

import pytest

from harness.attack import Bundle
from harness.daemon import Daemon
from harness.leaks import processes

pytestmark = pytest.mark.root


def sealed(pid: int) -> bool:
    """Whether a process's executable can never be written."""
    fd = os.open(f"/proc/{pid}/exe", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return bool(fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_WRITE)
    except OSError:  # a file of the disk's
        return False
    finally:
        os.close(fd)


def test_an_init_that_waits_has_nothing_to_overwrite() -> None:
    """An attacker with CAP_SYS_PTRACE in the same pid namespace looks at an init that was created, not started."""
    with Bundle() as attacker, Bundle() as victim:
        for name in ("bounding", "effective", "permitted"):
            attacker.config["process"]["capabilities"][name].append("CAP_SYS_PTRACE")
        attacker.start()
        victim.join(attacker, "pid")
        victim.create()
        links = attacker.sh("for p in /proc/[0-9]*; do readlink $p/exe; done").lines
        ours = [link for link in links if "busybox" not in link]
        assert ours == ["/memfd:berth-python (deleted)"], links
        assert sealed(victim.pid)


def test_the_engines_processes_run_sealed(engine: Daemon) -> None:
    """Zygote, shims, parked inits: all that a container may ever meet."""
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    seen = set()
    for pid, name in processes(engine.instance_id, engine.run_root):
        if pid == engine.pid or pid == engine.inspect("box")["State"]["Pid"]:
            continue
        try:
            assert sealed(pid), name
        except FileNotFoundError:
            continue  # it ended meanwhile
        seen.add(name)
    assert {"berth-zygote", "berth-shim", "berth-init"} <= seen


def test_an_entrypoint_that_is_the_runtime_itself(engine: Daemon) -> None:
    """``/proc/self/exe`` as the program is what the attack began with: it ends with an error, the engine goes on."""
    result = engine.docker("run", "--rm", "--entrypoint", "/proc/self/exe", "busybox", "-c", "1", check=False)
    assert result.code != 0
    assert engine.docker("run", "--rm", "busybox", "echo", "well").out == "well\n"
