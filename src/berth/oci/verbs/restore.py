"""``restore ID``: a container brought back by CRIU from what ``checkpoint`` wrote."""

from __future__ import annotations

import os

from berth.base.undo import Undo
from berth.oci import bundle, criu, lives, making, record
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
    found = record.reserve(program.root, options.words[0], spec, where, systemd=program.systemd)
    with Undo() as undo:
        undo.push("remove the state", found.remove)
        group = found.group()
        undo.push("remove the cgroup", lives.remove_group, found, group)
        for warning in group.make(spec["linux"].get("resources") or {}):
            program.warn(warning)
        pid = criu.restore(program.criu, found, options, os.path.abspath(options.text("image-path") or "checkpoint"))
        making._remember(found, pid, group)
        if options.text("pid-file"):
            making.write_pid_file(options.text("pid-file"), pid)
    if options.on("detach"):
        return 0
    status = criu.wait_for(pid)
    lives.destroy(program, found)
    return status
