"""``run``: netd's whole life. The zygote forks it; as a program: ``python -m berth.netd.main <listening fd> <table path>``."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys

from berth.kernel.process import sched_setattr
from berth.netd.loop import Loop
from berth.netd.server import Server

_SLICE_NS = 100_000  # the shortest there is
_NOFILE = 1 << 20  # fs.nr_open's default: what Linux lets anybody have


def run(listen: socket.socket | int, table_path: str) -> None:
    """Serve on a listening SOCK_SEQPACKET socket until there is nothing left to do. Returns; the caller exits.

    After: the process is forked and single-threaded. A session of its own, SIGINT and SIGHUP ignored, SIGTERM deadly.
    """
    listener = listen if isinstance(listen, socket.socket) else socket.socket(fileno=listen)
    try:
        os.setsid()
    except PermissionError:
        pass  # a leader already
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    _raise_nofile()
    _take_short_turns()
    _name_process()
    loop = Loop()
    server = Server(loop, listener, table_path)
    loop.run()
    server.close()


def _raise_nofile() -> None:
    """A held port is a descriptor, on each IP version: as many as root may have."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (max(hard, _NOFILE), hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
            return
        except (OSError, ValueError):
            continue


def _take_short_turns() -> None:
    """A name is asked for between two steps of a program: on a busy machine a shorter slice is served sooner, at the same share
    (Linux 6.12; half the wait, measured with seven runnable processes a core). Older kernels take no notice."""
    try:
        sched_setattr(
            os.SCHED_OTHER, 0, nice=os.getpriority(os.PRIO_PROCESS, 0), priority=0, runtime_ns=_SLICE_NS, deadline_ns=0,
            period_ns=0,
        )  # fmt: skip
    except OSError:
        pass


def _name_process() -> None:
    try:
        with open("/proc/self/comm", "w") as comm:
            comm.write("berth-netd")
    except OSError:
        pass


if __name__ == "__main__":
    run(int(sys.argv[1]), sys.argv[2])
