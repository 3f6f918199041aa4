"""``patiently``: what the interface of a container that has ended is still in the way of.

The kernel takes the namespace of a dead container down in its own time: until then its macvlan has its MAC, its ipvlan its
address, and a passthru parent is taken, also for the same container that starts again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container

LONGEST_S = 5.0
_PAUSE_S = 0.01


def patiently(work: Callable[[], None], codes: Container[int]) -> None:
    """Try again while it fails with one of these errors. Raises: OSError, any other at once, these after ``LONGEST_S``."""
    deadline = time.monotonic() + LONGEST_S
    while True:
        try:
            return work()
        except OSError as err:
            if err.errno not in codes or time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE_S)
