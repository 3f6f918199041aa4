"""``events [--stats] [--interval 5s] ID``: figures at intervals and OOM kills, a JSON object a line; once with ``--stats``."""

from __future__ import annotations

import json
import time

from berth.base.errors import Conflict, InvalidArgument
from berth.oci import figures, record
from berth.oci.dispatch import Program
from berth.oci.flags import Flags, Options, exactly

FLAGS = Flags(("interval",), ("stats",))
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_LOOK_S = 0.2


def run(program: Program, options: Options) -> int:
    exactly(options, "events", 1)
    interval_s = _seconds(options.text("interval", "5s"))
    found = record.load(program.root, options.words[0])
    if found.status() == "stopped":
        raise Conflict("container with id " + found.id + " is not running")
    if options.on("stats"):
        _tell(found, "stats")
        return 0
    group = found.group()
    kills, due = group.oom_kills(), time.monotonic() + interval_s
    while found.status() != "stopped":
        time.sleep(min(_LOOK_S, max(0.0, due - time.monotonic())))
        now = group.oom_kills()
        for _ in range(now - kills):
            print(json.dumps({"type": "oom", "id": found.id}), flush=True)
        kills = now
        if time.monotonic() >= due and found.status() != "stopped":
            _tell(found, "stats")
            due += interval_s
    return 0


def _tell(found: record.Record, kind: str) -> None:
    print(json.dumps({"type": kind, "id": found.id, "data": figures.stats_of(found.group())}), flush=True)


def _seconds(text: str) -> float:
    """Go's "5s", "500ms", "1m". Raises: InvalidArgument."""
    for unit in sorted(_UNITS, key=len, reverse=True):
        if text.endswith(unit):
            try:
                value = float(text[: -len(unit)]) * _UNITS[unit]
            except ValueError:
                break
            if value > 0:
                return value
            break
    raise InvalidArgument("duration interval must be greater than 0")
