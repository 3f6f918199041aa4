"""Ports that nobody uses now."""

from __future__ import annotations

import contextlib
import socket


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """A port of 127.0.0.1 that was free a moment ago."""
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def free_ports(count: int) -> int:
    """The first of so many free ports in a row, below those that the kernel chooses from."""
    for first in range(20000, 32000, count):
        try:
            with contextlib.ExitStack() as stack:
                for port in range(first, first + count):
                    stack.enter_context(socket.socket()).bind(("0.0.0.0", port))
            return first
        except OSError:
            continue
    raise RuntimeError(f"no {count} free ports in a row")
