"""Failpoints: named places where a test makes the engine fail or die.

``BERTH_FAILPOINTS="shim.before_exec=error:ENOSPC;images.commit=kill"`` is read once at import. Actions:
``error:ERRNO`` raises that OSError, ``kill`` ends the process as SIGKILL would, ``sleep:SECONDS`` pauses.
With the variable unset, ``hit`` costs one truth test.
"""

from __future__ import annotations

import errno
import os
import signal
import time

_points: dict[str, str] = dict(
    entry.split("=", 1) for entry in os.environ.get("BERTH_FAILPOINTS", "").split(";") if "=" in entry
)


def hit(name: str) -> None:
    """Do what the environment asks for at ``name``; nothing when it asks for nothing."""
    if not _points:
        return
    action = _points.get(name)
    if action is None:
        return
    verb, _, arg = action.partition(":")
    if verb == "error":
        code = getattr(errno, arg)
        raise OSError(code, os.strerror(code), f"failpoint {name}")
    if verb == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if verb == "sleep":
        time.sleep(float(arg))
