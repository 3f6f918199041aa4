"""Terminals: a pair in a container's own devpts, the window size."""

from __future__ import annotations

import fcntl
import os
import struct
import termios

from berth.kernel.files import fstype_magic, openat2_in_root

DEVPTS_MAGIC = 0x1CD1
_TIOCGPTN = 0x80045430
_TIOCSPTLCK = 0x40045431
_TIOCGPTPEER = 0x5441


def open_pair(root_fd: int) -> tuple[int, int, str]:
    """(master, slave, path of the slave) from ``dev/pts`` below ``root_fd``; both are checked to be on devpts.

    The slave is opened through the master (TIOCGPTPEER), never by a path that the container could swap (CVE-2025-52565).
    """
    master = openat2_in_root(root_fd, "/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY)
    try:
        if fstype_magic(master) != DEVPTS_MAGIC:
            raise OSError(22, "not on devpts", "/dev/pts/ptmx")
        number = struct.unpack("I", fcntl.ioctl(master, _TIOCGPTN, b"\0\0\0\0"))[0]
        fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
        slave = fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except BaseException:
        os.close(master)
        raise
    return master, slave, f"/dev/pts/{number}"


def set_winsize(fd: int, rows: int, cols: int) -> None:
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))


def make_controlling(slave: int) -> None:
    """A new session with ``slave`` as its terminal."""
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
