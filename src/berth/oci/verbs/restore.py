"""``restore ID``: a container brought back by CRIU from what ``checkpoint`` wrote."""

from __future__ import annotations

import os

from berth.base.undo import Undo
from berth.kernel import process as p
from berth.oci import bundle, criu, hooks, lives, making, record
from berth.oci.dispatch import Program
from berth.oci.flags import Flags, Options, exactly

FLAGS = Flags(
    (*making.VALUED, "image-path", "work-path", "manage-cgroups-mode", "empty-ns", "lsm-profile", "lsm-mount-context"),
    (*making.SWITCHES, "detach,d", "no-subreaper", "tcp-established", "ext-unix-sk", "shell-job", "file-locks", "auto-dedup",
     "lazy-pages"),
)  # fmt: skip


def run(program: Program, options: Options) -> int:
    exactly(options, "restore", 1)
    criu.require(program.criu)
    where = os.path.abspath(options.text("bundle") or ".")
    spec = bundle.read_config(where)
    making.check_terminal(spec["process"], options, detached=options.on("detach"))
    if not (options.on("detach") or options.on("no-subreaper")):
        p.prctl(p.PR_SET_CHILD_SUBREAPER, 1)
    found = record.reserve(program.root, options.words[0], spec, where, systemd=program.systemd)
    console = _restore(program, options, found)
    if options.on("detach"):
        return 0
    if console >= 0:
        from berth.oci import terminal

        status = terminal.serve(console, found.pid)
        os.close(console)
    else:
        status = lives.wait(found.pid)
    lives.destroy(program, found)
    return status


def _restore(program: Program, options: Options, found: record.Record) -> int:
    """The container runs again; returns its terminal's master or -1. On any failure nothing is left."""

    def notify(name: str, pid: int, fd: int) -> None:
        if name == "setup-namespaces":
            state = {**found.hook_state("creating"), "pid": pid}
            for kind in ("prestart", "createRuntime"):
                hooks.run_all(found.spec.get("hooks") or {}, kind, state, found.state["bundle"])

    with Undo() as undo:
        undo.push("remove the state", found.remove)
        back = criu.Restoring(found, options, os.path.abspath(options.text("image-path") or "checkpoint"))
        group = found.group()
        making.check_group(group)
        undo.push("remove the cgroup", lives.remove_group, found, group)
        for warning in group.make(found.spec["linux"].get("resources") or {}):
            program.warn(warning)
        back.run(program.criu, group, notify)
        if not found.spec["process"].get("terminal"):
            found.state["external_descriptors"] = record.describe_streams()
        making.remember(found, back.pid, group)
        if options.text("pid-file"):
            making.write_pid_file(options.text("pid-file"), back.pid)
        if back.console >= 0 and options.text("console-socket"):
            making.send_console(options.text("console-socket"), back.console)
            os.close(back.console)
            back.console = -1
    return back.console
