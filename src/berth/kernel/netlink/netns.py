"""Standing in another network namespace for a moment: one thread, a few system calls, back again.

For what netlink cannot reach: sysctls, which belong to the namespace of the thread that opens them.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


def setns(fd: int, kind: int) -> None:
    """Move the calling thread into the namespace behind ``fd``. Raises: OSError (EINVAL, EPERM). Spec: setns(2)."""
    if _libc.setns(fd, kind) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


@contextmanager
def inside(netns_fd: int, home_fd: int) -> Iterator[None]:
    """The calling thread is in ``netns_fd``'s network, and in ``home_fd``'s again afterwards. Nothing else may run on it."""
    setns(netns_fd, CLONE_NEWNET)
    try:
        yield
    finally:
        setns(home_fd, CLONE_NEWNET)


def write_sysctl(name: tuple[str, ...], value: str) -> None:
    """Write ``/proc/sys/net/<name>`` of the thread's network. Parts are given apart: a link's name may hold dots."""
    fd = os.open(os.path.join("/proc/sys/net", *name), os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def read_sysctl(name: tuple[str, ...]) -> str:
    """Read ``/proc/sys/net/<name>``, without the newline. Raises: OSError (ENOENT: this kernel has none)."""
    fd = os.open(os.path.join("/proc/sys/net", *name), os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 4096).decode().strip()
    finally:
        os.close(fd)
