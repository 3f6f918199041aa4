"""``Driven``: one container of another runtime, with the verbs that the shim needs of ours."""

from __future__ import annotations

import json
import os
import select
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from berth.base.errors import BerthError, Internal, NotFound, from_oserror
from berth.base.undo import Undo
from berth.kernel import tty
from berth.oci import users
from berth.oci.driven import config, places
from berth.oci.driven.program import Calls
from berth.spec.shim import OverlayRootfs, RuntimeProgram

_FILES = ("pid", "tty", "log", "process.json", "resources.json")
_CONSOLE_S = 10


class Driven:
    """``pid`` and ``pidfd`` of its init, a child of ours, once it was created; the caller reaps it.

    ``folder``: of its shim, in which everything of it lies.
    """

    def __init__(self, program: RuntimeProgram, container_id: str, folder: str, *, systemd: bool = False) -> None:
        self._calls = Calls(program, folder, systemd=systemd)
        self._id = container_id
        self._folder = folder
        self.pid = 0
        self.pidfd = -1

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, name)

    def create(
        self, spec: Mapping[str, Any], rootfs: OverlayRootfs | None, stdio: Sequence[int], *, netns: str,
        cgroups_path: str, rows: int, cols: int, init_path: str,
    ) -> int:  # fmt: skip
        """Everything up to execve; returns the terminal's master or -1. Raises: the kind of what failed; nothing is left."""
        config.check(spec, self._calls.name)
        bundle = self._path("b")
        mounted = Undo()
        try:
            os.mkdir(bundle, 0o700)
            places.own_namespace()
            root = places.place_root(spec, rootfs, bundle, mounted)
            facts = config.Facts(
                root, netns, cgroups_path, _user(spec["process"], root), places.place_sources(spec, bundle, mounted),
                init_path,
            )  # fmt: skip
            _write(os.path.join(bundle, "config.json"), config.plain_config(spec, facts))
            words = ("create", "--bundle", bundle, "--pid-file", self._path("pid"))
            terminal = bool(spec["process"].get("terminal"))
            console = self._run(words, (self._id,), stdio, terminal=terminal, rows=rows, cols=cols)
            self.pid = self._pid()
            self.pidfd = os.pidfd_open(self.pid)
        except (OSError, BerthError) as err:
            mounted.run()
            self.remove()
            if isinstance(err, OSError):
                raise from_oserror(err, f"prepare the bundle of the runtime {self._calls.name}") from err
            raise
        mounted.run()  # its own mounts it has by now
        return console

    def start(self) -> None:
        """Let it become its program. Raises: the kind of what failed."""
        self._calls.call("start", self._id)

    def signal(self, number: int) -> None:
        """To its init. Raises: NotFound when that has ended."""
        try:
            self._calls.call("kill", self._id, str(number))
        except BerthError:
            if self._ended():
                raise NotFound("the container's process has ended") from None
            raise

    def _ended(self) -> bool:
        poller = select.poll()
        poller.register(self.pidfd, select.POLLIN)
        return bool(poller.poll(0))

    def exec_process(
        self, process: Mapping[str, Any], stdio: Sequence[int], *, rows: int, cols: int
    ) -> tuple[int, int, int]:
        """(pid, pidfd, the terminal's master or -1) of another process in it; the program runs when this returns."""
        plain = config.plain_process(process, _user(process, f"/proc/{self.pid}/root"))
        _write(self._path("process.json"), plain)
        words = ("exec", "--detach", "--process", self._path("process.json"), "--pid-file", self._path("pid"))
        console = self._run(words, (self._id,), stdio, terminal=bool(process.get("terminal")), rows=rows, cols=cols)
        pid = self._pid()
        return pid, os.pidfd_open(pid), console

    def _run(
        self, words: Sequence[str], rest: Sequence[str], stdio: Sequence[int], *, terminal: bool, rows: int, cols: int
    ) -> int:
        """A call that makes a process, with its three descriptors or a terminal whose master is returned."""
        if not terminal:
            self._calls.call(*words, *rest, stdio=stdio)
            return -1
        path = self._path("tty")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(path)
            try:
                listener.listen(1)
                listener.settimeout(_CONSOLE_S)
                self._calls.call(*words, "--console-socket", path, *rest)
                master = _receive_console(listener)
            finally:
                os.unlink(path)
        if rows and cols:
            tty.set_winsize(master, rows, cols)
        return master

    def _pid(self) -> int:
        with open(self._path("pid"), encoding="ascii") as file:
            return int(file.read())

    def pause(self) -> None:
        self._calls.call("pause", self._id)

    def resume(self) -> None:
        self._calls.call("resume", self._id)

    def update(self, resources: Mapping[str, Any]) -> list[str]:
        """Other limits from now on; returns warnings. Raises: the kind of what failed."""
        _write(self._path("resources.json"), resources)
        self._calls.call("update", "--resources", self._path("resources.json"), self._id)
        return []

    def remove(self) -> None:
        """Kill what lives and take everything of it away; a half-made one too. Never raises."""
        _quietly(self._calls.call, "delete", "--force", self._id)
        for name in _FILES:
            _quietly(os.unlink, self._path(name))
        _quietly(os.unlink, self._path("b/config.json"))
        for folder in ("b/rootfs", "b"):
            _quietly(os.rmdir, self._path(folder))
        _remove_tree(self._path("s"))


def _user(process: Mapping[str, Any], root: str) -> users.ResolvedUser | None:
    """Docker's USER text by the container's own files. Raises: InvalidArgument."""
    user = process.get("user") or {}
    if "username" not in user:
        return None
    return users.resolve(str(user["username"]), [str(g) for g in user.get("additionalGroups") or ()], root)


def _receive_console(listener: socket.socket) -> int:
    conn, _ = listener.accept()
    with conn:
        conn.settimeout(_CONSOLE_S)
        _, fds, _, _ = socket.recv_fds(conn, 4096, 1)
    if not fds:
        raise Internal("the runtime sent no terminal")
    os.set_inheritable(fds[0], False)
    return fds[0]


def _write(path: str, document: Mapping[str, Any]) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        raw = memoryview(json.dumps(document).encode())
        while raw:
            raw = raw[os.write(fd, raw) :]
    finally:
        os.close(fd)


def _quietly(call: Callable[..., object], *args: object) -> None:
    try:
        call(*args)
    except (OSError, BerthError):
        pass


def _remove_tree(path: str) -> None:
    """A folder of ours with what a runtime left in it."""
    try:
        entries = list(os.scandir(path))
    except OSError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            _remove_tree(entry.path)
        else:
            _quietly(os.unlink, entry.path)
    _quietly(os.rmdir, path)
