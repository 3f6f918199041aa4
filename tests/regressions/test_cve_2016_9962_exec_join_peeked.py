"""CVE-2016-9962: a process of the container looked into the runtime while that joined it.

Between joining the namespaces and execve the runtime is a process of the container with the host's descriptors and powers:
whoever reads its ``/proc/<pid>/fd`` or traces it gets out. The defences: it is not dumpable, and it has closed what it does not
need before it joins.

Fails when: a ``PR_SET_DUMPABLE`` line goes: of ``oci/verbs/exec_.py``, ``oci/making.py`` or ``shim/zygote.py`` (a test each).
"""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.attack import Bundle
from harness.daemon import Daemon

pytestmark = pytest.mark.root
LOOKS = " ".join(f"/proc/[0-9]*/{what}" for what in ("fd", "exe", "cwd", "root"))
_OWN = re.compile(r"/|/stop|/bin/busybox.*|pipe:.*|/dev/null|/proc/.*|/tmp/btb[^/]*/(out|err)")  # the last: its streams
RACER = f"while [ ! -e /stop ]; do ls -l {LOOKS} 2>/dev/null; done"


@contextmanager
def looking(racer: subprocess.Popen[bytes]) -> Iterator[set[str]]:
    """What the racer saw that is none of the container's own; whole once the block is left."""
    foreign: set[str] = set()
    seen = 0

    def read() -> None:
        nonlocal seen
        assert racer.stdout is not None
        for line in racer.stdout:
            if b" -> " in line:
                seen += 1
                target = line.decode(errors="replace").rpartition(" -> ")[2].strip()
                if not _OWN.fullmatch(target):
                    foreign.add(target)

    reader = threading.Thread(target=read)
    reader.start()
    yield foreign
    reader.join(30)
    racer.wait(30)
    assert seen


def test_an_exec_of_the_program_cannot_be_looked_into() -> None:
    with Bundle() as box:
        box.start()
        with looking(box.popen(RACER)) as foreign:
            for _ in range(20):
                box.sh("true")
            box.sh("touch /stop")
        assert not foreign


def test_an_init_that_joins_cannot_be_looked_into() -> None:
    """In the pid namespace of a container that races: while it waits, and on its way to execve."""
    with Bundle() as attacker:
        attacker.start()
        with looking(attacker.popen(RACER)) as foreign:
            for _ in range(8):
                with Bundle(args=["true"]) as victim:
                    victim.join(attacker, "pid")
                    victim.start()
            attacker.sh("touch /stop")
        assert not foreign


def test_an_exec_of_the_engine_cannot_be_looked_into(engine: Daemon) -> None:
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    with looking(engine.docker_popen("exec", "box", "sh", "-c", RACER)) as foreign:
        for _ in range(40):
            engine.docker("exec", "box", "true")
        engine.docker("exec", "box", "touch", "/stop")
    assert not foreign
