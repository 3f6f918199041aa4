"""Plain code on threads, from asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

T = TypeVar("T")


async def run_to_end(
    pool: Executor | None, work: Callable[..., T], *args: Any, undo: Callable[[T], None] | None = None
) -> T:
    """``work`` on a thread of ``pool`` (None: the loop's own). Raises: what it raises.

    Whoever is cancelled meanwhile waits for its end all the same: a thread cannot be stopped, and its caller would close the
    descriptors and leave the locks that it still uses. ``undo`` then gets the result, which nobody else will see.
    """
    future = asyncio.get_running_loop().run_in_executor(pool, lambda: work(*args))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError:
                continue  # once more: still not before the thread
        if not future.cancelled() and future.exception() is None and undo is not None:
            undo(future.result())
        raise
