"""``start ID``: let what was created run. Spec: runtime-spec 1.2 runtime.md "Start"."""

from __future__ import annotations

from berth.oci import lives, record
from berth.oci.dispatch import Program
from berth.oci.flags import Flags, Options, exactly

FLAGS = Flags()


def run(program: Program, options: Options) -> int:
    exactly(options, "start", 1)
    lives.start(program, record.load(program.root, options.words[0]))
    return 0
