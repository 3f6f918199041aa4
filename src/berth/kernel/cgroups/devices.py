"""Which devices a container may use: rules in their order → what cgroup v1 is told. ``device_program.py`` does it for v2.

A list of rules stands on top of "deny everything" (GHSA-g54h-m393-cpwq: it was once read as a deny list); for every kind of
access the last rule that fits a device decides, and the default devices come last, as the specification wants them.
Spec: OCI runtime-spec 1.2 config-linux.md "Allowed Device list" and "Default Devices".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import combinations
from typing import Any, NamedTuple

from berth.base.errors import InvalidArgument


class DeviceRule(NamedTuple):
    """``kind`` a, b or c; -1 is any number; ``access`` of r, w, m."""

    allow: bool
    kind: str
    major: int
    minor: int
    access: str


DEFAULT_RULES: tuple[DeviceRule, ...] = (
    DeviceRule(True, "c", -1, -1, "m"),
    DeviceRule(True, "b", -1, -1, "m"),
    DeviceRule(True, "c", 1, 3, "rwm"),  # null
    DeviceRule(True, "c", 1, 5, "rwm"),  # zero
    DeviceRule(True, "c", 1, 7, "rwm"),  # full
    DeviceRule(True, "c", 1, 8, "rwm"),  # random
    DeviceRule(True, "c", 1, 9, "rwm"),  # urandom
    DeviceRule(True, "c", 5, 0, "rwm"),  # tty
    DeviceRule(True, "c", 5, 2, "rwm"),  # ptmx
    DeviceRule(True, "c", 136, -1, "rwm"),  # pts/*
)


def rules_of(spec: Sequence[Mapping[str, Any]]) -> list[DeviceRule]:
    """OCI device rules in their order, then the default devices. Raises: InvalidArgument (a type or access unheard of)."""
    found = []
    for rule in spec:
        major, minor = rule.get("major"), rule.get("minor")
        kind, access = str(rule.get("type") or "a"), str(rule.get("access") or "rwm")
        if kind not in ("a", "b", "c") or not set(access) <= set("rwm"):
            raise InvalidArgument(f"invalid device rule: type {kind!r}, access {access!r}", op="devices")
        numbers = [-1 if n is None else int(n) for n in (major, minor)]
        found.append(DeviceRule(bool(rule.get("allow")), kind, numbers[0], numbers[1], access))
    return [*found, *DEFAULT_RULES]


Key = tuple[str, int, int]  # kind b or c, major, minor; -1 is any


class V1Lines(NamedTuple):
    """What is written: "a" to devices.allow or devices.deny, then each exception to the other one."""

    allowed: bool
    exceptions: list[str]


@lru_cache(maxsize=16)
def v1_lines(rules: tuple[DeviceRule, ...]) -> V1Lines:
    """The kernel's own state (a default and exceptions to it) that says what the rules say.

    The kernel takes an access when one single exception grants all of it, and removes exceptions only by their exact numbers:
    so overlapping ones are joined here, and what is taken back is taken back here.
    Raises: InvalidArgument where v1 has no words for it (a part of a wider exception taken back).
    """
    allowed, exceptions = False, dict[Key, set[str]]()
    for rule in rules:
        if rule.kind == "a" and rule.major < 0 and rule.minor < 0 and set(rule.access) == set("rwm"):
            allowed, exceptions = rule.allow, {}
            continue
        for kind in "bc" if rule.kind == "a" else rule.kind:
            key = (kind, rule.major, rule.minor)
            if rule.allow != allowed:
                exceptions.setdefault(key, set()).update(rule.access)
                _join(exceptions)
            else:
                _take_back(exceptions, key, set(rule.access))
    return V1Lines(allowed, [_line(key, access) for key, access in exceptions.items() if access])


def _join(exceptions: dict[Key, set[str]]) -> None:
    """Where two exceptions meet, one of the meeting's own grants what both do."""
    changed = True
    while changed:
        changed = False
        for one, other in combinations(tuple(exceptions), 2):
            meeting = _meet(one, other)
            if meeting is None:
                continue
            both = exceptions[one] | exceptions[other]
            if not both <= exceptions.get(meeting, set()):
                exceptions.setdefault(meeting, set()).update(both)
                changed = True


def _take_back(exceptions: dict[Key, set[str]], key: Key, access: set[str]) -> None:
    for other, granted in exceptions.items():
        meeting = _meet(other, key)
        if meeting is None or not granted & access:
            continue
        if meeting != other:
            raise InvalidArgument(
                f"device rules: cgroup v1 cannot take {_line(key, access)} back from {_line(other, granted)}",
                op="devices",
            )
        granted -= access


def _meet(one: Key, other: Key) -> Key | None:
    """The devices that both name, None when there are none."""
    if one[0] != other[0]:
        return None
    numbers = []
    for a, b in ((one[1], other[1]), (one[2], other[2])):
        if a >= 0 and b >= 0 and a != b:
            return None
        numbers.append(max(a, b))
    return one[0], numbers[0], numbers[1]


def _line(key: Key, access: set[str]) -> str:
    kind, *numbers = key
    major, minor = ("*" if n < 0 else str(n) for n in numbers)
    return f"{kind} {major}:{minor} {''.join(a for a in 'rwm' if a in access)}"
