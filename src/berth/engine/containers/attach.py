"""``attach``: the client's socket goes to the shim, now if the container runs, else with its start."""

from __future__ import annotations

import asyncio
import base64
import socket

from berth.base.errors import Conflict
from berth.engine.containers.deps import Deps, publish
from berth.engine.containers.logs import logs
from berth.engine.containers.record import Container, PendingAttach
from berth.spec.shim import AttachOptions
from berth.spec.streams import AttachPlan, LogQuery


def attach_options(plan: AttachPlan, tty: bool, early: bytes) -> AttachOptions:
    return {
        "stdin": plan.stdin, "stdout": plan.stdout, "stderr": plan.stderr, "framed": not tty,
        "early": base64.b64encode(early).decode(), "detach_keys": base64.b64encode(plan.detach_keys).decode(),
    }  # fmt: skip


class AttachSession:
    """A validated attach."""

    def __init__(self, deps: Deps, container: Container, plan: AttachPlan) -> None:
        self._deps = deps
        self._container = container
        self._plan = plan
        self._stopped = not container.running
        self._last_run_ns = container.row.started_ns
        self._joining = asyncio.get_running_loop().create_future()
        container.joining.add(
            self._joining
        )  # a start that comes now waits: the program's first words are for this client too

    def _joined(self) -> None:
        self._container.joining.discard(self._joining)
        if not self._joining.done():
            self._joining.set_result(None)

    @property
    def tty(self) -> bool:
        return self._container.tty

    async def connect(self, client: socket.socket, early: bytes) -> None:
        """Hand the client over; past logs first when they were asked for."""
        try:
            await self._connect(client, early)
        except BaseException:
            client.close()
            raise
        finally:
            self._joined()

    async def _connect(self, client: socket.socket, early: bytes) -> None:
        container, plan = self._container, self._plan
        if plan.logs:
            await self._replay(client)
        if not plan.stream:
            client.close()
            return
        options = attach_options(plan, container.tty, early)
        if container.shim is not None:
            try:
                await container.shim.attach(options, client.fileno())
            finally:
                client.close()
        elif self._comes_next():
            container.pending.append(PendingAttach(client, options))
        else:
            client.close()
            return
        publish(self._deps, container, "attach")

    def _comes_next(self) -> bool:
        """Whether its next run is what the client waits for: ``start --attach`` attaches before it starts."""
        container = self._container
        if container.row.phase in ("created", "restarting") or not container.exited.is_set():
            return True
        return self._stopped and container.row.started_ns == self._last_run_ns  # else it ran and ended meanwhile

    async def _replay(self, client: socket.socket) -> None:
        query = LogQuery(self._plan.stdout, self._plan.stderr, False, None, None, False, None, False)
        stream = await logs(self._deps, self._container.id, query)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        async for chunk in stream.chunks:
            await loop.sock_sendall(client, chunk)

    async def finished(self) -> None:
        await self._container.exited.wait()

    def abandon(self) -> None:
        """Nothing was taken yet."""
        self._joined()


async def attach(deps: Deps, ref: str, plan: AttachPlan) -> AttachSession:
    """Raises: NotFound, Conflict (paused or restarting)."""
    container = deps.containers.get(ref)
    if container.row.phase == "paused":
        raise Conflict(f"container {container.id} is paused, unpause the container before attach")
    if container.row.phase == "restarting":
        raise Conflict(f"container {container.id} is restarting, wait until the container is running")
    return AttachSession(deps, container, plan)
