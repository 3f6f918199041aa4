"""Being told that files in a directory change."""

from __future__ import annotations

import os

from berth.kernel.libc import call

IN_MODIFY = 0x2
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
_NONBLOCK_CLOEXEC = os.O_NONBLOCK | os.O_CLOEXEC


def watch(directory: str) -> int:
    """A descriptor that becomes readable when something in ``directory`` is written, made or moved in."""
    fd = call("inotify_init1", _NONBLOCK_CLOEXEC)
    try:
        call("inotify_add_watch", fd, os.fsencode(directory), IN_MODIFY | IN_MOVED_TO | IN_CREATE, path=directory)
    except BaseException:
        os.close(fd)
        raise
    return fd


def drain(fd: int) -> None:
    """Forget what was told so far."""
    try:
        while os.read(fd, 65536):
            pass
    except BlockingIOError:
        pass
