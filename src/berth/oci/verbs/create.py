"""``create [-b BUNDLE] ID``: everything up to the program's execve. Spec: runtime-spec 1.2 runtime.md "Create"."""

from __future__ import annotations

from berth.oci import making
from berth.oci.dispatch import Program
from berth.oci.flags import Flags, Options, exactly

FLAGS = Flags(making.VALUED, making.SWITCHES)


def run(program: Program, options: Options) -> int:
    exactly(options, "create", 1)
    making.make(program, options, options.words[0], detached=True)
    return 0
