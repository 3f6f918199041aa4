"""``apart``: blocking work on a thread of its own, which ends with it.

For what waits on a client (a pool's threads would be used up by those that stall), and for what leaves a thread unfit for
others (another mount namespace).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Result = TypeVar("Result")


async def apart(work: Callable[[], Result], name: str = "apart") -> Result:
    """What ``work`` returns. Raises: what it raises."""
    done: Future[Result] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as err:
            done.set_exception(err)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await asyncio.wrap_future(done)
