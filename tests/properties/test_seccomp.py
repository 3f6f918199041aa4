"""The seccomp compiler: for any profile the filter decides as an interpreter of the profile does."""

from __future__ import annotations

import platform
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from berth.kernel.seccomp.compiler import compile_profile
from berth.kernel.seccomp.syscalls import table
from harness.bpf import ARCHES, X32_BIT, run_bpf

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the host's architectures are x86_64 and x86")

ACTIONS = {
    "SCMP_ACT_KILL": 0, "SCMP_ACT_KILL_PROCESS": 0x80000000, "SCMP_ACT_TRAP": 0x00030000, "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_NOTIFY": 0x7FC00000, "SCMP_ACT_TRACE": 0x7FF00000, "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}  # fmt: skip
KILL_PROCESS, ENOSYS = 0x80000000, 0x00050026
NAMES = [
    "read", "write", "ioctl", "socket", "personality", "clone", "fchmod", "mseal", "clone3", "restart_syscall",
    "socketcall", "arch_prctl", "openat2", "no_such_call",
]  # fmt: skip


def decide(profile: dict[str, Any], arch: str, number: int, args: tuple[int, ...]) -> int:
    """The specification read aloud: what the profile says about one call."""
    default = verdict(profile["defaultAction"], profile.get("defaultErrnoRet"))
    if arch == "x86" and "SCMP_ARCH_X86" not in profile.get("architectures", ["SCMP_ARCH_X86"]):
        return KILL_PROCESS
    if arch == "x86_64" and number >= X32_BIT:
        return default
    numbers = table(arch)
    named = [numbers[n] for rule in profile["syscalls"] for n in rule["names"] if n in numbers]
    younger = named and number > max(named)
    if younger and profile["defaultAction"] not in ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"):
        return ENOSYS
    about = [r for r in profile["syscalls"] if number in [numbers.get(n) for n in r["names"]]]
    for rule in [r for r in about if not r["args"]] + [r for r in about if r["args"]]:
        tests = [holds(a, args) for a in rule["args"]]
        repeated = len({a["index"] for a in rule["args"]}) < len(tests)
        if any(tests) if repeated else all(tests):
            return verdict(rule["action"], rule.get("errnoRet"))
    return default


def verdict(action: str, errno: int | None) -> int:
    with_value = action in ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
    return ACTIONS[action] | ((1 if errno is None else errno) if with_value else 0)


def holds(arg: dict[str, Any], args: tuple[int, ...]) -> bool:
    have, value, two = args[arg["index"]], arg["value"], arg["valueTwo"]
    return {
        "SCMP_CMP_EQ": have == value, "SCMP_CMP_NE": have != value, "SCMP_CMP_LT": have < value,
        "SCMP_CMP_LE": have <= value, "SCMP_CMP_GT": have > value, "SCMP_CMP_GE": have >= value,
        "SCMP_CMP_MASKED_EQ": have & value == two,
    }[arg["op"]]  # fmt: skip


_values = st.one_of(
    st.integers(0, 3), st.sampled_from([0xFFFFFFFF, 0x100000000, 0x1FFFFFFFF, (1 << 64) - 1, 1 << 63]),
    st.integers(0, (1 << 64) - 1),
)  # fmt: skip
_ops = st.sampled_from(["EQ", "NE", "LT", "LE", "GT", "GE", "MASKED_EQ"]).map(lambda o: "SCMP_CMP_" + o)
_args = st.fixed_dictionaries({"index": st.integers(0, 5), "value": _values, "valueTwo": _values, "op": _ops})
_actions = st.sampled_from(sorted(ACTIONS))
_rules = st.fixed_dictionaries(
    {"names": st.lists(st.sampled_from(NAMES), min_size=1, max_size=3), "action": _actions,
     "args": st.lists(_args, max_size=3)},
    optional={"errnoRet": st.integers(1, 200)},
)  # fmt: skip
_profiles = st.fixed_dictionaries(
    {"defaultAction": _actions, "syscalls": st.lists(_rules, max_size=8)},
    optional={
        "defaultErrnoRet": st.integers(1, 200),
        "architectures": st.sampled_from([["SCMP_ARCH_X86_64"], ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"], ["SCMP_ARCH_X86"]]),
    },
)  # fmt: skip
_arches = st.sampled_from(["x86_64", "x86"])
_numbers = st.one_of(
    st.sampled_from([table(a)[n] for a in ("x86_64", "x86") for n in NAMES if n in table(a)]), st.integers(0, 600),
    st.sampled_from([X32_BIT, X32_BIT + 1, 0x7FFFFFFF, 0xFFFFFFFF]),
)  # fmt: skip


_EDGES = [half << 32 | low for half in (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
          for low in (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)]  # fmt: skip


def _beside(value: int) -> list[int]:
    """Itself, its neighbours, and what differs from it in one half only: a filter compares 64 bits as two halves."""
    high, low = value >> 32, value & 0xFFFFFFFF
    near = [
        value,
        value - 1,
        value + 1,
        low << 32 | high,
        high << 32,
        low,
        high << 32 | (low ^ 1),
        (high ^ 1) << 32 | low,
    ]
    return [n & (1 << 64) - 1 for n in near]


@st.composite
def _compared(draw: st.DrawFn) -> tuple[dict[str, Any], int, tuple[int, ...]]:
    """A profile whose rules all compare arguments of one call, and arguments on, just below and just above its values."""
    edges = st.sampled_from(_EDGES)
    args = st.fixed_dictionaries({"index": st.integers(0, 2), "value": edges, "valueTwo": edges, "op": _ops})
    rule = st.fixed_dictionaries(
        {"names": st.just(["ioctl"]), "action": _actions, "args": st.lists(args, min_size=1, max_size=3)}
    )
    rules = draw(st.lists(rule, min_size=1, max_size=4))
    for arg in (a for r in rules for a in r["args"] if a["op"] == "SCMP_CMP_MASKED_EQ"):
        if draw(st.booleans()):
            arg["valueTwo"] &= arg["value"]  # else it can never hold
    given_args = []
    for index in range(6):
        about = [a for r in rules for a in r["args"] if a["index"] == index]
        near = [n for a in about for key in ("value", "valueTwo") for n in _beside(a[key])]
        near += [a["valueTwo"] | (draw(edges) & ~a["value"]) for a in about]  # a mask does not look at these
        given_args.append(draw(st.sampled_from(near or [0])))
    return {"defaultAction": draw(_actions), "syscalls": rules}, table("x86_64")["ioctl"], tuple(given_args)


@settings(max_examples=500, deadline=None)
@given(_compared())
def test_comparisons_at_their_edges(case: tuple[dict[str, Any], int, tuple[int, ...]]) -> None:
    profile, number, args = case
    assert run_bpf(compile_profile(profile), ARCHES["x86_64"], number, args) == decide(profile, "x86_64", number, args)


@pytest.mark.parametrize("op", ["EQ", "NE", "LT", "LE", "GT", "GE", "MASKED_EQ"])
@pytest.mark.parametrize("value", _EDGES)
def test_every_comparison_beside_every_edge(op: str, value: int) -> None:
    """Without chance: one rule, each operator, each pair of halves, each neighbour."""
    for two in {value, 0, value & 0xFFFFFFFF, value & ~0xFFFFFFFF} if op == "MASKED_EQ" else {0}:
        arg = {"index": 1, "value": value, "valueTwo": two, "op": f"SCMP_CMP_{op}"}
        profile = {
            "defaultAction": "SCMP_ACT_ERRNO",
            "syscalls": [{"names": ["ioctl"], "action": "SCMP_ACT_ALLOW", "args": [arg]}],
        }
        program = compile_profile(profile)
        for have in {*_beside(value), *_beside(two), *_EDGES}:
            args = (0, have, 0, 0, 0, 0)
            number = table("x86_64")["ioctl"]
            assert run_bpf(program, ARCHES["x86_64"], number, args) == decide(profile, "x86_64", number, args), hex(
                have
            )


@settings(max_examples=600, deadline=None)
@given(_profiles, _arches, _numbers, st.tuples(*[_values] * 6))
def test_the_filter_decides_as_the_profile_says(
    profile: dict[str, Any], arch: str, number: int, args: tuple[int, ...]
) -> None:
    assert run_bpf(compile_profile(profile), ARCHES[arch], number, args) == decide(profile, arch, number, args)


@settings(max_examples=100, deadline=None)
@given(_profiles, st.integers(0, 0xFFFFFFFF).filter(lambda a: a not in (ARCHES["x86_64"], ARCHES["x86"])), _numbers)
def test_an_architecture_that_is_not_the_hosts_is_killed(profile: dict[str, Any], arch: int, number: int) -> None:
    assert run_bpf(compile_profile(profile), arch, number) == KILL_PROCESS
