"""OCI seccomp profile → BPF filter.

    architecture → section          an unknown one: killed (the profile's default where that is stricter is not)
      x32 calls  → default action
      calls younger than the youngest one the profile names → ENOSYS, unless the default lets them through (as runc: a C
                   library tries a new call and falls back to an old one on ENOSYS, never on EPERM)
      numbers    → binary search over ranges that share one fate
        fate     = an action, or the tests of a call whose rules compare arguments

Spec: OCI runtime-spec 1.2 config-linux.md "Seccomp"; libseccomp's semantics: an unconditional rule of a call supersedes its
conditional ones; the arguments of one rule must all fit, except that one argument named twice fits either way (as runc).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from berth.base.errors import InvalidArgument
from berth.kernel.seccomp import bpf
from berth.kernel.seccomp.default import default_profile
from berth.kernel.seccomp.syscalls import table

_AUDIT_ARCH = {"x86_64": 0xC000003E, "x86": 0x40000003, "aarch64": 0xC00000B7}
_OCI_ARCH = {"SCMP_ARCH_X86_64": "x86_64", "SCMP_ARCH_X86": "x86", "SCMP_ARCH_AARCH64": "aarch64"}
_HOST_ARCHES = {"x86_64": ("x86_64", "x86"), "aarch64": ("aarch64",)}
_X32_BIT = 0x40000000

_ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000, "SCMP_ACT_KILL_THREAD": 0x00000000, "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000, "SCMP_ACT_ERRNO": 0x00050000, "SCMP_ACT_NOTIFY": 0x7FC00000,
    "SCMP_ACT_TRACE": 0x7FF00000, "SCMP_ACT_LOG": 0x7FFC0000, "SCMP_ACT_ALLOW": 0x7FFF0000,
}  # fmt: skip
_WITH_DATA = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
_KILL_PROCESS = 0x80000000
_YOUNGER_PASS = frozenset({"SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"})
_EPERM, _ENOSYS = 1, 38

Conditions = tuple[tuple[int, int, int, str], ...]  # (argument, value, value two, op), all must hold
Fate = int | tuple[tuple[Conditions, int], ...]  # an action, or (conditions, action) in order


@lru_cache(maxsize=64)
def compile_default(capabilities: frozenset[str]) -> bytes:
    """The default profile for these capabilities."""
    return compile_profile(default_profile(capabilities))


def compile_profile(profile: Mapping[str, Any]) -> bytes:
    """Filter bytes (struct sock_filter[]). Raises: InvalidArgument naming the word that is unknown."""
    default = _action(profile.get("defaultAction"), profile.get("defaultErrnoRet"))
    asm = bpf.Assembler()
    arches = _arches(profile)
    asm.load(4)  # offsetof(struct seccomp_data, arch)
    sections = {arch: asm.new_label() for arch in arches}
    for arch, label in sections.items():
        asm.if_(bpf.JEQ, _AUDIT_ARCH[arch], label)
    asm.ret(_KILL_PROCESS)
    for arch, label in sections.items():
        asm.label(label)
        youngest = None if profile["defaultAction"] in _YOUNGER_PASS else _youngest(profile, arch)
        _section(asm, arch, _fates(profile, arch), default, youngest)
    try:
        return asm.assemble()
    except ValueError as err:
        raise InvalidArgument(str(err)) from err


def _arches(profile: Mapping[str, Any]) -> list[str]:
    host = _HOST_ARCHES.get(os.uname().machine, ())
    if not host:
        raise InvalidArgument(f"seccomp: no system call table for {os.uname().machine}")
    asked = profile.get("architectures")
    if not asked:
        return list(host)
    wanted = {_OCI_ARCH[a] for a in asked if a in _OCI_ARCH}
    return [a for a in host if a in wanted or a == host[0]]


def _action(name: object, errno_ret: object) -> int:
    if not isinstance(name, str) or name not in _ACTIONS:
        raise InvalidArgument(f"seccomp: unknown action {name!r}")
    value = _ACTIONS[name]
    if name in _WITH_DATA:
        value |= (errno_ret if isinstance(errno_ret, int) else _EPERM) & 0xFFFF
    return value


def _youngest(profile: Mapping[str, Any], arch: str) -> int | None:
    """The highest number that the profile names, by whatever action; None when it names no call of this architecture."""
    numbers = table(arch)
    named = (n for rule in profile.get("syscalls") or [] for n in rule.get("names") or [])
    return max((numbers[n] for n in named if n in numbers), default=None)


def _fates(profile: Mapping[str, Any], arch: str) -> dict[int, Fate]:
    numbers = table(arch)
    plain: dict[int, int] = {}
    tested: dict[int, list[tuple[Conditions, int]]] = {}
    for rule in profile.get("syscalls") or []:
        action = _action(rule.get("action"), rule.get("errnoRet"))
        alternatives = _alternatives(rule.get("args") or [])
        for name in rule.get("names") or []:
            number = numbers.get(name)
            if number is None:
                continue  # another architecture's call, or one that this table does not know: the default applies
            if not alternatives:
                plain.setdefault(number, action)
            else:
                tested.setdefault(number, []).extend((c, action) for c in alternatives)
    fates: dict[int, Fate] = {n: tuple(rules) for n, rules in tested.items()}
    fates.update(plain)
    return fates


def _alternatives(args: list[Mapping[str, Any]]) -> list[Conditions]:
    """Conditions of one rule; one argument named twice makes alternatives."""
    tests = []
    for arg in args:
        op = str(arg.get("op"))
        if op not in ("SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT",
                      "SCMP_CMP_MASKED_EQ"):  # fmt: skip
            raise InvalidArgument(f"seccomp: unknown comparison {op!r}")
        index = int(arg.get("index") or 0)
        if not 0 <= index <= 5:
            raise InvalidArgument(f"seccomp: argument index {index} is not 0 to 5")
        tests.append((index, int(arg.get("value") or 0), int(arg.get("valueTwo") or 0), op))
    if not tests:
        return []
    if len({t[0] for t in tests}) < len(tests):
        return [(t,) for t in tests]
    return [tuple(tests)]


def _section(asm: bpf.Assembler, arch: str, fates: dict[int, Fate], default: int, youngest: int | None) -> None:
    asm.load(0)  # offsetof(struct seccomp_data, nr)
    deny, unknown = asm.new_label(), asm.new_label()
    if arch == "x86_64":
        asm.if_(bpf.JGE, _X32_BIT, deny)
    if youngest is not None:
        asm.if_(bpf.JGT, youngest, unknown)
    bodies: dict[Fate, str] = {}
    _search(asm, _ranges(fates, default), bodies)
    asm.label(deny)
    asm.ret(default)
    asm.label(unknown)
    asm.ret(_ACTIONS["SCMP_ACT_ERRNO"] | _ENOSYS)
    for fate, label in bodies.items():
        asm.label(label)
        if isinstance(fate, int):
            asm.ret(fate)
        else:
            for conditions, action in fate:
                _tests(asm, conditions, action)
            asm.ret(default)


def _ranges(fates: dict[int, Fate], default: int) -> list[tuple[int, Fate]]:
    """(first number, fate) in ascending order; neighbours of one fate are merged."""
    ranges: list[tuple[int, Fate]] = [(0, default)]
    for number in range(max(fates, default=0) + 2):
        fate = fates.get(number, default)
        if fate != ranges[-1][1]:
            if ranges[-1][0] == number:
                ranges.pop()
            ranges.append((number, fate))
    return ranges


def _search(asm: bpf.Assembler, ranges: list[tuple[int, Fate]], bodies: dict[Fate, str]) -> None:
    if len(ranges) == 1:
        fate = ranges[0][1]
        label = bodies.get(fate)
        if label is None:
            label = bodies[fate] = asm.new_label()
        asm.goto(label)
        return
    middle = len(ranges) // 2
    upper = asm.new_label()
    asm.if_(bpf.JGE, ranges[middle][0], upper)
    _search(asm, ranges[:middle], bodies)
    asm.label(upper)
    _search(asm, ranges[middle:], bodies)


def _tests(asm: bpf.Assembler, conditions: Conditions, action: int) -> None:
    """``action`` when all conditions hold, else on to what follows."""
    otherwise = asm.new_label()
    for condition in conditions:
        _test(asm, condition, otherwise)
    asm.ret(action)
    asm.label(otherwise)


def _test(asm: bpf.Assembler, condition: tuple[int, int, int, str], otherwise: str) -> None:
    """Fall through when a 64-bit comparison holds, go to ``otherwise`` when it doesn't (little endian)."""
    index, value, two, op = condition
    low, high = 16 + 8 * index, 20 + 8 * index
    if op == "SCMP_CMP_MASKED_EQ":
        for offset, shift in ((high, 32), (low, 0)):
            asm.load(offset)
            asm.and_((value >> shift) & 0xFFFFFFFF)
            asm.unless(bpf.JEQ, (two >> shift) & 0xFFFFFFFF, otherwise)
        return
    value_high, value_low = (value >> 32) & 0xFFFFFFFF, value & 0xFFFFFFFF
    holds = asm.new_label()
    asm.load(high)
    if op == "SCMP_CMP_EQ":
        asm.unless(bpf.JEQ, value_high, otherwise)
        asm.load(low)
        asm.unless(bpf.JEQ, value_low, otherwise)
    elif op == "SCMP_CMP_NE":
        asm.unless(bpf.JEQ, value_high, holds)
        asm.load(low)
        asm.if_(bpf.JEQ, value_low, otherwise)
    elif op in ("SCMP_CMP_GT", "SCMP_CMP_GE"):
        asm.if_(bpf.JGT, value_high, holds)
        asm.unless(bpf.JEQ, value_high, otherwise)
        asm.load(low)
        asm.unless(bpf.JGT if op == "SCMP_CMP_GT" else bpf.JGE, value_low, otherwise)
    else:  # LT, LE
        asm.if_(bpf.JGT, value_high, otherwise)
        asm.unless(bpf.JEQ, value_high, holds)
        asm.load(low)
        asm.if_(bpf.JGE if op == "SCMP_CMP_LT" else bpf.JGT, value_low, otherwise)
    asm.label(holds)
