"""A dry run of a shim's life in the zygote, before the first real one is forked.

CPython 3.11 rewrites a function's code in place while it warms up, and each shim would do that for itself on pages of its own.
A function that was warm before the fork stays on the zygote's pages: a shim is smaller (by a seventh) and starts sooner.
The play is the real code from the first frame to the exit record, on a stage that touches nothing: plain folders stand for
cgroups, and a socket's other end for the init, so that nothing is forked. The init's own part is in ``rehearsal_init``.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from berth.kernel import process as p
from berth.kernel.cgroups import Hierarchies
from berth.oci import channel, launch, namespaces
from berth.oci.init import StageDefaults
from berth.shim import rehearsal_init
from berth.shim.main import Shim
from berth.spec.shim import AttachOptions

ROUNDS = 10
"""A function's code is specialised from its ninth call on (CPython 3.11, PEP 659)."""

_ALMOST_NOTHING = {"namespaces": [{"type": "mount"}, {"type": "pid"}]}
_CLIENT: AttachOptions = {
    "stdin": True, "stdout": True, "stderr": True, "framed": True, "early": "", "detach_keys": "EBE=",
}  # fmt: skip


def rehearse(folder: str, hierarchies: Hierarchies, defaults: StageDefaults) -> None:
    """Play ``ROUNDS`` lives in ``folder``, which is gone afterwards; the process's signals are as before.

    ``hierarchies`` and ``defaults`` are an init's. Raises: OSError (a full disk).
    """
    handler = signal.getsignal(signal.SIGCHLD)
    try:
        for number in range(ROUNDS):
            _clear(folder)
            _play_fork(folder, defaults)
            _clear(folder)
            _play(folder, f"{number:064x}")
        rehearsal_init.play(folder, hierarchies, defaults, rounds=ROUNDS)
    finally:
        signal.signal(signal.SIGCHLD, handler)
        _clear(folder)


def _clear(folder: str) -> None:
    """``shutil.rmtree``, without the modules that it brings."""
    for top, folders, names in os.walk(folder, topdown=False):
        for name in names:
            os.unlink(f"{top}/{name}")
        for name in folders:
            os.rmdir(f"{top}/{name}")
    if os.path.isdir(folder):
        os.rmdir(folder)


def _play_fork(folder: str, defaults: StageDefaults) -> None:
    """A real fork: this side of it becomes warm here. The init ends at once, for nobody wants it."""
    hierarchies = _folders(folder)
    group = hierarchies.group("/parent", "slot")
    pid, sock, _ = launch.fork_init(group, hierarchies, defaults, linux=_ALMOST_NOTHING, staged=False, make_cgroup=True)
    sock.close()
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
    p.set_name("berth-zygote")


def _play(folder: str, name: str) -> None:
    daemon, ours = socket.socketpair()
    daemon.settimeout(1)
    hierarchies = _folders(folder)
    shim = Shim(ours, hierarchies, hierarchies.group("/parent", "slot"), "")
    _make_group(shim, hierarchies)
    init, near = socket.socketpair()
    client, theirs = socket.socketpair()
    with daemon, client:
        with socket.socket() as rtnl:
            channel.send(init, {"parked": True}, [rtnl.fileno(), rtnl.fileno()])
        shim.park(launch.Forked(os.getpid(), near, namespaces.PARKED))
        _close_all(channel.receive(daemon)[1])
        channel.send(init, {"ready": True, "warnings": []})
        with theirs:
            _ask(shim, daemon, "create", _request(folder, name), [theirs.fileno()], tail=b"{}")
        _, streams = channel.receive(init)
        os.write(streams[1], b"a line\n")
        _close_all(streams)
        init.close()  # as execve does
        _ask(shim, daemon, "start", {})
        shim._reaped_at = 1.0
        shim._reap()
        shim._tick()
        event, _ = channel.receive(daemon)
        _ask(shim, daemon, "ack", {"n": event["n"]}, answered=False)
        shim._cgroup.delete = lambda: None  # type: ignore[method-assign]  # plain folders have files in them
        _ask(shim, daemon, "delete", {})
    shim._loop.step(0)
    shim._goodbye()
    shim._loop.close()
    signal.set_wakeup_fd(-1)
    for fd in (shim._wake_read, shim._wake_write):
        os.close(fd)


def _make_group(shim: Shim, hierarchies: Hierarchies) -> None:
    shim._cgroup.create()
    for name, mount in hierarchies.mounts.items():
        for file in ("tasks", f"{name}.deny", f"{name}.allow"):
            open(f"{mount}/parent/slot/{file}", "w", encoding="ascii").close()
    shim._cgroup.make({})
    shim._cgroup.join()


def _close_all(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)


def _folders(folder: str) -> Hierarchies:
    hierarchies = Hierarchies(1, {name: f"{folder}/{name}" for name in ("devices", "pids")})
    for mount in hierarchies.mounts.values():
        os.makedirs(mount)
    return hierarchies


def _ask(
    shim: Shim, daemon: socket.socket, op: str, args: Mapping[str, Any], fds: Sequence[int] = (), *,
    answered: bool = True, tail: bytes = b"",
) -> None:  # fmt: skip
    channel.send(daemon, {"seq": 1, "op": op, "args": args, "fds": len(fds)}, fds, tail)
    for _ in range(3):  # the frame, then the output that it led to
        shim._loop.step(0)
        shim._timeout()
        shim._tick()
    if answered:
        channel.raise_if_error(channel.receive(daemon)[0])


def _request(folder: str, name: str) -> dict[str, Any]:
    return {
        "id": name,
        "resources": {},
        "rootfs": None,
        "stdio": {"tty": False, "stdin": True, "stdin_once": False, "rows": 0, "cols": 0},
        "log": {"driver": "json-file", "path": f"{folder}/log", "max_size": 1 << 20, "max_file": 3, "compress": False,
                "attrs": {}},
        "shim_dir": f"{folder}/shim",
        "cgroup": {"parent": "/parent", "name": name, "systemd": False},
        "attach": [_CLIENT],
    }  # fmt: skip
