"""GHSA-g54h-m393-cpwq: runc read a list of device rules as a list of denials: what nobody named was allowed.

A bundle whose rules only granted something ran with every device. The defence: nothing is allowed that was not granted, whatever
the list says and wherever the group came from.

Fails when: ``v1_lines`` in ``kernel/cgroups/devices.py`` begins with ``allowed = True`` (v1), ``program`` in
``device_program.py`` ends with ``_answer(1)`` (v2), ``apply_device_rules`` does nothing.
"""

from __future__ import annotations

import pytest

from harness.attack import Bundle
from harness.daemon import Daemon

pytestmark = pytest.mark.root
NODES = [  # one of each class that a host may have; a node without a driver answers ENXIO or ENODEV, never EPERM
    "c 1 1", "c 1 2", "c 1 4", "c 1 11", "c 4 0", "c 4 64", "c 5 1", "c 7 0", "c 10 1", "c 10 130", "c 10 200", "c 10 229",
    "c 10 232", "c 10 237", "c 10 238", "c 13 63", "c 21 0", "c 29 0", "c 81 0", "c 116 33", "c 180 0", "c 189 0", "c 195 0",
    "c 202 0", "c 226 0", "c 226 128", "c 240 0", "c 250 0", "c 254 0", "b 1 0", "b 2 0", "b 7 0", "b 8 0", "b 9 0", "b 11 0",
    "b 43 0", "b 65 0", "b 147 0", "b 179 0", "b 202 0", "b 252 0", "b 253 0", "b 254 0", "b 259 0",
]  # fmt: skip
SCRIPT = (
    "i=0; for n in "
    + " ".join(f"'{node}'" for node in NODES)
    + "; do i=$((i+1)); mknod /tmp/n$i $n || continue; for how in '<' '>>'; do"
    ' out=$( (eval ": $how /tmp/n$i") 2>&1 ); case $out in *\'not permitted\'*) ;; *) echo "$n $how $out" ;; esac; done; done'
)


def test_no_class_of_device_is_open(engine: Daemon) -> None:
    assert engine.docker("run", "--rm", "busybox", "sh", "-c", SCRIPT).lines == []


def test_one_grant_grants_nothing_else(engine: Daemon) -> None:
    flags = ["--device-cgroup-rule", "c 1:11 r"]
    lines = engine.docker("run", "--rm", *flags, "busybox", "sh", "-c", SCRIPT).lines
    assert [line for line in lines if not line.startswith("c 1 11 < ")] == []


@pytest.mark.parametrize(
    "rules",
    [
        [],
        [{"allow": False, "access": "rwm"}],
        [{"allow": True, "type": "c", "major": 1, "minor": 11, "access": "r"}],
        [{"allow": False, "type": "c", "major": 99, "minor": 9, "access": "rwm"}],
        [{"allow": True, "type": "b", "access": "m"}, {"allow": True, "type": "c", "access": "m"}],
    ],
)
def test_a_bundle(rules: list[dict[str, object]]) -> None:
    with Bundle(args=["sh", "-c", SCRIPT]) as bundle:
        for name in ("bounding", "effective", "permitted"):
            bundle.config["process"]["capabilities"][name].append("CAP_MKNOD")
        bundle.config["linux"]["resources"] = {"devices": rules}
        assert [line for line in bundle.run().lines if not line.startswith("c 1 11 < ")] == []
