"""When the pool of parked shims is filled."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from berth.shim_client import pool as pools
from berth.shim_client.pool import ShimPool


class Forks:
    """A zygote that counts."""

    def __init__(self) -> None:
        self.count = 0

    async def fork_shim(self, slot: str, **options: Any) -> Any:
        self.count += 1
        return FakeShim()


class FakeShim:
    gone = False

    async def discard(self) -> None:
        pass


async def until(forks: Forks, count: int) -> None:
    async with asyncio.timeout(10):
        while forks.count < count:
            await asyncio.sleep(0.005)


def test_it_is_filled_after_the_starts_of_a_burst_not_beside_them() -> None:
    async def burst() -> None:
        forks = Forks()
        pool = ShimPool(cast(Any, forks), size=2)
        pool.open()
        await until(forks, 2)
        with pool.start_under_way():
            for _ in range(3):
                with pool.start_under_way():
                    await pool.claim()
            assert forks.count == 3  # two were there
            await asyncio.sleep(5 * pools.QUIET_S)
            assert forks.count == 3
        await until(forks, 5)
        await pool.close()

    asyncio.run(burst())


def test_a_start_that_hangs_does_not_keep_it_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "PATIENCE_S", 0.1)

    async def hang() -> None:
        forks = Forks()
        pool = ShimPool(cast(Any, forks), size=1)
        with pool.start_under_way():
            await pool.claim()
            await until(forks, 2)
        await pool.close()

    asyncio.run(hang())
