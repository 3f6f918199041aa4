"""The daemon's side of the unpack program: starts it, hands it jobs, hears how they went."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable

import berth
from berth.base import spawn
from berth.base.errors import Internal, from_wire
from berth.snapshots import unpacker
from berth.snapshots.apply import Applied, Limits

_LINE = 64 << 20
"""Bytes of one line of an answer: it names every directory that the layer only passes through."""


class UnpackProgram:
    """Started at the first job; ends by itself when it has had nothing to do for a while."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    async def apply(
        self, root: str, limits: Limits, data_fd: int, event_fd: int, total: int, report: Callable[[int], None] | None
    ) -> Applied:
        """Unpack the blob behind ``data_fd`` into ``root``. Cancelling stops it. Raises: what the child says, Internal."""
        job = json.dumps({"root": root, "limits": list(limits), "total": total}).encode()
        for attempt in range(2):
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                with theirs:
                    self._send(job, [theirs.fileno(), data_fd, event_fd])
                reader, writer = await asyncio.open_unix_connection(sock=ours, limit=_LINE)
            except BaseException:
                ours.close()
                raise
            try:
                applied = await _outcome(reader, report, begun=attempt > 0)
            finally:
                writer.close()
            if applied is not None:
                return applied
        raise Internal("the unpack program does not start")

    def close(self) -> None:
        """End it, or see off one that ended; children end when their jobs' sockets close."""
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control)
            self._control.close()
            self._control = None
        if self._process is not None:
            self._process.wait()
            self._process = None

    def _send(self, job: bytes, fds: list[int]) -> None:
        if self._control is not None:
            try:
                socket.send_fds(self._control, [job], fds)
                return
            except (BrokenPipeError, ConnectionResetError):  # it went to rest
                self.close()
        socket.send_fds(self._start(), [job], fds)

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        code = f"import sys; sys.path[:] = {_search_path()!r}; from {unpacker.__name__} import main; sys.exit(main(sys.argv[1:]))"
        try:
            self._process = spawn.start(
                [sys.executable, "-I", "-S", "-c", code, str(theirs.fileno())],
                pass_fds=[theirs.fileno()], env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, new_session=True,
            )  # fmt: skip
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._control = ours
        asyncio.get_running_loop().add_reader(ours, self.close)  # it says nothing: readable is its end
        return ours


def _search_path() -> list[str]:
    source = os.path.dirname(os.path.dirname(berth.__file__))
    return [source, *(path for path in sys.path if path and path != source)]


async def _outcome(
    reader: asyncio.StreamReader, report: Callable[[int], None] | None, *, begun: bool
) -> Applied | None:
    """What became of a job; None where the program went to rest just when it was asked."""
    while line := await reader.readline():
        begun = True
        message = json.loads(line)
        if "consumed" in message:
            if report is not None:
                report(message["consumed"])
        elif "applied" in message:
            return unpacker.from_wire(message["applied"])
        elif "error" in message:
            raise from_wire(message["error"])
    if begun:
        raise Internal("a layer's unpacking ended without a word")
    return None
