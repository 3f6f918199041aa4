"""Values that cross from the API's doors into the engine where streams are concerned."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

from berth.base.errors import InvalidArgument


class WaitResult(NamedTuple):
    """How a wait ended: the exit code, or the error sentence for a container that could not run."""

    code: int
    error: str | None


class AttachPlan(NamedTuple):
    """Which streams an attach or exec start wants. ``detach_keys`` is raw bytes, b"" for none."""

    stdin: bool
    stdout: bool
    stderr: bool
    stream: bool
    logs: bool
    detach_keys: bytes


class LogQuery(NamedTuple):
    """What of a container's log is wanted. Times in nanoseconds since the epoch; ``tail`` None is all."""

    stdout: bool
    stderr: bool
    follow: bool
    since_ns: int | None
    until_ns: int | None
    timestamps: bool
    tail: int | None
    details: bool


class LogStream(NamedTuple):
    """``chunks`` yields encoded bytes ready for the wire: framed unless ``tty``."""

    tty: bool
    chunks: AsyncIterator[bytes]


class PathStat(NamedTuple):
    """What a path in a container is. ``mode``: as stat(2) has it; ``link_target``: where a symbolic link leads to."""

    name: str
    size: int
    mode: int
    mtime_ns: int
    link_target: str


class PathArchive(NamedTuple):
    """``chunks``: the tar. ``close`` lets go of the container's file system, read to the end or not."""

    status: PathStat
    chunks: AsyncIterator[bytes]
    close: Callable[[], Awaitable[None]]


class CommitRequest(NamedTuple):
    """An image to be made of a container. ``repo`` "": it gets no name; ``config`` None: the container's."""

    container: str
    repo: str
    tag: str
    comment: str
    author: str
    pause: bool
    changes: list[str]
    config: dict[str, Any] | None


_SPECIAL = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def parse_detach_keys(text: str | None) -> bytes:
    """``ctrl-p,ctrl-q`` → b"\\x10\\x11"; None or "" → the default. Raises: InvalidArgument."""
    if not text:
        return b"\x10\x11"
    keys = bytearray()
    for word in text.split(","):
        if len(word) == 1:
            keys.append(ord(word) & 0xFF)
            continue
        letter = word[5:].lower() if word.lower().startswith("ctrl-") else ""
        if len(letter) == 1 and "a" <= letter <= "z":
            keys.append(ord(letter) - 96)
        elif letter in _SPECIAL:
            keys.append(_SPECIAL[letter])
        else:
            raise InvalidArgument(f"Unknown character: '{word}'")
    return bytes(keys)
