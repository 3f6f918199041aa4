"""``pause ID``: freeze all processes of the container."""

from __future__ import annotations

from berth.base.errors import Conflict
from berth.oci import record
from berth.oci.dispatch import Program
from berth.oci.flags import Flags, Options, exactly

FLAGS = Flags()


def run(program: Program, options: Options) -> int:
    exactly(options, "pause", 1)
    found = record.load(program.root, options.words[0])
    status = found.status()
    if status not in ("running", "created"):
        raise Conflict(f"cannot pause a container that is {status}" if status == "paused" else "container not running")
    found.group().freeze()
    return 0
