"""``state ID``: the state of a container as JSON. Spec: runtime-spec 1.2 runtime.md "Query State"."""

from __future__ import annotations

import json

from berth.oci import record
from berth.oci.dispatch import Program
from berth.oci.flags import Flags, Options, exactly

FLAGS = Flags()


def run(program: Program, options: Options) -> int:
    exactly(options, "state", 1)
    print(json.dumps(record.load(program.root, options.words[0]).oci_state(), indent=2))
    return 0
