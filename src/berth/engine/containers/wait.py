"""``wait``: registered at once, answered later."""

from __future__ import annotations

import asyncio

from berth.base.errors import InvalidArgument
from berth.engine.containers.deps import Deps
from berth.engine.containers.record import Container
from berth.spec.streams import WaitResult

CONDITIONS = ("not-running", "next-exit", "removed")


class ContainerWaiter:
    """One client that waits for one condition of one container."""

    def __init__(self, container: Container, condition: str) -> None:
        self._container = container
        self._entry = (condition, asyncio.get_running_loop().create_future())
        container.waiters.append(self._entry)

    def answer(self, code: int) -> None:
        self._entry[1].set_result((code, None))

    async def result(self) -> WaitResult:
        code, error = await self._entry[1]
        return WaitResult(code, error)

    def cancel(self) -> None:
        if self._entry in self._container.waiters:
            self._container.waiters.remove(self._entry)


async def wait(deps: Deps, ref: str, condition: str) -> ContainerWaiter:
    """Raises: NotFound, InvalidArgument (an unknown condition)."""
    condition = condition or "not-running"
    if condition not in CONDITIONS:
        raise InvalidArgument(f'invalid condition: "{condition}"')
    container = deps.containers.get(ref)
    waiter = ContainerWaiter(container, condition)
    if condition == "not-running" and not container.running and container.row.phase != "restarting":
        waiter.answer(container.row.exit_code)
        waiter.cancel()
    return waiter
