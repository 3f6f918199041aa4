"""The default seccomp profile decides as Docker 28's: every call of both architectures, and the arguments that count.

``docker28_seccomp.json`` was read out of Docker 28.5.2's containers (PTRACE_SECCOMP_GET_FILTER), for no capability and for
what each one adds. These tests read the filter of a running container the same way, so they hold for Docker too.
"""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest

from harness import bpf, reference
from harness.daemon import Daemon

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the recorded numbers are x86_64's"),
]
EPERM = "0x00050001"
GOLDEN = json.loads(Path(__file__).with_name("docker28_seccomp.json").read_text())
AF_ALG = {"socket 0x26": EPERM}  # Docker refuses it since CVE-2026-31431; 28.5.2 did not yet


def expected(name: str, arch: str) -> dict[str, str]:
    given = {
        case.replace("=", " "): verdict for verdict, cases in GOLDEN["none"][arch].items() for case in cases.split()
    }
    newer = {} if reference.ADDRESS else AF_ALG
    return {**given, **(GOLDEN[name][arch] if name != "none" else {}), **newer}


def seen(engine: Daemon, name: str, *flags: str) -> None:
    engine.docker("run", "-d", "--name", "box", *flags, "busybox", "sleep", "1000")
    program = bpf.installed(engine.inspect("box")["State"]["Pid"])[0]
    for arch in ("x86_64", "x86"):
        decided = bpf.picture(program, arch)
        wanted = {case: expected(name, arch).get(case, EPERM) for case in decided}
        assert bpf.difference(wanted, decided) == {}, f"{name} on {arch}"


def test_the_default_capabilities(engine: Daemon) -> None:
    seen(engine, "default")


def test_no_capability(engine: Daemon) -> None:
    seen(engine, "none", "--cap-drop", "ALL")


def test_every_capability(engine: Daemon) -> None:
    seen(engine, "all", "--cap-add", "ALL")


@pytest.mark.parametrize("name", [n for n in GOLDEN if n.isupper()])
def test_one_capability(engine: Daemon, name: str) -> None:
    seen(engine, name, "--cap-drop", "ALL", "--cap-add", name)
