"""Work on threads whose caller is cancelled: waited for, and undone."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from berth.base.threads import run_to_end


def test_the_result_and_the_failure() -> None:
    async def scene() -> None:
        assert await run_to_end(None, lambda a, b: a + b, 1, 2) == 3
        with pytest.raises(ZeroDivisionError):
            await run_to_end(None, lambda: 1 // 0)

    asyncio.run(scene())


def test_a_cancelled_caller_waits_and_the_result_is_undone() -> None:
    begun, let_go = threading.Event(), threading.Event()
    undone: list[str] = []

    def work() -> str:
        begun.set()
        assert let_go.wait(10)
        return "opened"

    async def scene(pool: ThreadPoolExecutor) -> None:
        task = asyncio.ensure_future(run_to_end(pool, work, undo=undone.append))
        await asyncio.to_thread(begun.wait)
        for _ in range(3):  # however often
            task.cancel()
            await asyncio.sleep(0)
            assert not task.done() and not undone
        let_go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert undone == ["opened"]

    with ThreadPoolExecutor(1) as pool:
        asyncio.run(scene(pool))


def test_what_failed_is_not_undone() -> None:
    begun, let_go = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert let_go.wait(10)
        raise OSError

    async def scene() -> None:
        task = asyncio.ensure_future(run_to_end(None, work, undo=lambda result: pytest.fail("nothing was made")))
        await asyncio.to_thread(begun.wait)
        task.cancel()
        await asyncio.sleep(0)
        let_go.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scene())
