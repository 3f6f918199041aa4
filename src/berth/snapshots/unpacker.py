"""The unpack program: a small process without threads that forks one child a layer.

Unpacking is interpreter work for every entry, which would hold the daemon's lock; so it is done elsewhere. The daemon starts
this program at the first large layer; it preloads what a child needs and freezes the collector, so that a child costs about
a megabyte. It ends by itself after a while without work, and when the daemon does.

    daemon → program   one packet a job: JSON, and three descriptors (the job's socket, the blob's bytes, an eventfd)
    child → daemon     lines of JSON on the job's socket: {"begun": true}, {"consumed": n}, ..., {"applied": {...}}
                       or {"error": {...}}
    daemon → child     the eventfd says that the file has grown; closing the job's socket calls the job off

The bytes may still be on their way: ``total`` says how many there will be.
"""

from __future__ import annotations

import gc
import json
import os
import select
import socket
import sys
from typing import Any

from berth.base.errors import BerthError, Internal, Unavailable
from berth.snapshots.apply import Applied, Limits, apply_layer

_IDLE_S = 10.0
_MAX_JOB = 64 << 10


def main(argv: list[str]) -> int:
    """Serve jobs from the socket whose descriptor is ``argv[0]``."""
    control = socket.socket(fileno=int(argv[0]))
    _preload()
    gc.collect()
    gc.freeze()
    children: set[int] = set()
    while True:
        ready, _, _ = select.select([control], [], [], 0.2 if children else _IDLE_S)
        children -= {pid for pid in children if os.waitpid(pid, os.WNOHANG)[0]}
        if not ready:
            if not children:
                return 0
            continue
        text, fds, _, _ = socket.recv_fds(control, _MAX_JOB, 3)
        if not text:
            return 0
        pid = os.fork()
        if pid == 0:
            control.close()
            _child(json.loads(text), *fds)
        children.add(pid)
        for fd in fds:
            os.close(fd)


def _preload() -> None:
    import encodings.idna  # noqa: F401  the socket module's late import
    import hashlib  # noqa: F401
    import queue  # noqa: F401
    import threading  # noqa: F401

    try:
        from isal import igzip_lib  # noqa: F401
    except ImportError:
        pass


def _child(job: dict[str, Any], sock_fd: int, data_fd: int, event_fd: int) -> None:
    status = 1
    try:
        with socket.socket(fileno=sock_fd) as sock:
            _run(job, sock, data_fd, event_fd)
        status = 0
    except OSError:
        pass  # nobody listens any more
    finally:
        os._exit(status)


def _run(job: dict[str, Any], sock: socket.socket, data_fd: int, event_fd: int) -> None:
    _tell(sock, {"begun": True})
    raw = Growing(sock, data_fd, event_fd, job["total"])
    try:
        applied = apply_layer(
            raw, job["root"], limits=Limits(*job["limits"]), report=lambda consumed: _tell(sock, {"consumed": consumed})
        )
        _tell(sock, {"applied": to_wire(applied)})
    except BerthError as err:
        _tell(sock, {"error": err.to_wire()})
    except OSError:
        raise
    except Exception as err:
        _tell(sock, {"error": Internal(f"unpack a layer: {type(err).__name__}: {err}").to_wire()})


def _tell(sock: socket.socket, message: dict[str, Any]) -> None:
    sock.sendall(json.dumps(message).encode() + b"\n")


class Growing:
    """A file that somebody still appends to, up to ``total`` bytes. Raises: Unavailable when they call it off."""

    def __init__(self, sock: socket.socket, data_fd: int, event_fd: int, total: int) -> None:
        self._sock = sock
        self._data_fd = data_fd
        self._event_fd = event_fd
        self._total = total
        self._at = 0

    def read(self, size: int, /) -> bytes:
        while self._at < self._total:
            piece = os.pread(self._data_fd, min(size, self._total - self._at), self._at)
            if piece:
                self._at += len(piece)
                return piece
            self._wait()
        return b""

    def _wait(self) -> None:
        ready, _, _ = select.select([self._event_fd, self._sock.fileno()], [], [])
        if self._sock.fileno() in ready:
            raise Unavailable("the layer was called off")
        os.eventfd_read(self._event_fd)


def to_wire(applied: Applied) -> dict[str, Any]:
    return {**applied._asdict(), "implied": [os.fsdecode(name) for name in applied.implied]}


def from_wire(wire: dict[str, Any]) -> Applied:
    return Applied(**{**wire, "implied": tuple(os.fsencode(name) for name in wire["implied"])})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
