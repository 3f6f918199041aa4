"""What systemd gives a service and wants to hear from it. Spec: sd_listen_fds(3), sd_notify(3)."""

from __future__ import annotations

import os
import socket
import time

from berth.base.errors import InvalidArgument

_FIRST_FD = 3


def take_sockets() -> list[socket.socket]:
    """The listening sockets that were passed; the environment that names them is cleared, lest a child takes them.

    Raises: InvalidArgument when none was passed.
    """
    mine = os.environ.pop("LISTEN_PID", "") == str(os.getpid())
    count = os.environ.pop("LISTEN_FDS", "0")
    os.environ.pop("LISTEN_FDNAMES", None)
    if not mine or not count.isdecimal() or int(count) < 1:
        raise InvalidArgument("no sockets found via socket activation: make sure the service was started by systemd")
    sockets = []
    for fd in range(_FIRST_FD, _FIRST_FD + int(count)):
        os.set_inheritable(fd, False)
        sock = socket.socket(fileno=fd)
        sock.setblocking(False)
        sockets.append(sock)
    return sockets


def choose(sockets: list[socket.socket], address: str) -> list[socket.socket]:
    """``fd://`` and ``fd://*`` are all of them, ``fd://3`` the first. Raises: InvalidArgument."""
    if address in ("", "*"):
        return list(sockets)
    if address.isdecimal() and _FIRST_FD <= int(address) < _FIRST_FD + len(sockets):
        return [sockets[int(address) - _FIRST_FD]]
    raise InvalidArgument(f"no socket {address!r} was passed: systemd passed {len(sockets)}, fd://3 is the first")


def notify(*states: str) -> None:
    """Tell systemd, when it wants to know; a socket that does not answer is no reason to fail."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.sendto("\n".join(states).encode(), "\0" + address[1:] if address.startswith("@") else address)
        except OSError:
            pass


def notify_reloading() -> None:
    """A reload starts; ``notify("READY=1")`` ends it. The time is what Type=notify-reload asks for."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")
