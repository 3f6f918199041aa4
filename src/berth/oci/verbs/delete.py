"""``delete [-f] ID``: remove what is left. With ``--force`` whatever lives is killed, and what is not there is no error.

Spec: runtime-spec 1.2 runtime.md "Delete".
"""

from __future__ import annotations

import os
import signal

from berth.base.errors import Conflict, NotFound
from berth.oci import lives, record
from berth.oci.dispatch import Program
from berth.oci.flags import Flags, Options, exactly

FLAGS = Flags((), ("force,f",))


def run(program: Program, options: Options) -> int:
    exactly(options, "delete", 1)
    force = options.on("force")
    try:
        found = record.load(program.root, options.words[0])
    except NotFound:
        if not force:
            raise
        record.Record(program.root, {"id": options.words[0]}).remove()  # a folder that never got a state
        return 0
    status = found.status()
    if status in ("running", "paused", "creating") and not force:
        raise Conflict(f"cannot delete container {found.id} that is not stopped: {status}")
    if status not in ("stopped", "creating"):
        _kill(found.pid)
    lives.destroy(program, found)
    return 0


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
