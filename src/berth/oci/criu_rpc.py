"""CRIU's conversation: ``criu swrk`` on a socket, one request, then notifications until the answer.

Spec: CRIU's images/rpc.proto (protocol buffers 2): of that the two kinds of fields that its messages have, numbers and bytes.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from typing import NamedTuple

from berth.base import spawn
from berth.base.errors import Internal

DUMP, RESTORE, PRE_DUMP, NOTIFY = 1, 2, 4, 6
_TYPE, _OPTIONS, _NOTIFY_SUCCESS = 1, 2, 3  # of criu_req
_SUCCESS, _RESTORED, _NOTIFIED, _MESSAGE = 2, 4, 5, 9  # of criu_resp
_LONGEST = 1 << 20

Field = tuple[int, "int | str | bytes"]
Notify = Callable[[str, int, int], None]


class Answer(NamedTuple):
    """``pid``: the restored init's, 0 after a dump."""

    success: bool
    pid: int
    message: str


def encode(fields: Sequence[Field]) -> bytes:
    """One message; a field that comes again is a repeated one."""
    out = bytearray()
    for number, value in fields:
        if isinstance(value, int):
            out += _varint(number << 3) + _varint(value & 0xFFFF_FFFF_FFFF_FFFF)
        else:
            data = os.fsencode(value) if isinstance(value, str) else value
            out += _varint(number << 3 | 2) + _varint(len(data)) + data
    return bytes(out)


def decode(data: bytes) -> dict[int, int | bytes]:
    """The last value of each field. Raises: ValueError (cut short, or a kind of field that CRIU does not send)."""
    found: dict[int, int | bytes] = {}
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        value, at = _read_varint(data, at)
        if key & 7 == 0:
            found[key >> 3] = value
        elif key & 7 == 2 and at + value <= len(data):
            found[key >> 3] = data[at : at + value]
            at += value
        else:
            raise ValueError(f"field {key >> 3} of kind {key & 7} in {len(data)} bytes")
    return found


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError(f"a number is cut short at {at}")
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


class Conversation:
    """A CRIU that waits for its request. ``pid`` is its own; ``pass_fds`` are what the request may name."""

    def __init__(self, program: str, pass_fds: Sequence[int]) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = spawn.start(
                [program, "swrk", str(theirs.fileno())], env={"PATH": os.environ.get("PATH", os.defpath)},
                pass_fds=(theirs.fileno(), *pass_fds), stdout=spawn.DEVNULL, stderr=spawn.DEVNULL,
            )  # fmt: skip
        self.pid = self._process.pid

    def ask(self, kind: int, options: Sequence[Field], notify: Notify) -> Answer:
        """``notify(name, pid, descriptor)`` is called for each step; its exception ends the conversation.

        Raises: Internal when CRIU goes without an answer.
        """
        self._ours.send(encode([(_TYPE, kind), (_OPTIONS, encode(options))]))
        while True:
            data, fds, _, _ = socket.recv_fds(self._ours, _LONGEST, 1)
            if not data:
                raise Internal("criu ended without an answer", op="criu")
            answer = decode(data)
            if answer.get(_TYPE) != NOTIFY:
                return _answer(answer)
            step = decode(_bytes(answer.get(_NOTIFIED)))
            notify(os.fsdecode(_bytes(step.get(1))), int(step.get(2) or 0), fds[0] if fds else -1)
            self._ours.send(encode([(_TYPE, NOTIFY), (_NOTIFY_SUCCESS, 1)]))

    def close(self) -> None:
        """CRIU undoes what it has not ended when its socket is gone."""
        self._ours.close()
        self._process.wait()


def _answer(answer: dict[int, int | bytes]) -> Answer:
    restored = decode(_bytes(answer.get(_RESTORED)))
    return Answer(bool(answer.get(_SUCCESS)), int(restored.get(1) or 0), os.fsdecode(_bytes(answer.get(_MESSAGE))))


def _bytes(value: int | bytes | None) -> bytes:
    return value if isinstance(value, bytes) else b""
