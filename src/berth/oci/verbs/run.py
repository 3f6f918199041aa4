"""``run [-d] [-b BUNDLE] ID``: create, start, and wait for the end unless detached."""

from __future__ import annotations

import os

from berth.kernel import process as p
from berth.oci import lives, making, record
from berth.oci.dispatch import Program
from berth.oci.flags import Flags, Options, exactly

FLAGS = Flags(making.VALUED, (*making.SWITCHES, "detach,d", "keep", "no-subreaper"))


def run(program: Program, options: Options) -> int:
    exactly(options, "run", 1)
    detached = options.on("detach")
    if not detached and not options.on("no-subreaper"):
        p.prctl(p.PR_SET_CHILD_SUBREAPER, 1)
    made = making.make(program, options, options.words[0], detached=detached)
    try:
        lives.start(program, made.record)
    except BaseException:
        lives.drop_quietly(program, made.record)
        raise
    if detached:
        return 0
    if made.console >= 0:
        from berth.oci import terminal

        status = terminal.serve(made.console, made.record.pid)
        os.close(made.console)
    else:
        status = lives.wait(made.record.pid)
    if not options.on("keep"):
        lives.destroy(program, record.load(program.root, made.record.id))
    return status
