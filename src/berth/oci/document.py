"""A container's configuration on its way to the init: text, read only by whoever asks what it says.

A shim hands it from the daemon to the init unread. What is read there stays on the shim's own pages for as long as the
container lives; what the init reads is gone with its execve.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class Document:
    """``text`` is JSON of ours, so that its keywords are plain ASCII (``mentions``)."""

    __slots__ = ("_spec", "text")

    def __init__(self, text: bytes) -> None:
        self.text = text
        self._spec: dict[str, Any] | None = None

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Document:
        return cls(json.dumps(spec).encode())

    @property
    def spec(self) -> dict[str, Any]:
        if self._spec is None:
            self._spec = json.loads(self.text)
        return self._spec

    @property
    def linux(self) -> dict[str, Any]:
        return self.spec.get("linux") or {}

    def mentions(self, *words: bytes) -> bool:
        """Whether one of them stands somewhere: cheap, and True too often rather than too seldom."""
        return any(word in self.text for word in words)
