"""The v2 device program in the kernel: denied, granted, granted anew in place of what was said before."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from berth.kernel.cgroups.device_program import attach
from berth.kernel.cgroups.devices import rules_of

pytestmark = pytest.mark.root


@pytest.fixture
def group() -> Iterator[str]:
    """A group of the v2 tree, which a hybrid host has too."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    path = f"{next(m[1] for m in mounts if m[2] == 'cgroup2')}/berth-test-{os.getpid()}"
    os.mkdir(path)
    yield path
    os.rmdir(path)


def opened(group: str) -> set[str]:
    """Which of three devices a process in the group may open."""
    script = (
        f"echo $$ > {group}/cgroup.procs; for d in null kmsg mem; do (: < /dev/$d) 2>/dev/null && echo $d; done; true"
    )
    return set(subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.split())


def test_rules_replace_each_other(group: str) -> None:
    def say(*rules: dict[str, Any]) -> set[str]:
        attach(group, rules_of(list(rules)))
        return opened(group)

    everything = opened(group)
    assert {"null", "kmsg"} <= everything
    kmsg = {"type": "c", "major": 1, "minor": 11}
    assert say() == {"null"}
    assert say({"allow": True, "access": "r", **kmsg}) == {"null", "kmsg"}
    assert say({"allow": True, "access": "w", **kmsg}) == {"null"}
    assert say({"allow": True}) == everything
    assert say({"allow": True}, {"allow": False, "access": "r", **kmsg}) == everything - {"kmsg"}
