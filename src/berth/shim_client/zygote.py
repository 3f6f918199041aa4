"""The zygote's keeper: starts it from a sealed copy of the interpreter, asks it to fork, starts it again when it dies."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any

import berth
from berth.base import spawn
from berth.base.errors import Unavailable
from berth.base.layout import Layout
from berth.kernel import cgroups
from berth.kernel.cgroups import ENGINE_GROUP
from berth.kernel.sealed import sealed_interpreter
from berth.shim_client.link import Link
from berth.shim_client.shim import Shim

log = logging.getLogger("berth.zygote")

_ENDING_S, _ENDING_TRIES = 0.01, 200


_ENVIRON = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LD_BIND_NOW": "1",  # symbols are looked up once, not by each fork for itself
}


class Zygote:
    """``masked`` and ``readonly`` are the default paths that every parked init stages."""

    def __init__(
        self, instance_id: str, layout: Layout, *, masked: Sequence[str] = (), readonly: Sequence[str] = (),
        init_path: str = "", cgroup_parent: str = "",
    ) -> None:  # fmt: skip
        self.cgroup_parent = cgroup_parent or f"/berth-{instance_id}"
        self._owns_parent = self.cgroup_parent == f"/berth-{instance_id}"
        self._stage = os.path.join(layout.run_root, "stage")
        self._masked = masked
        self._readonly = readonly
        self._init_path = init_path
        self._roots = [os.path.realpath(path) for path in (layout.data_root, layout.run_root, layout.volumes)]
        self._process: Any = None
        self._link: Link | None = None
        self._closing = False
        self._starting: asyncio.Lock | None = None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    async def start(self) -> None:
        """Raises: OSError when the interpreter cannot be executed."""
        if self._starting is None:
            self._starting = asyncio.Lock()
        async with self._starting:
            if self._link is not None and not self._link.closed:
                return
            os.makedirs(self._stage, 0o700, exist_ok=True)
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            source = os.path.dirname(os.path.dirname(berth.__file__))
            code = f"import sys; sys.path.insert(0, {source!r}); from berth.shim.zygote import main; sys.exit(main(sys.argv[1:]))"
            argv = [
                sys.executable, "-I", "-S", "-c", code, str(theirs.fileno()), self.cgroup_parent, self._stage,
                self._init_path, ":".join(self._masked), ":".join(self._readonly), *self._roots,
            ]  # fmt: skip
            fd = _sealed_interpreter()
            try:
                self._process = spawn.start(
                    argv, executable=f"/proc/self/fd/{fd}" if fd >= 0 else None,
                    pass_fds=[theirs.fileno(), *([fd] if fd >= 0 else [])], env=_ENVIRON,
                    new_session=True,
                )  # fmt: skip
            finally:
                theirs.close()
                if fd >= 0:
                    os.close(fd)
            self._link = Link(ours, lambda event, fds: None, self._ended)

    def _ended(self) -> None:
        if self._process is not None:
            self._process.poll()
        if not self._closing:
            log.error("the zygote (process %s) died: it will be started again with the next container", self.pid)

    async def _ask(self, op: str, args: dict[str, Any], handed: socket.socket) -> int:
        for attempt in range(2):
            if self._link is None or self._link.closed:
                await self.start()
            assert self._link is not None
            try:
                return int((await self._link.ask(op, args, [handed.fileno()]))["pid"])
            except Unavailable:
                if attempt:
                    raise
        raise Unavailable("the zygote does not answer")

    async def fork_shim(self, slot: str, *, linux: Any = None, parent: str = "", systemd: bool = False) -> Shim:
        """A new shim that parks in the cgroup ``<parent>/<slot>``, or in systemd's ``<slot>.scope`` of the slice ``parent``.

        Raises: what kept it from parking.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        shim = Shim(ours)
        try:
            with theirs:
                await self._ask("fork", {"slot": slot, "linux": linux, "parent": parent, "systemd": systemd}, theirs)
            await shim.wait_parked()
        except BaseException:
            shim.close()
            raise
        return shim

    async def fork_netd(self, listener: socket.socket, table_path: str) -> int:
        """netd on a listening socket; returns its pid. The socket stays the caller's."""
        return await self._ask("netd", {"table": table_path}, listener)

    async def close(self) -> None:
        """End the zygote; shims and netd live on."""
        self._closing = True
        if self._link is not None:
            self._link.close()
        if self._process is not None:
            process = self._process
            await asyncio.to_thread(process.wait)

    def remove_cgroups(self) -> None:
        """Take away the groups that no process needs any more; parked shims and netd may still be ending (blocking).

        After: closed. A parent that somebody else chose stays.
        """
        hierarchies = cgroups.detect()
        for _ in range(_ENDING_TRIES):
            try:
                hierarchies.group(self.cgroup_parent, ENGINE_GROUP).delete()
                break
            except OSError:
                time.sleep(_ENDING_S)
        if self._owns_parent:
            hierarchies.remove_parent(self.cgroup_parent)


def _sealed_interpreter() -> int:
    """-1 where this host cannot: the zygote then runs from the host's own interpreter."""
    try:
        return sealed_interpreter()
    except OSError as err:
        log.warning("the interpreter could not be sealed: %s", err)
        return -1
