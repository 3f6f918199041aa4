"""``run`` and ``exec`` with a terminal in the foreground: bytes and window sizes between ours and the container's."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import termios
import tty

_CHUNK = 16384


def serve(master: int, pid: int) -> int:
    """Until the process has ended; returns its exit status as a shell has it."""
    before = termios.tcgetattr(0) if os.isatty(0) else None
    if before is not None:
        tty.setraw(0)
        _take_size(master)
        signal.signal(signal.SIGWINCH, lambda *_: _take_size(master))
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda got, _: _forward(pid, got))
    try:
        return _shuttle(master, pid)
    finally:
        if before is not None:
            termios.tcsetattr(0, termios.TCSADRAIN, before)


def _shuttle(master: int, pid: int) -> int:
    pidfd = os.pidfd_open(pid)
    poller = select.poll()
    for fd in (0, master, pidfd):
        poller.register(fd, select.POLLIN)
    try:
        while True:
            ready = dict(poller.poll())
            if master in ready and not _pass(master, 1):
                poller.unregister(master)
            if 0 in ready and not _pass(0, master):
                poller.unregister(0)
            if pidfd in ready and master not in ready:
                _, status = os.waitpid(pid, 0)
                return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    finally:
        os.close(pidfd)


def _pass(source: int, target: int) -> bool:
    """False at the end: a closed pipe, or a terminal whose other side is gone (EIO)."""
    try:
        chunk = os.read(source, _CHUNK)
    except OSError:
        return False
    while chunk:
        try:
            chunk = chunk[os.write(target, chunk) :]
        except OSError:
            return False
        if not chunk:
            return True
    return False


def _take_size(master: int) -> None:
    try:
        fcntl.ioctl(master, termios.TIOCSWINSZ, fcntl.ioctl(0, termios.TIOCGWINSZ, struct.pack("HHHH", 0, 0, 0, 0)))
    except OSError:
        pass


def _forward(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
