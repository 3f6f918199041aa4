"""One shim, as the daemon sees it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from berth.base.errors import BerthError, Internal, Unavailable, from_wire
from berth.oci.document import Document
from berth.shim_client.link import Link
from berth.spec.shim import VERSION, AttachOptions, CreateRequest, ExecRequest

Event = dict[str, Any]
CONNECT_TIMEOUT_S = 2.0


class Shim:
    """``on_event`` is called for each event of the shim in its order; ``{"event": "lost"}`` when it died by itself.

    ``netns_fd`` and ``rtnl_fd`` (of a fresh network namespace) are this object's until ``release_network``.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.pid = 0
        self.init_pid = 0
        self.cgroup = ""
        self.netns_fd = -1
        self.rtnl_fd = -1
        self.on_event: Callable[[Event], None] | None = None
        self.shim_dir = ""
        self._early: list[Event] = []
        self._seen = 0
        self._leaving = False
        self._parked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._link = Link(sock, self._event, self._ended)

    @property
    def gone(self) -> bool:
        return self._link.closed

    async def wait_parked(self) -> None:
        """Raises: what kept the shim from parking."""
        await self._parked

    def _event(self, event: Event, fds: list[int]) -> None:
        kind = event.get("event")
        if kind == "parked":
            self.pid, self.init_pid = int(event["pid"]), int(event["init"])
            self.netns_fd, self.rtnl_fd = fds[0], fds[1]
            if not self._parked.done():
                self._parked.set_result(None)
            return
        for fd in fds:
            os.close(fd)
        if kind == "failed":
            if not self._parked.done():
                self._parked.set_exception(from_wire(event["error"]))
            return
        number = int(event.get("n") or 0)
        if number <= self._seen:
            return  # repeated after a reconnect
        self._seen = number
        if self.on_event is None:
            self._early.append(event)
        else:
            self.on_event(event)
        self._link.tell("ack", {"n": number})

    def deliver_early(self) -> None:
        """Hand over what came before ``on_event`` was set."""
        early, self._early = self._early, []
        for event in early:
            if self.on_event is not None:
                self.on_event(event)

    def _ended(self) -> None:
        self.release_network()
        if not self._parked.done():
            self._parked.set_exception(Unavailable("the shim died while it was parked"))
            self._parked.exception()  # seen, whether or not somebody waits
        if self._leaving:
            return
        self._leaving = True
        if self.on_event is not None:
            self.on_event({"event": "lost", "record": read_exit(self.shim_dir) if self.shim_dir else None})

    def release_network(self) -> None:
        """The network is connected: its descriptors are not needed any more."""
        for fd in (self.netns_fd, self.rtnl_fd):
            if fd >= 0:
                os.close(fd)
        self.netns_fd = self.rtnl_fd = -1

    async def create(self, request: CreateRequest, spec: Mapping[str, Any], fds: Sequence[int]) -> int:
        """Everything up to execve of the config ``spec``; returns init's pid. Raises: the kind of what failed."""
        self.shim_dir = request["shim_dir"]
        answer = await self._link.ask("create", dict(request), fds, Document.of(spec).text)
        self.init_pid, self.cgroup = int(answer["pid"]), str(answer["cgroup"])
        return self.init_pid

    async def start(self) -> None:
        """Raises: NotFound, Forbidden, InvalidArgument when execve refuses."""
        await self._link.ask("start", {})

    async def kill(self, number: int, *, all_: bool = False, exec_id: str | None = None) -> None:
        """Raises: NotFound when init (or the exec) has ended."""
        await self._link.ask("kill", {"signal": number, "all": all_, "exec_id": exec_id})

    async def exec(self, request: ExecRequest, client_fd: int | None) -> int:
        fds = [client_fd] if client_fd is not None else []
        return int((await self._link.ask("exec", dict(request), fds))["pid"])

    async def attach(self, options: AttachOptions, client_fd: int) -> None:
        await self._link.ask("attach", {"options": options}, [client_fd])

    async def resize(self, exec_id: str | None, rows: int, cols: int) -> None:
        await self._link.ask("resize", {"exec_id": exec_id, "rows": rows, "cols": cols})

    async def pause(self) -> None:
        await self._link.ask("pause", {})

    async def resume(self) -> None:
        await self._link.ask("resume", {})

    async def update(self, resources: dict[str, Any]) -> list[str]:
        answer = await self._link.ask("update", {"resources": resources})
        return [str(w) for w in answer.get("warnings") or ()]

    async def state(self) -> dict[str, Any]:
        return await self._link.ask("state", {})

    async def hello(self) -> dict[str, Any]:
        """Take the shim over; the events that nobody acknowledged follow."""
        return await self._link.ask("hello", {"version": VERSION})

    async def delete(self) -> None:
        """After the end: remove cgroups and records, and let the shim go. A shim that is gone already is no error."""
        self._leaving = True
        try:
            await self._link.ask("delete", {})
        except Unavailable:
            pass
        finally:
            self.close()

    async def discard(self) -> None:
        """Kill whatever it holds and let it go."""
        await self.delete()

    def close(self) -> None:
        """Let go of the connection; the shim lives on (a parked one ends)."""
        self._leaving = True
        self._link.close()


def read_exit(shim_dir: str) -> dict[str, Any] | None:
    """The exit record of a container, if there is one."""
    try:
        with open(os.path.join(shim_dir, "exit.json"), "rb") as file:
            record = json.loads(file.read(65536))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and "code" in record else None


async def adopt(shim_dir: str) -> Shim | None:
    """The living shim of a container folder, None when there is none. Its events wait until ``deliver_early``."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        await asyncio.wait_for(
            asyncio.get_running_loop().sock_connect(sock, os.path.join(shim_dir, "shim.sock")), CONNECT_TIMEOUT_S
        )
    except (OSError, TimeoutError):
        sock.close()
        return None
    shim = Shim(sock)
    shim.shim_dir = shim_dir
    try:
        answer = await asyncio.wait_for(shim.hello(), CONNECT_TIMEOUT_S)
    except (BerthError, TimeoutError):
        shim.close()
        return None
    if int(answer["version"]) not in (VERSION, VERSION - 1):
        shim.close()
        raise Internal(f"the shim in {shim_dir} speaks version {answer['version']}, this daemon {VERSION}")
    shim.init_pid, shim.cgroup = int(answer["pid"]), str(answer.get("cgroup") or "")
    return shim
