"""A small epoll loop: descriptors to callbacks, a tick while somebody asks for one."""

from __future__ import annotations

import select
from collections.abc import Callable


class EpollLoop:
    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[int], None]] = {}

    def watch(self, fd: int, events: int, callback: Callable[[int], None]) -> None:
        known = fd in self._callbacks
        self._callbacks[fd] = callback
        if known:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)

    def change(self, fd: int, events: int) -> None:
        """Other events of what is watched."""
        self._epoll.modify(fd, events)

    def unwatch(self, fd: int) -> None:
        if self._callbacks.pop(fd, None) is not None:
            try:
                self._epoll.unregister(fd)
            except (OSError, ValueError):
                pass

    def step(self, timeout_s: float) -> None:
        """Wait for events and run their callbacks; one that was unwatched meanwhile is not called."""
        for fd, events in self._epoll.poll(timeout_s, 16):
            callback = self._callbacks.get(fd)
            if callback is not None:
                callback(events)

    def close(self) -> None:
        self._epoll.close()
        self._callbacks.clear()
