"""From a bundle to a created container: what ``create``, ``run`` and ``restore`` share."""

from __future__ import annotations

import os
import socket
from typing import Any

from berth.base.errors import Conflict, InvalidArgument
from berth.base.undo import Undo
from berth.kernel import cgroups
from berth.kernel import process as p
from berth.oci import bundle, launch, lives
from berth.oci.dispatch import Program
from berth.oci.document import Document
from berth.oci.flags import Options
from berth.oci.init import StageDefaults
from berth.oci.record import Record, describe_streams, reserve, start_time

VALUED = ("bundle,b", "console-socket", "pidfd-socket", "pid-file", "preserve-fds")
SWITCHES = ("no-pivot", "no-new-keyring")


class Made:
    """A container that waits for its start: its record, and the terminal's master (-1 without one, or when it was sent)."""

    def __init__(self, record: Record, handle: launch.InitHandle, console: int) -> None:
        self.record = record
        self.handle = handle
        self.console = console


def make(program: Program, options: Options, container_id: str, *, detached: bool) -> Made:
    """Create; on any failure nothing is left. Raises: the kind of what failed, naming the step."""
    where = os.path.abspath(options.text("bundle") or ".")
    spec = bundle.read_config(where)
    check_terminal(spec["process"], options, detached=detached)
    kept_fds = preserved_fds(options, spec["process"])
    record = reserve(program.root, container_id, spec, where, systemd=program.systemd)
    with Undo() as undo:
        undo.push("remove the state", record.remove)
        group = record.group()
        check_group(group)
        undo.push("remove the cgroup", lives.remove_group, record, group)
        for warning in group.make(spec["linux"].get("resources") or {}):
            program.warn(warning)
        stage = os.path.join(record.folder, "stage")
        os.mkdir(stage, 0o700)
        os.mkfifo(record.fifo)
        os.chmod(record.fifo, 0o622)  # against the umask: in a user namespace init is another user
        p.prctl(p.PR_SET_DUMPABLE, 0)
        handle = launch.park_init(
            group, cgroups.detect(), StageDefaults(stage, (), ()), staged=False, linux=spec["linux"], kept_fds=kept_fds,
        )  # fmt: skip
        undo.push("reap init", _reap, handle.pid)
        undo.push("kill init", handle.kill)
        group.adopt(handle.pid)
        console = _create(program, handle, record, options)
        remember(record, handle.pid, group)
        if options.text("pid-file"):
            write_pid_file(options.text("pid-file"), handle.pid)
        if console >= 0 and options.text("console-socket"):
            send_console(options.text("console-socket"), console)
            os.close(console)
            console = -1
    return Made(record, handle, console)


def _create(program: Program, handle: launch.InitHandle, record: Record, options: Options) -> int:
    """Everything up to execve; returns the terminal's master or -1."""
    spec = record.spec
    size = spec["process"].get("consoleSize") or {}
    terminal = bool(spec["process"].get("terminal"))
    if not terminal:
        record.state["external_descriptors"] = describe_streams()
    record.state["init_process_pid"] = handle.pid  # hooks may ask for the state
    record.state["init_process_start"] = start_time(handle.pid)
    if spec.get("hooks"):
        record.save()
    how = {
        "id": record.id, "bundle": record.state["bundle"], "annotations": spec.get("annotations") or {},
        "no_pivot": options.on("no-pivot"), "keyring": "" if options.on("no-new-keyring") else f"_ses.{record.id}",
    }  # fmt: skip
    console, warnings = handle.create(
        Document.of(spec), None, () if terminal else (0, 1, 2), rows=int(size.get("height") or 0),
        cols=int(size.get("width") or 0), exec_fifo=record.fifo, how=how,
    )  # fmt: skip
    for warning in warnings:
        program.warn(warning)
    return console


def remember(record: Record, pid: int, group: cgroups.Cgroup) -> None:
    names = ("NEWCGROUP", "NEWIPC", "NEWNET", "NEWNS", "NEWPID", "NEWTIME", "NEWUSER", "NEWUTS")
    files = ("cgroup", "ipc", "net", "mnt", "pid", "time", "user", "uts")
    record.state.update({
        "init_process_pid": pid, "init_process_start": start_time(pid), "cgroup_paths": group.paths(),
        "namespace_paths": {n: f"/proc/{pid}/ns/{f}" for n, f in zip(names, files, strict=True)},
    })  # fmt: skip
    record.save()


def check_terminal(process: dict[str, Any], options: Options, *, detached: bool) -> None:
    socket_path = options.text("console-socket")
    if process.get("terminal") and detached and not socket_path:
        raise InvalidArgument("cannot allocate tty if runc will detach without setting console socket")
    if socket_path and not (process.get("terminal") and detached):
        raise InvalidArgument("cannot use console socket if runc will not detach or allocate tty")


def check_group(group: cgroups.Cgroup) -> None:
    """Spec: config-linux.md "Control groups": a frozen or non-empty group is not fit for a new container."""
    count = len(group.procs())
    if count:
        raise Conflict(f"container's cgroup is not empty: {count} process(es) found")
    if group.frozen():
        raise Conflict("container's cgroup unexpectedly frozen")


def preserved_fds(options: Options, process: dict[str, Any]) -> list[int]:
    """``--preserve-fds`` and systemd's LISTEN_FDS: descriptors from 3 on that the program gets. Raises: InvalidArgument."""
    count = options.number("preserve-fds")
    listening = os.environ.get("LISTEN_FDS", "")
    if listening.isdigit() and int(listening):
        count += int(listening)
        process["env"] = [*(process.get("env") or ()), f"LISTEN_FDS={listening}", "LISTEN_PID=1"]
    for fd in range(3, 3 + count):
        try:
            os.fstat(fd)
        except OSError:
            raise InvalidArgument(f"unable to preserve fds: file descriptor {fd} is not open") from None
        os.set_inheritable(fd, True)
    return list(range(3, 3 + count))


def send_console(path: str, master: int) -> None:
    """The terminal's master to whoever listens. Raises: OSError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.connect(path)
        socket.send_fds(sock, [b"/dev/ptmx"], [master])


def write_pid_file(path: str, pid: int) -> None:
    """Whole or not at all: a watcher never reads half a number."""
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}")
    with open(temporary, "w", encoding="ascii") as file:
        file.write(str(pid))
    os.rename(temporary, path)


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass
