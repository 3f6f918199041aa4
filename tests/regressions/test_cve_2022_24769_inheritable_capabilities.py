"""CVE-2022-24769 (Moby), CVE-2022-29162 (runc), CVE-2022-27649, 27651, 27652: inheritable capabilities were not empty.

With a full inheritable set a user's program that has file capabilities gets more than it should. CapInh is zero however a process
comes into a container.

Fails when: ``render_process`` in ``engine/containers/runtime_spec.py`` adds ``"inheritable": caps``.
"""

from __future__ import annotations

import pytest

from harness.daemon import Daemon
from harness.eventually import eventually

pytestmark = pytest.mark.root
ALL = ["CapInh", "CapAmb"]
RUNS = [(), ("-u", "1000"), ("--privileged",), ("--privileged", "-u", "1000"), ("--cap-add", "ALL"), ("--cap-add", "NET_ADMIN"),
        ("--security-opt", "no-new-privileges"), ("--init",), ("--pid", "host"), ("-t",)]  # fmt: skip
EXECS = [(), ("-u", "1000"), ("--privileged",), ("--privileged", "-u", "1000"), ("-t",)]


def sets(text: str) -> list[int]:
    lines = dict(line.strip().split(":\t") for line in text.replace("\r", "").splitlines() if line.startswith("Cap"))
    return [int(lines[name], 16) for name in ALL]


@pytest.mark.parametrize("flags", RUNS)
def test_run(engine: Daemon, flags: tuple[str, ...]) -> None:
    assert sets(engine.docker("run", "--rm", *flags, "busybox", "cat", "/proc/self/status").out) == [0, 0]


def test_exec(engine: Daemon) -> None:
    engine.docker("run", "-d", "--name", "box", "--cap-add", "SYS_ADMIN", "busybox", "sleep", "1000")
    for flags in EXECS:
        if "-t" in flags:
            with engine.docker_pty("exec", *flags, "box", "cat", "/proc/self/status") as terminal:
                terminal.expect("CapAmb:\t0000000000000000")
            continue
        assert sets(engine.docker("exec", *flags, "box", "cat", "/proc/self/status").out) == [0, 0], flags


def test_healthcheck(engine: Daemon) -> None:
    engine.docker(
        "run", "-d", "--name", "box", "--privileged", "--health-interval", "100ms",
        "--health-cmd", "cat /proc/self/status", "busybox", "sleep", "1000",
    )  # fmt: skip
    probe = eventually(lambda: (engine.inspect("box")["State"]["Health"]["Log"] or [None])[0])
    assert probe["ExitCode"] == 0 and sets(probe["Output"]) == [0, 0]
