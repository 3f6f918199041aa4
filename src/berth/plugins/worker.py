"""``Worker``: the thread on which one plugin is asked, one call after the other. Another plugin has another one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")
_Job = tuple["Future[Any]", Callable[..., Any], tuple[Any, ...]]


class Worker:
    """Lives as long as the process. Its thread keeps nobody from ending: a plugin may not answer for half a minute."""

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        threading.Thread(target=self._run, name=f"plugin {name}", daemon=True).start()

    def submit(self, work: Callable[..., T], *args: Any) -> Future[T]:
        """Do it after what was submitted before."""
        future: Future[T] = Future()
        self._jobs.put((future, work, args))
        return future

    def _run(self) -> None:
        while True:
            future, work, args = self._jobs.get()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work(*args))
            except BaseException as err:
                future.set_exception(err)
