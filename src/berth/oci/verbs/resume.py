"""``resume ID``: go on after ``pause``."""

from __future__ import annotations

from berth.base.errors import Conflict
from berth.oci import record
from berth.oci.dispatch import Program
from berth.oci.flags import Flags, Options, exactly

FLAGS = Flags()


def run(program: Program, options: Options) -> int:
    exactly(options, "resume", 1)
    found = record.load(program.root, options.words[0])
    status = found.status()
    if status != "paused":
        raise Conflict("container not paused")
    found.group().thaw()
    return 0
