"""``Undo``: a stack of releases. Each acquire pushes its release on the next line; success forgets them all.

    undo = Undo()
    try:
        lease = ipam.acquire(); undo.push("release address", ipam.release, lease)
        ...
    except BaseException:
        undo.run(); raise
    undo.forget()

or, shorter, ``with Undo() as undo:`` which runs the stack when the block raises and forgets it otherwise.
A release that fails is reported to ``on_error`` and does not stop the ones below it.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType


class Undo:
    def __init__(self, on_error: Callable[[str, Exception], None] | None = None) -> None:
        self._stack: list[tuple[str, Callable[..., object], tuple[object, ...]]] = []
        self._on_error = on_error

    def push(self, what: str, release: Callable[..., object], *args: object) -> None:
        """Remember ``release(*args)``; ``what`` names it in reports."""
        self._stack.append((what, release, args))

    def run(self) -> None:
        """Run all releases, last first, each at most once."""
        while self._stack:
            what, release, args = self._stack.pop()
            try:
                release(*args)
            except Exception as err:  # a failing release must not keep the others from running
                if self._on_error is not None:
                    self._on_error(what, err)

    def forget(self) -> None:
        """Success: nothing will be undone."""
        self._stack.clear()

    def __enter__(self) -> Undo:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None) -> None:
        if kind is None:
            self.forget()
        else:
            self.run()
