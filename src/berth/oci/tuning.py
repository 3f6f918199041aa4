"""What few configs ask of a process: scheduler, I/O priority, CPU affinity, personality. Checked first, applied last.

Spec: OCI runtime-spec 1.2 config.md "Linux Process" (scheduler, ioPriority, execCPUAffinity), config-linux.md "Personality".
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from berth.base.errors import InvalidArgument, Unsupported, from_oserror
from berth.kernel import process as p

POLICIES = {
    "SCHED_OTHER": 0, "SCHED_FIFO": 1, "SCHED_RR": 2, "SCHED_BATCH": 3, "SCHED_ISO": 4, "SCHED_IDLE": 5,
    "SCHED_DEADLINE": 6,
}  # fmt: skip
FLAGS = {
    "SCHED_FLAG_RESET_ON_FORK": 0x01, "SCHED_FLAG_RECLAIM": 0x02, "SCHED_FLAG_DL_OVERRUN": 0x04,
    "SCHED_FLAG_KEEP_POLICY": 0x08, "SCHED_FLAG_KEEP_PARAMS": 0x10, "SCHED_FLAG_UTIL_CLAMP_MIN": 0x20,
    "SCHED_FLAG_UTIL_CLAMP_MAX": 0x40,
}  # fmt: skip
IO_CLASSES = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}
PERSONALITIES = {"LINUX": 0x0000, "LINUX32": 0x0008}


class Extras(NamedTuple):
    scheduler: Mapping[str, Any] | None
    io_priority: tuple[int, int] | None
    personality: int | None


class Affinity(NamedTuple):
    """CPUs before and after the move to the container's cgroup; None: what the cgroup allows."""

    initial: frozenset[int] | None
    final: frozenset[int] | None


def has_listener(linux: Mapping[str, Any]) -> bool:
    """Whether the filter asks somebody outside."""
    profile = linux.get("seccomp")
    if not isinstance(profile, dict):  # of JSON; to ask for Mapping would wake up the ABC machinery
        return False
    return profile.get("defaultAction") == "SCMP_ACT_NOTIFY" or any(
        r.get("action") == "SCMP_ACT_NOTIFY" for r in profile.get("syscalls") or ()
    )


def plan(process: Mapping[str, Any], linux: Mapping[str, Any]) -> Extras | None:
    """None when nothing is asked for. Raises: InvalidArgument naming the word, of the affinity too."""
    scheduler, priority = process.get("scheduler"), process.get("ioPriority")
    personality = linux.get("personality")
    affinity(process)
    if not (scheduler or priority or personality):
        return None
    return Extras(
        _check_scheduler(scheduler) if scheduler else None,
        _io_priority(priority) if priority else None,
        _personality(personality) if personality else None,
    )


def affinity(process: Mapping[str, Any]) -> Affinity | None:
    """Of a process beside init, for which alone it counts. Raises: InvalidArgument."""
    words = process.get("execCPUAffinity")
    return Affinity(cpus(words.get("initial")), cpus(words.get("final"))) if words else None


def settle_affinity(wanted: Affinity) -> None:
    """After: the process is in its cgroup. Raises: OSError."""
    os.sched_setaffinity(0, wanted.final or range(os.cpu_count() or 1))


def _check_scheduler(scheduler: Mapping[str, Any]) -> Mapping[str, Any]:
    if scheduler.get("policy") not in POLICIES:
        raise InvalidArgument(f"invalid scheduler policy: {scheduler.get('policy')}", op="sched_setattr")
    for flag in scheduler.get("flags") or ():
        if flag not in FLAGS:
            raise InvalidArgument(f"invalid scheduler flag: {flag}", op="sched_setattr")
    return scheduler


def _io_priority(priority: Mapping[str, Any]) -> tuple[int, int]:
    kind, level = IO_CLASSES.get(str(priority.get("class"))), int(priority.get("priority") or 0)
    if kind is None or not 0 <= level <= 7:
        raise InvalidArgument(f"invalid ioPriority: {priority.get('class')} {level}", op="ioprio_set")
    return kind, level


def _personality(personality: Mapping[str, Any]) -> int:
    domain = PERSONALITIES.get(str(personality.get("domain")))
    if domain is None:
        raise InvalidArgument(f"unknown personality domain: {personality.get('domain')}", op="personality")
    if personality.get("flags"):
        raise Unsupported(f"unsupported personality flag: {personality['flags'][0]}", op="personality")
    return domain


def cpus(text: Any) -> frozenset[int] | None:
    """ "0-1,3" → numbers. Raises: InvalidArgument."""
    if not text:
        return None
    found: set[int] = set()
    try:
        for part in str(text).split(","):
            low, _, high = part.strip().partition("-")
            found.update(range(int(low), int(high or low) + 1))
    except ValueError:
        raise InvalidArgument(f"invalid CPU affinity: {text}", op="sched_setaffinity") from None
    return frozenset(found)


def apply(extras: Extras) -> None:
    """After: the process is in its cgroup; before its capabilities go. Raises: the kernel's answer with the step."""
    try:
        if extras.scheduler is not None:
            _set_scheduler(extras.scheduler)
        if extras.io_priority is not None:
            p.set_io_priority(*extras.io_priority)
        if extras.personality is not None:
            p.set_personality(extras.personality)
    except OSError as err:
        raise from_oserror(err, "set scheduler, I/O priority or personality", op=str(err.filename)) from err


def _set_scheduler(scheduler: Mapping[str, Any]) -> None:
    p.sched_setattr(
        POLICIES[str(scheduler["policy"])], sum(FLAGS[f] for f in scheduler.get("flags") or ()),
        nice=int(scheduler.get("nice") or 0), priority=int(scheduler.get("priority") or 0),
        runtime_ns=int(scheduler.get("runtime") or 0), deadline_ns=int(scheduler.get("deadline") or 0),
        period_ns=int(scheduler.get("period") or 0),
    )  # fmt: skip
