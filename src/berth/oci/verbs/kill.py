"""``kill [-a] ID [SIGNAL]``: a signal to init, or with ``--all`` to every process of the cgroup.

A container without a pid namespace of its own has no init whose end takes the others along: SIGKILL goes to its whole cgroup.
Spec: runtime-spec 1.2 runtime.md "Kill".
"""

from __future__ import annotations

import os
import signal

from berth.base.errors import Conflict, InvalidArgument
from berth.oci import record
from berth.oci.dispatch import Program
from berth.oci.flags import Flags, Options, at_least
from berth.oci.namespaces import kinds
from berth.spec.signals import parse_signal

FLAGS = Flags((), ("all,a",))


def run(program: Program, options: Options) -> int:
    at_least(options, "kill", 1)
    if len(options.words) > 2:
        raise InvalidArgument('berth-runtime: "kill" requires a maximum of 2 argument(s)')
    found = record.load(program.root, options.words[0])
    number = parse_signal((options.words[1] if len(options.words) == 2 else "SIGTERM").lstrip("-"))
    status = found.status()
    everyone = options.on("all") or (number == signal.SIGKILL and "pid" not in kinds(found.spec))
    if status in ("stopped", "creating") and not options.on("all"):
        raise Conflict("container not running")
    if everyone:
        _kill_all(found, number)
        return 0
    _send(found.pid, number)
    if number == signal.SIGKILL and status == "paused":
        found.group().thaw()  # a frozen process of cgroup v1 does not die before that
    return 0


def _kill_all(found: record.Record, number: int) -> None:
    group = found.group()
    if number == signal.SIGKILL:
        group.kill()
        if group.frozen():
            group.thaw()
        return
    for pid in group.procs():
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        raise Conflict("container not running") from None
