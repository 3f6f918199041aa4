"""The environment before ``os`` is there: what a client asks of it on the way to its first byte.

``import os`` costs 1.5 ms of the 16 that a start may take; ``posix``, below it, is built in. Once somebody has loaded ``os``, its
view counts, since only that one sees changes.
"""

from __future__ import annotations

import posix
import sys


def get(name: str) -> str:
    """A variable; "" when it isn't set."""
    os = sys.modules.get("os")
    if os is not None:
        return str(os.environ.get(name, ""))
    return posix.environ.get(name.encode(), b"").decode("utf-8", "surrogateescape")


def home() -> str:
    """The user's home: ``$HOME``, else what the user database says."""
    given = get("HOME")
    if given:
        return given.rstrip("/") or "/"
    import os.path

    return os.path.expanduser("~")


def exists(path: str) -> bool:
    try:
        posix.stat(path)
    except (OSError, ValueError):
        return False
    return True
