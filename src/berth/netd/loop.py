"""Descriptors to callbacks: the smallest event loop that does, single-threaded, level-triggered."""

from __future__ import annotations

import heapq
import select
import time
from collections.abc import Callable

READ = select.EPOLLIN
WRITE = select.EPOLLOUT
GONE = select.EPOLLHUP | select.EPOLLERR

Callback = Callable[[int], None]


class Timer:
    """Something to be done later, unless it is cancelled."""

    __slots__ = ("callback", "due")

    def __init__(self, due: float, callback: Callable[[], None]) -> None:
        self.due = due
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None

    def __lt__(self, other: Timer) -> bool:
        return self.due < other.due


class Loop:
    """``watch`` a descriptor, ``run`` until ``stop``. Idle work runs when no event is ready, ticks about every ``tick_s``."""

    def __init__(self, tick_s: float = 15.0) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callback] = {}
        self._forgotten: set[int] = set()  # in this round: a number may be somebody else's by the time its event is met
        self._tick_s = tick_s
        self._stopped = False
        self.idle: Callable[[], None] | None = None
        self.ticks: list[Callable[[], None]] = []
        self._timers: list[Timer] = []

    def watch(self, fd: int, events: int, callback: Callback) -> None:
        """Call ``callback(ready events)`` while any of ``events`` (or an error) is ready."""
        self._epoll.register(fd, events)
        self._callbacks[fd] = callback

    def change(self, fd: int, events: int) -> None:
        """Watch other events of a watched descriptor."""
        self._epoll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Stop watching; before the descriptor is closed."""
        if self._callbacks.pop(fd, None) is not None:
            self._epoll.unregister(fd)
            self._forgotten.add(fd)

    def after(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Call ``callback`` once in ``delay_s``."""
        timer = Timer(time.monotonic() + delay_s, callback)
        heapq.heappush(self._timers, timer)
        return timer

    def _expire(self) -> None:
        now = time.monotonic()
        while self._timers and (self._timers[0].callback is None or self._timers[0].due <= now):
            timer = heapq.heappop(self._timers)
            if timer.callback is not None:
                timer.callback()

    def stop(self) -> None:
        self._stopped = True

    def run(self) -> None:
        """Serve until stopped. A callback that raises OSError is the callback's bug, and ends netd: nothing is hidden."""
        due = time.monotonic() + self._tick_s
        while not self._stopped:
            self._expire()
            next_due = min(due, self._timers[0].due) if self._timers else due
            wait = 0.0 if self.idle is not None else max(0.0, next_due - time.monotonic())
            ready = self._epoll.poll(wait)
            self._forgotten.clear()
            for fd, events in ready:
                if fd not in self._forgotten:
                    self._callbacks[fd](events)
            if not ready and self.idle is not None:
                work, self.idle = self.idle, None
                work()
            if time.monotonic() >= due:
                due = time.monotonic() + self._tick_s
                for tick in self.ticks:
                    tick()
        self._epoll.close()
