"""Waiting for a condition instead of sleeping for luck."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE = float(os.environ.get("BERTH_TEST_PATIENCE", "1"))
"""What every deadline of the tests is multiplied with: an emulated machine is twenty times slower."""


def eventually(what: Callable[[], T], timeout_s: float = 10.0, *, every_s: float = 0.02, why: str = "") -> T:
    """The first truthy value of ``what``; an AssertionError or a missing file inside it counts as not yet.

    Raises: AssertionError that tells the last value, or the last failed assertion, after ``timeout_s``.
    """
    timeout_s *= PATIENCE
    deadline = time.monotonic() + timeout_s
    last: object = None
    while True:
        try:
            value = what()
            if value:
                return value
            last = value
        except (AssertionError, FileNotFoundError) as err:
            last = err
        if time.monotonic() >= deadline:
            raise AssertionError(f"{why or 'the condition'} did not come true within {timeout_s} s; last: {last}")
        time.sleep(every_s)
