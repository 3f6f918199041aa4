"""A container that exists: start it, wait for it, take it away. Apart from ``making``, for these verbs need little of it."""

from __future__ import annotations

import os
import select
import signal
import sys
import time

from berth.base.errors import BerthError, Conflict
from berth.kernel import cgroups
from berth.oci import hooks
from berth.oci.dispatch import Program
from berth.oci.record import DEFAULT_PARENT, Record, start_time


def start(program: Program, record: Record) -> None:
    """Let a created container run. Raises: Conflict in runc's words."""
    status = record.status()
    if status == "stopped":
        raise Conflict("cannot start a container that has stopped")
    if status != "created":
        raise Conflict(f"cannot start an already {status} container")
    _open_gate(record)
    wanted = record.spec.get("hooks")
    if wanted:
        for warning in hooks.run_leniently(wanted, "poststart", record.hook_state("running"), record.state["bundle"]):
            program.warn(warning)


def _open_gate(record: Record) -> None:
    """Read init's byte from the fifo: it opens and writes when it is there. Raises: Conflict when it has died meanwhile."""
    fd = os.open(record.fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        poller = select.poll()
        poller.register(fd, select.POLLIN)
        while True:
            for _, events in poller.poll(50):
                if events & select.POLLIN and os.read(fd, 1):
                    _unlink(record.fifo)
                    return
            if start_time(record.pid) != record.state["init_process_start"]:
                if _written(fd):
                    _unlink(record.fifo)
                    return
                raise Conflict("container process is already dead")
    finally:
        os.close(fd)


def _written(fd: int) -> bool:
    try:
        return bool(os.read(fd, 1))
    except BlockingIOError:
        return False


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def remove_group(record: Record, group: cgroups.Cgroup) -> None:
    """Kill what is left and remove the group. Raises: OSError when its processes do not end."""
    for attempt in range(200):
        try:
            group.delete()
            break
        except OSError:
            if attempt == 199:
                raise
            if group.frozen():
                group.thaw()  # a frozen process on v1 does not even die
            group.kill()
            time.sleep(min(0.001 * (attempt + 1), 0.05))
    _remove_default_parent(record)


def _remove_default_parent(record: Record) -> None:
    if str(record.state["cgroups_path"]).startswith(DEFAULT_PARENT + "/"):
        try:
            for path in cgroups.open_group(DEFAULT_PARENT).paths().values():
                os.rmdir(path)
        except OSError:
            pass  # another container is in it


def wait(pid: int) -> int:
    """The exit status of a child of ours, as a shell has it; signals go on to it meanwhile."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda got, _: _forward(pid, got))
    while True:
        found, status = os.waitpid(-1, 0)
        if found == pid:
            return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _forward(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def destroy(program: Program, record: Record) -> None:
    """Kill what lives, remove group and state, then run the poststop hooks. Raises: OSError."""
    group = record.group()
    remove_group(record, group)
    wanted = record.spec.get("hooks")
    state = record.hook_state("stopped")
    record.remove()
    if wanted:
        for warning in hooks.run_leniently(wanted, "poststop", state, _folder_of(record)):
            program.warn(warning)


def _folder_of(record: Record) -> str:
    folder = str(record.state["bundle"])
    return folder if os.path.isdir(folder) else "/"


def drop_quietly(program: Program, record: Record) -> None:
    try:
        destroy(program, record)
    except (BerthError, OSError) as err:
        print(f"berth-runtime: {err}", file=sys.stderr)
