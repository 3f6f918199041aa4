"""Frames between a parent and the child that becomes the container: 4 bytes of length, JSON, descriptors beside.

A zero byte (JSON has none) ends the JSON where a ``tail`` follows: bytes that are handed on unread.
"""

from __future__ import annotations

import array
import json
import socket
import struct
from collections.abc import Sequence
from typing import Any

from berth.base.errors import BerthError, Internal, from_wire

MAX_FDS = 32
# plain numbers: the socket module's are enums, which are slow to add and lie on many pages
_SOL_SOCKET, _SCM_RIGHTS, _CLOEXEC = int(socket.SOL_SOCKET), int(socket.SCM_RIGHTS), int(socket.MSG_CMSG_CLOEXEC)
_SPACE = socket.CMSG_SPACE(MAX_FDS * 4)


class ChannelClosed(Exception):
    """The other side is gone (for a child that execs: it succeeded)."""


def frame_of(message: dict[str, Any], tail: bytes = b"") -> list[bytes]:
    """The frame in parts: a tail may be long, and what is copied in a shim stays on pages of its own."""
    raw = json.dumps(message).encode()
    if tail:
        raw += b"\0"
    return [struct.pack(">I", len(raw) + len(tail)) + raw, tail]


def parse(raw: bytes | bytearray, start: int, end: int) -> dict[str, Any]:
    """The message between two places, its tail as ``tail`` (bytes)."""
    nul = raw.find(b"\0", start, end)
    message: dict[str, Any] = json.loads(raw[start : end if nul < 0 else nul])
    if nul >= 0:
        message["tail"] = bytes(raw[nul + 1 : end])
    return message


def send(sock: socket.socket, message: dict[str, Any], fds: Sequence[int] = (), tail: bytes = b"") -> None:
    """One frame; the descriptors ride on its first byte."""
    frame = frame_of(message, tail)
    ancillary = [(_SOL_SOCKET, _SCM_RIGHTS, array.array("i", fds))] if fds else []
    sent = sock.sendmsg(frame, ancillary)
    if sent < len(frame[0]) + len(tail):
        sock.sendall(b"".join(frame)[sent:])


def receive(sock: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """The next frame. Raises: ChannelClosed at the end of the stream."""
    fds: list[int] = []
    head, ancillary, _, _ = sock.recvmsg(4, _SPACE, _CLOEXEC)
    for level, kind, data in ancillary:
        if level == _SOL_SOCKET and kind == _SCM_RIGHTS:
            numbers = array.array("i")
            numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
            fds.extend(numbers)
    while 0 < len(head) < 4:
        more = sock.recv(4 - len(head))
        if not more:
            raise ChannelClosed
        head += more
    if not head:
        raise ChannelClosed
    (length,) = struct.unpack(">I", head)
    chunks = []
    while length:
        chunk = sock.recv(min(length, 1 << 18))
        if not chunk:
            raise ChannelClosed
        chunks.append(chunk)
        length -= len(chunk)
    raw = b"".join(chunks)
    return parse(raw, 0, len(raw)), fds


def error_message(err: BaseException, step: str) -> dict[str, Any]:
    """``{"error": …}`` for the parent; an error that is not ours says which step it happened in."""
    if isinstance(err, BerthError):
        return {"error": err.to_wire()}
    if isinstance(err, OSError):
        from berth.base.errors import from_oserror

        return {"error": from_oserror(err, step if not err.filename else f"{step}: {_text(err.filename)}").to_wire()}
    return {"error": Internal(f"{step}: {type(err).__name__}: {err}").to_wire()}


def _text(name: object) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)


def raise_if_error(message: dict[str, Any]) -> dict[str, Any]:
    if "error" in message:
        raise from_wire(message["error"])
    return message
