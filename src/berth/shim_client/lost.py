"""What a shim leaves that was killed: its container's processes, their group, its folder. They end here.

A shim that lives, and only does not answer in time, is left alone.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from typing import Any

from berth.kernel import cgroups

log = logging.getLogger("berth.shim")

_DEATH_S = 2.0
_END_S = 10.0


def bury(shim_dir: str) -> None:
    """Idempotent; nothing where there was no shim. Blocks until the processes have ended."""
    record = _record(shim_dir)
    if record is None:
        return
    deadline = time.monotonic() + _DEATH_S
    while _lives(record):
        if time.monotonic() > deadline:
            log.error("the shim in %s (process %s) lives, but has gone away", shim_dir, record.get("pid"))
            return
        time.sleep(0.01)
    if record.get("cgroup"):
        _end_group(str(record["cgroup"]))
    shutil.rmtree(shim_dir, ignore_errors=True)


def _record(shim_dir: str) -> dict[str, Any] | None:
    try:
        with open(os.path.join(shim_dir, "shim.json"), "rb") as file:
            found = json.loads(file.read(65536))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _lives(record: dict[str, Any]) -> bool:
    """Its number and the time it began: the number alone may be another's by now."""
    try:
        with open(f"/proc/{int(record['pid'])}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except (OSError, KeyError, ValueError):
        return False
    return fields[0] not in (b"Z", b"X") and int(fields[19]) == record.get("start_time")


def _end_group(path: str) -> None:
    group = cgroups.open_group(path)
    deadline = time.monotonic() + _END_S
    while True:
        try:
            group.delete()
            return
        except OSError as err:
            if time.monotonic() > deadline:
                log.error("the processes of %s do not end: %s", path, err)
                return
        try:
            if group.frozen():
                group.thaw()  # a frozen process on v1 does not even die
            group.kill()
        except OSError:
            pass  # it went meanwhile
        time.sleep(0.005)
