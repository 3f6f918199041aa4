"""``checkpoint ID``: a running container written to disk by CRIU; it ends unless ``--leave-running``."""

from __future__ import annotations

import os

from berth.base.errors import Conflict
from berth.oci import criu, lives, record
from berth.oci.dispatch import Program
from berth.oci.flags import Flags, Options, exactly

FLAGS = Flags(
    ("image-path", "work-path", "parent-path", "status-fd", "page-server", "manage-cgroups-mode", "empty-ns"),
    ("leave-running", "tcp-established", "ext-unix-sk", "shell-job", "lazy-pages", "file-locks", "pre-dump", "auto-dedup"),
)  # fmt: skip


def run(program: Program, options: Options) -> int:
    exactly(options, "checkpoint", 1)
    found = record.load(program.root, options.words[0])
    if found.status() not in ("running", "paused"):
        raise Conflict(f"Container cannot be checkpointed in {found.status()} state")
    images = os.path.abspath(options.text("image-path") or "checkpoint")
    criu.dump(program.criu, found, options, images)
    if not (options.on("leave-running") or options.on("pre-dump")):
        lives.destroy(program, found)
    return 0
