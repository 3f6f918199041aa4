"""Device rules: what cgroup v1 is told and what v2's program answers decide as an interpreter of the rules does.

The interpreter: nothing is allowed; for every kind of access that is asked for, the last rule that fits the device decides;
the default devices come last.
"""

from __future__ import annotations

import struct
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from berth.base.errors import InvalidArgument
from berth.kernel.cgroups.device_program import program
from berth.kernel.cgroups.devices import DEFAULT_RULES, DeviceRule, V1Lines, rules_of, v1_lines

Device = tuple[str, int, int, str]  # kind, major, minor, the access that is asked for


def decide(rules: list[DeviceRule], device: Device) -> bool:
    kind, major, minor, access = device
    for letter in access:
        fitting = [
            r
            for r in rules
            if r.kind in ("a", kind) and r.major in (-1, major) and r.minor in (-1, minor) and letter in r.access
        ]
        if not fitting or not fitting[-1].allow:
            return False
    return True


def v1_kernel(lines: V1Lines, device: Device) -> bool:
    """security/device_cgroup.c: a default, and exceptions: one that grants all of it, or any that takes a part away."""
    kind, major, minor, access = device
    exceptions = []
    for line in lines.exceptions:
        of, numbers, granted = line.split(" ")
        numbers_of = ["-1" if n == "*" else n for n in numbers.split(":")]
        exceptions.append((of, int(numbers_of[0]), int(numbers_of[1]), set(granted)))
    fitting = [g for of, m, n, g in exceptions if of == kind and m in (-1, major) and n in (-1, minor)]
    if lines.allowed:
        return not any(granted & set(access) for granted in fitting)
    return any(set(access) <= granted for granted in fitting)


def v2_kernel(code: bytes, device: Device) -> bool:
    """The few instructions of eBPF that the program is made of."""
    kind, major, minor, access = device
    bits = sum({"m": 1, "r": 2, "w": 4}[a] for a in access)
    context = {0: bits << 16 | {"b": 1, "c": 2}[kind], 4: major, 8: minor}
    instructions = [struct.unpack_from("=BBhi", code, at) for at in range(0, len(code), 8)]
    registers, at = [0] * 10, 0
    while True:
        op, both, offset, value = instructions[at]
        to, source = both & 15, both >> 4
        at += 1
        if op == 0x61:
            registers[to] = context[offset]
        elif op == 0xBF:
            registers[to] = registers[source]
        elif op == 0xB7:
            registers[to] = value
        elif op == 0x57:
            registers[to] &= value
        elif op == 0x77:
            registers[to] >>= value
        elif op == 0x55:
            at += offset if registers[to] != value else 0
        elif op == 0x15:
            at += offset if registers[to] == value else 0
        elif op == 0x95:
            return bool(registers[0])
        else:
            raise AssertionError(f"unknown instruction {op:#x}")


_numbers = st.sampled_from([0, 1, 3, 5, 136])
_maybe = st.one_of(st.none(), _numbers)
_access = st.lists(st.sampled_from("rwm"), min_size=1, max_size=3, unique=True).map("".join)
_rules = st.lists(
    st.fixed_dictionaries(
        {"allow": st.booleans()}, optional={"type": st.sampled_from("abc"), "major": _maybe, "minor": _maybe, "access": _access}
    ),
    max_size=6,
)  # fmt: skip
_grant = {"allow": st.just(True), "type": st.sampled_from("bc"), "major": _maybe, "minor": _maybe, "access": _access}
_grants = st.lists(st.fixed_dictionaries(_grant), max_size=6)
_devices = st.tuples(st.sampled_from("bc"), _numbers, _numbers, _access)


@settings(max_examples=600, deadline=None)
@given(_rules, _devices)
def test_the_v2_program_decides_as_the_rules_say(spec: list[dict[str, Any]], device: Device) -> None:
    rules = rules_of(spec)
    assert v2_kernel(program(rules), device) == decide(rules, device)


@settings(max_examples=600, deadline=None)
@given(_rules, _devices)
def test_v1_decides_as_the_rules_say_or_refuses_them(spec: list[dict[str, Any]], device: Device) -> None:
    rules = rules_of(spec)
    try:
        lines = v1_lines(tuple(rules))
    except InvalidArgument:
        assume(False)
        raise
    assert v1_kernel(lines, device) == decide(rules, device)


@settings(max_examples=300, deadline=None)
@given(_grants, _devices)
def test_a_list_of_grants_is_never_refused_by_v1(spec: list[dict[str, Any]], device: Device) -> None:
    """What engines send: deny all, then grants."""
    rules = rules_of([{"allow": False, "access": "rwm"}, *spec])
    assert v1_kernel(v1_lines(tuple(rules)), device) == decide(rules, device)


def test_nothing_said_is_the_default_devices() -> None:
    nodes = ["1:3", "1:5", "1:7", "1:8", "1:9", "5:0", "5:2", "136:*"]
    assert v1_lines(tuple(rules_of([]))) == V1Lines(False, ["c *:* m", "b *:* m", *(f"c {n} rwm" for n in nodes)])
    assert rules_of([]) == list(DEFAULT_RULES)
