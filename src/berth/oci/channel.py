"""Frames between a parent and the child that becomes the container: 4 bytes of length, JSON, descriptors beside."""

from __future__ import annotations

import array
import json
import socket
import struct
from collections.abc import Sequence
from typing import Any

from berth.base.errors import BerthError, Internal, from_wire

MAX_FDS = 32


class ChannelClosed(Exception):
    """The other side is gone (for a child that execs: it succeeded)."""


def send(sock: socket.socket, message: dict[str, Any], fds: Sequence[int] = ()) -> None:
    """One frame; the descriptors ride on its first byte."""
    raw = json.dumps(message).encode()
    frame = struct.pack(">I", len(raw)) + raw
    if fds:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
        sent = sock.sendmsg([frame], ancillary)
    else:
        sent = sock.send(frame)
    if sent < len(frame):
        sock.sendall(frame[sent:])


def receive(sock: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """The next frame. Raises: ChannelClosed at the end of the stream."""
    fds: list[int] = []
    head, ancillary, _, _ = sock.recvmsg(4, socket.CMSG_SPACE(MAX_FDS * 4), socket.MSG_CMSG_CLOEXEC)
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
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
    return json.loads(b"".join(chunks)), fds


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
