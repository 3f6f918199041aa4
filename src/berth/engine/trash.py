"""Deferred deletion: out of the way by one rename, deleted later by a thread of its own.

Removing a container's directory can take 10 ms and must not be on the way of an answer. What a crash leaves in the trash
is deleted at the next start.
"""

from __future__ import annotations

import os
import shutil
from concurrent.futures import Future, ThreadPoolExecutor

from berth.base.ids import new_id
from berth.base.layout import Layout


class Trash:
    def __init__(self, layout: Layout) -> None:
        self._root = layout.trash
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="trash")
        self._last: Future[None] | None = None

    def open(self) -> None:
        """Make the folder and delete what an earlier life left in it."""
        os.makedirs(self._root, 0o700, exist_ok=True)
        for entry in os.listdir(self._root):
            self._last = self._thread.submit(self._delete, os.path.join(self._root, entry))

    def discard(self, path: str) -> None:
        """``path`` is gone when this returns. A missing path is no error. Raises: OSError."""
        bin_path = os.path.join(self._root, "t-" + new_id()[:16])
        try:
            os.rename(path, bin_path)
        except FileNotFoundError:
            return
        self._last = self._thread.submit(self._delete, bin_path)

    def drain(self) -> None:
        """Wait until everything discarded so far is deleted (blocking)."""
        if self._last is not None:
            self._last.result()

    def close(self) -> None:
        self._thread.shutdown(wait=True)

    @staticmethod
    def _delete(path: str) -> None:
        shutil.rmtree(path, ignore_errors=True)
