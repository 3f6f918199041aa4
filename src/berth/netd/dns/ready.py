"""``Ready``: answers that were given, to be given again while no name has changed. Pure.

A question is the same when all of it but its id is: an answer then is too, unless it names several containers, whose turn it
is to be first. Read and written anew, an answer costs netd twice the processor time.
"""

from __future__ import annotations

from berth.netd.dns.names import Names

_KEPT = 512  # a container asks for few names, over and over


class Ready:
    """One container's."""

    __slots__ = ("_answers", "_changes", "_names")

    def __init__(self, names: Names) -> None:
        self._names = names
        self._changes = names.changes
        self._answers: dict[bytes, bytes] = {}

    def get(self, packet: bytes) -> bytes | None:
        """The answer to this question, under its id; None when it must be found."""
        if self._changes != self._names.changes:
            self._answers.clear()
            self._changes = self._names.changes
        found = self._answers.get(packet[2:])
        return None if found is None else packet[:2] + found

    def put(self, packet: bytes, answer: bytes) -> None:
        """Keep an answer, if it stays right until a name changes."""
        if int.from_bytes(answer[6:8], "big") > 1:
            return
        if len(self._answers) >= _KEPT:
            self._answers.clear()
        self._answers[packet[2:]] = answer[2:]
