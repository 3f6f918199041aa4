"""The trash: what goes is renamed here at once (0.2 ms) and deleted later, by a thread of its own.

Deleting is flat: a sub-directory that isn't empty is first moved up beside the others, so neither a tree of a million
levels, which a container may well leave behind, nor one with long names needs recursion, many descriptors, or a long path.
What is still here when the daemon ends is deleted after its next start.
"""

from __future__ import annotations

import itertools
import os
import stat
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

QUIET_S = 0.25
PATIENCE_S = 5.0
"""``empty_soon`` waits for a pause of ``QUIET_S``, for ``PATIENCE_S`` at most."""


class Trash:
    """``put`` renames, the thread deletes. The folder must be on the same file system as what is put into it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._numbers = itertools.count()
        self._epoch = f"{time.time_ns():x}"
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="trash")
        self._lock = threading.Lock()
        self._emptying: Future[None] | None = None
        self._again = False
        self._closed = False
        self._at_once = threading.Event()
        self._puts = 0

    def open(self) -> None:
        os.makedirs(self._path, mode=0o700, exist_ok=True)
        self.empty()

    def put(self, path: str) -> None:
        """Rename ``path`` into the trash; nothing there is not an error. ``empty`` deletes it. Raises: OSError."""
        self._puts += 1
        try:
            os.rename(path, os.path.join(self._path, self._name()))
        except FileNotFoundError:
            pass

    def empty(self) -> Future[None]:
        """Delete in the background all that is in the trash now."""
        self._at_once.set()
        return self._start()

    def empty_soon(self) -> None:
        """The same once no more comes for a moment: what goes in a burst is deleted after it, not beside it."""
        self._start()

    def _start(self) -> Future[None]:
        with self._lock:
            if self._emptying is not None and not self._emptying.done():
                self._again = True
            elif not self._closed:
                self._emptying = self._thread.submit(self._empty)
            return self._emptying or _done()

    def drain(self) -> None:
        """Returns when the trash is empty (blocking)."""
        self.empty().result()

    def close(self) -> None:
        """Stop after the file at hand."""
        with self._lock:
            self._closed = True
        self._at_once.set()
        self._thread.shutdown(wait=True)

    def _name(self) -> str:
        return f"{self._epoch}-{next(self._numbers)}"

    def _empty(self) -> None:
        while not self._closed:
            self._wait_for_a_pause()
            with self._lock:
                self._again = False
            root_fd = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                kept: set[str] = set()
                while names := [name for name in os.listdir(root_fd) if name not in kept]:
                    for name in names:
                        if self._closed:
                            return
                        if not self._delete(root_fd, name):
                            kept.add(name)  # not deletable now (immutable, a mount inside): the next start tries again
            finally:
                os.close(root_fd)
            with self._lock:
                if not self._again:
                    self._emptying = None  # under the lock: nobody can ask this round for more any longer
                    self._at_once.clear()
                    return

    def _wait_for_a_pause(self) -> None:
        deadline, before = time.monotonic() + PATIENCE_S, -1
        while before != self._puts and time.monotonic() < deadline:
            before = self._puts
            if self._at_once.wait(QUIET_S):
                return

    def _delete(self, root_fd: int, name: str) -> bool:
        """Delete one top entry, or empty it as far as one level goes. False when it cannot be deleted."""
        try:
            if not stat.S_ISDIR(os.stat(name, dir_fd=root_fd, follow_symlinks=False).st_mode):
                os.unlink(name, dir_fd=root_fd)
                return True
            fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=root_fd)
            try:
                self._empty_directory(root_fd, fd)
            finally:
                os.close(fd)
            os.rmdir(name, dir_fd=root_fd)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    def _empty_directory(self, root_fd: int, fd: int) -> None:
        with os.scandir(fd) as entries:
            for entry in entries:
                if self._closed:
                    return
                if not entry.is_dir(follow_symlinks=False):
                    os.unlink(entry.name, dir_fd=fd)
                    continue
                try:
                    os.rmdir(entry.name, dir_fd=fd)
                except OSError:
                    os.rename(entry.name, self._name(), src_dir_fd=fd, dst_dir_fd=root_fd)


def _done() -> Future[None]:
    future: Future[None] = Future()
    future.set_result(None)
    return future
