"""netd's table on disk: ``<run-root>/netd/table.json``, replaced by a rename, read by the netd that comes next.

{"version": 4, "instance": "0a1b2c3d", "holds": [[proto, host_ip, port, endpoint, target_ip, target_port, size, source], ...]}
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import NamedTuple

from berth.netd.protocol import VERSION, Hold, hold_from


class TableFile(NamedTuple):
    """What the file says."""

    instance: str
    holds: list[Hold]


def load(path: str) -> TableFile | None:
    """The table, or None when there is none or it can't be understood (then nothing is held until the daemon asks)."""
    try:
        with open(path, "rb") as file:
            found = json.loads(file.read())
        return TableFile(str(found["instance"]), [hold_from(row) for row in found["holds"]])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def store(path: str, instance: str, holds: Sequence[Hold]) -> None:
    """Replace the table. No fsync: it lives as long as the sockets that it lists, until the machine stops."""
    text = json.dumps({"version": VERSION, "instance": instance, "holds": holds}, separators=(",", ":"))
    fd = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with open(fd, "wb") as file:
        file.write(text.encode())
    os.rename(f"{path}.new", path)
