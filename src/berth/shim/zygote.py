"""The zygote: exec'd once by a daemon, single-threaded, it forks shims and netd and does nothing else.

    daemon ── stream socket ── zygote
      fork {slot, linux?, parent?, systemd?} + [the shim's control socket]   →  {pid}
      netd {table} + [listening socket]                        →  {pid}
      quit {}                                                  →  {}

It ends with the daemon's end of the socket; what it forked goes on.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from berth.base.errors import from_oserror
from berth.kernel import cgroups
from berth.kernel import process as p
from berth.kernel.cgroups import ENGINE_GROUP, Cgroup, Hierarchies, systemd
from berth.netd.main import run as run_netd
from berth.oci import channel, host_tree
from berth.oci.init import StageDefaults
from berth.shim.main import run_shim
from berth.shim.preload import preload, seal, settle
from berth.shim.rehearsal import rehearse


def main(argv: list[str]) -> int:
    """``argv``: descriptor of the socket, cgroup parent, stage folder, path of the small init ("" for none), masked and
    read-only paths, the engine's data root and run root, the folder of its volumes."""
    preload()
    control = socket.socket(fileno=int(argv[0]))
    parent, stage, init_path, masked, readonly, data_root, run_root, volumes = argv[1:9]
    p.set_name("berth-zygote")
    p.prctl(p.PR_SET_DUMPABLE, 0)  # no process of a container may look into us or what we fork
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    p.prctl(p.PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGCHLD, _reap)
    hierarchies = cgroups.detect()
    hierarchies.prepare_parent(parent)
    _leave_the_daemons_cgroup(hierarchies, parent)
    kept = host_tree.Kept((data_root, run_root, *host_tree.SYSTEM), volumes) if host_tree.is_private() else None
    defaults = StageDefaults(stage, tuple(masked.split(":")), tuple(readonly.split(":")), kept)
    rehearse(stage + "-rehearsal", hierarchies, defaults)
    seal()
    fillers = settle()
    _serve(control, _Forker(hierarchies, defaults, parent, init_path))
    del fillers
    return 0


def _reap(number: int, frame: object) -> None:
    """Shims that have ended: they are this process's children as long as it lives."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _leave_the_daemons_cgroup(hierarchies: Hierarchies, parent: str) -> None:
    """Into a group of our own, so that stopping the daemon's unit does not stop its shims."""
    group = hierarchies.group(parent, ENGINE_GROUP)
    try:
        group.create()
        group.join()
    except OSError:
        pass  # a host that does not let us: the shims then live where the daemon does


class _Forker:
    def __init__(self, hierarchies: Hierarchies, defaults: StageDefaults, parent: str, init_path: str) -> None:
        self._hierarchies = hierarchies
        self._defaults = defaults
        self._parent = parent
        self._init_path = init_path

    def fork(self, control: socket.socket, ours: socket.socket, args: dict[str, Any]) -> int:
        def run() -> None:
            ours.close()
            run_shim(control, self._hierarchies, self._defaults, self._group(args), self._init_path, args.get("linux"))

        return _fork(run)

    def _group(self, args: dict[str, Any]) -> Cgroup:
        parent, slot = str(args.get("parent") or self._parent), str(args["slot"])
        if args.get("systemd"):
            return systemd.unit_group(self._hierarchies, f"{parent}::{slot}")
        return self._hierarchies.group(parent, slot)

    def netd(self, listener: socket.socket, ours: socket.socket, args: dict[str, Any]) -> int:
        def run() -> None:
            ours.close()
            run_netd(listener, str(args["table"]))

        return _fork(run)


def _fork(run: Callable[[], None]) -> int:
    """A session of its own that outlives us. It stays our child while we live (we reap), then it is init's."""
    pid = os.fork()
    if pid:
        return pid
    os.setsid()
    status = 1
    try:
        run()
        status = 0
    except BaseException:
        sys.__excepthook__(*sys.exc_info())  # the interpreter's own: the traceback module is 1 MB of the zygote
    finally:
        os._exit(status)


def _serve(control: socket.socket, forker: _Forker) -> None:
    while True:
        try:
            message, fds = channel.receive(control)
        except (channel.ChannelClosed, OSError):
            return
        seq, op, args = message.get("seq"), message.get("op"), message.get("args") or {}
        if op == "quit":
            channel.send(control, {"re": seq, "ok": {}})
            return
        try:
            handed = socket.socket(fileno=fds[0])
            pid = forker.netd(handed, control, args) if op == "netd" else forker.fork(handed, control, args)
            handed.close()
            answer: dict[str, object] = {"ok": {"pid": pid}}
        except OSError as err:
            answer = {"error": from_oserror(err, str(op)).to_wire()}
        try:
            channel.send(control, {"re": seq, **answer})
        except BrokenPipeError:
            return  # the daemon was killed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
