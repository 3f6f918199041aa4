"""``outflow``: what plain code writes on a thread, as an async iterator of large chunks. Bounded both ways."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor

from berth.base.errors import Unavailable
from berth.engine.apart import apart

Write = Callable[[bytes | memoryview], object]
_CHUNK = 1 << 20
_AHEAD = 4
"""Chunks that wait to be taken."""


async def outflow(threads: Executor | None, work: Callable[[Write], None]) -> AsyncIterator[bytes]:
    """Run ``work(write)`` on a thread (None: of its own) and yield what it writes.

    Leaving the iterator stops the work at its next write.

    Raises: what ``work`` raises.
    """
    loop = asyncio.get_running_loop()
    ready: asyncio.Queue[bytes | None] = asyncio.Queue()
    buffer = _Buffer(lambda chunk: loop.call_soon_threadsafe(ready.put_nowait, chunk))

    def run() -> None:
        try:
            work(buffer.write)
            buffer.flush()
        finally:
            loop.call_soon_threadsafe(ready.put_nowait, None)

    task = asyncio.ensure_future(apart(run, "outflow") if threads is None else loop.run_in_executor(threads, run))
    try:
        while (chunk := await ready.get()) is not None:
            buffer.room.release()
            yield chunk
        await task
    finally:
        buffer.stopped = True
        buffer.room.release()
        await asyncio.gather(task, return_exceptions=True)


class _Buffer:
    """Small writes gathered; waits while ``_AHEAD`` chunks are not taken."""

    def __init__(self, hand_over: Callable[[bytes], object]) -> None:
        self._hand_over = hand_over
        self._parts: list[bytes] = []
        self._size = 0
        self.room = threading.Semaphore(_AHEAD)
        self.stopped = False

    def write(self, piece: bytes | memoryview) -> None:
        if len(piece) >= _CHUNK and not self._parts:
            self._give(bytes(piece))
            return
        self._parts.append(bytes(piece))
        self._size += len(piece)
        if self._size >= _CHUNK:
            self.flush()

    def flush(self) -> None:
        if self._parts:
            parts, self._parts, self._size = self._parts, [], 0
            self._give(b"".join(parts))

    def _give(self, chunk: bytes) -> None:
        self.room.acquire()
        if self.stopped:
            raise Unavailable("nobody reads any more")
        self._hand_over(chunk)
