"""The default profile, call by call, and profiles that are refused. What any profile decides: tests/properties."""

import platform
from typing import Any

import pytest

from berth.base.errors import InvalidArgument
from berth.kernel.seccomp.compiler import compile_default, compile_profile
from berth.kernel.seccomp.syscalls import table
from berth.spec.capabilities import ALL_CAPABILITIES, DEFAULT_CAPABILITIES
from harness.bpf import run_bpf

ALLOW, EPERM, ENOSYS, KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
X86_64, X86, X32_BIT = 0xC000003E, 0x40000003, 0x40000000
pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers below are x86_64's")


DEFAULT = compile_default(frozenset(DEFAULT_CAPABILITIES)) if platform.machine() == "x86_64" else b""
NR = table("x86_64")


@pytest.mark.parametrize("name", ["read", "openat", "execve", "futex", "clone", "statx", "chroot", "ptrace", "mseal"])
def test_ordinary_calls_pass(name: str) -> None:
    assert run_bpf(DEFAULT, X86_64, NR[name]) == ALLOW


@pytest.mark.parametrize(
    "name",
    ["mount", "umount2", "pivot_root", "setns", "unshare", "bpf", "kexec_load", "init_module", "reboot", "swapon", "keyctl",
     "add_key", "request_key", "io_uring_setup", "userfaultfd", "perf_event_open", "open_by_handle_at", "settimeofday"],
)  # fmt: skip
def test_dangerous_calls_fail_with_eperm(name: str) -> None:
    assert run_bpf(DEFAULT, X86_64, NR[name]) == EPERM


def test_new_namespaces_and_clone3() -> None:
    assert run_bpf(DEFAULT, X86_64, NR["clone"], (0x10000000, 0, 0, 0, 0, 0)) == EPERM
    assert run_bpf(DEFAULT, X86_64, NR["clone"], (0x11, 0, 0, 0, 0, 0)) == ALLOW
    assert run_bpf(DEFAULT, X86_64, NR["clone3"]) == ENOSYS


@pytest.mark.parametrize(
    ("family", "verdict"), [(1, ALLOW), (2, ALLOW), (10, ALLOW), (16, ALLOW), (38, EPERM), (40, EPERM)]
)
def test_socket_families(family: int, verdict: int) -> None:
    assert run_bpf(DEFAULT, X86_64, NR["socket"], (family, 1, 0, 0, 0, 0)) == verdict


def test_other_architectures() -> None:
    assert run_bpf(DEFAULT, X86, table("x86")["read"]) == ALLOW
    assert run_bpf(DEFAULT, X86, table("x86")["mount"]) == EPERM
    assert run_bpf(DEFAULT, X86_64, NR["read"] | X32_BIT) == EPERM
    assert run_bpf(DEFAULT, 0xC00000B7, 63) == KILL


def test_capabilities_open_calls() -> None:
    everything = compile_default(frozenset(ALL_CAPABILITIES))
    for name in ("mount", "setns", "bpf", "clone3", "reboot"):
        assert run_bpf(everything, X86_64, NR[name]) == ALLOW


@pytest.mark.parametrize(
    "profile",
    [
        {"defaultAction": "SCMP_ACT_NOPE"},
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "x"}]},
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 9, "op": "SCMP_CMP_EQ"}]}]},
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "op": "SCMP_CMP_X"}]}]},
    ],
)  # fmt: skip
def test_profiles_that_say_nothing_we_know_are_refused(profile: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match="seccomp"):
        compile_profile(profile)
