"""A dry run of a shim's life in the zygote, before the first real one is forked.

CPython 3.11 rewrites a function's code in place while it warms up, and each shim would do that for itself on pages of its own.
A function that was warm before the fork stays on the zygote's pages: a shim is smaller (by a seventh) and starts sooner.
The play is the real code from the first frame to the exit record, on a stage that touches nothing: plain folders stand for
cgroups, and an understudy for the init, so that nothing is forked or mounted. The init's own part is played apart, as far as it
goes in a process that stays what it is: with filesystems that stand nowhere.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from berth.base.errors import BerthError
from berth.kernel import mount as m
from berth.kernel.cgroups import Hierarchies
from berth.kernel.files import ensure_in_root
from berth.oci import channel, mounts, namespaces, stage, tuning
from berth.oci.document import Document
from berth.oci.launch import InitHandle
from berth.oci.process import prepare
from berth.shim.main import Shim
from berth.spec.capabilities import DEFAULT_CAPABILITIES
from berth.spec.shim import AttachOptions, OverlayRootfs

ROUNDS = 12
"""A function's code is specialised from its ninth call on (CPython 3.11, PEP 659)."""

_CLIENT: AttachOptions = {
    "stdin": True, "stdout": True, "stderr": True, "framed": True, "early": "", "detach_keys": "EBE=",
}  # fmt: skip


class _Understudy(InitHandle):
    """An init that is nobody."""

    def __init__(self) -> None:
        self.pid = 0
        self.pidfd = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        self.netns_fd = self.rtnl_fd = -1
        self._sock, self._far = socket.socketpair()
        self._at_once = False

    def create(
        self, config: Document, rootfs: OverlayRootfs | None, stdio: Sequence[int], *, rows: int = 0,
        cols: int = 0, init_path: str = "", exec_fifo: str = "", at_once: bool = False,
        how: Mapping[str, Any] | None = None,
    ) -> tuple[int, list[str]]:  # fmt: skip
        self._at_once = at_once
        channel.send(self._far, {"ready": True, "warnings": []})
        self._ask({"rootfs": rootfs, "rows": rows, "cols": cols}, stdio, config.text)
        _, fds = channel.receive(self._far)
        os.write(fds[1], b"a line\n")
        for fd in fds:
            os.close(fd)
        return -1, []

    def start(self) -> None:
        self._far.close()
        super().start()


def rehearse(folder: str) -> None:
    """Play ``ROUNDS`` lives in ``folder``, which is gone afterwards; the process's signals are as before.

    Raises: OSError (a full disk).
    """
    handler = signal.getsignal(signal.SIGCHLD)
    try:
        for number in range(ROUNDS):
            _clear(folder)
            _play(folder, f"{number:064x}")
            _play_init()
    finally:
        signal.set_wakeup_fd(-1)
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


def _play(folder: str, name: str) -> None:
    daemon, ours = socket.socketpair()
    daemon.settimeout(1)
    hierarchies = _folders(folder)
    shim = Shim(ours, hierarchies, hierarchies.group("/parent", "slot"), "")
    shim._cgroup.create()
    for file in ("tasks", "devices.deny", "devices.allow"):
        open(f"{folder}/devices/parent/slot/{file}", "w", encoding="ascii").close()
    shim._cgroup.apply_device_rules([])
    shim._init = _Understudy()
    client, theirs = socket.socketpair()
    with daemon, client:
        with theirs:
            _ask(shim, daemon, "create", _request(folder, name), [theirs.fileno()], tail=b"{}")
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
    for fd in (shim._wake_read, shim._wake_write):
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


_SPEC: dict[str, Any] = {
    "process": {
        "args": [sys.executable], "cwd": "/", "env": ["PATH=/bin", "HOSTNAME=x"], "user": {"uid": 0, "gid": 0},
        "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), DEFAULT_CAPABILITIES),
    },
    "mounts": [
        *({"destination": d, "type": t, "source": s, "options": list(o)} for d, t, s, o in stage.STAGED.values()),
        *({"destination": place, "type": "bind", "source": "/dev/null", "options": ["rbind", "rprivate"]}
          for place in ("/etc/resolv.conf", "/etc/hostname", "/etc/hosts")),
    ],
    "linux": {
        "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup")],
        "maskedPaths": ["/proc/keys"], "readonlyPaths": ["/proc/sys"], "seccomp": "default",
    },
}  # fmt: skip


def _play_init() -> None:
    """What an init does besides entering and placing. A host that does not let us have a part of it is told by a real start."""
    process, linux = _SPEC["process"], _SPEC["linux"]
    with contextlib.suppress(OSError, BerthError):
        root_fd = m.new_filesystem("tmpfs", ["mode=755", "size=1m"], m.ATTR_NOSUID)
        try:
            stage.fill_dev(root_fd)
            m.mount_setattr(root_fd, m.ATTR_NODEV)
            for entry in mounts.entries_of(_SPEC):
                os.close(ensure_in_root(root_fd, entry.place, directory=not entry.bind))
                if entry.bind:
                    os.close(mounts.open_bind(entry))
        finally:
            os.close(root_fd)
        namespaces.kinds(_SPEC)
        tuning.plan(process, linux)
        prepare(process, linux, make_cwd=True)
