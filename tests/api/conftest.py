"""The API over a fake engine, on asyncio's loop and on uvloop."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.fake_services import ApiServer


@pytest.fixture(params=["asyncio", "uvloop"])
def api(request: pytest.FixtureRequest) -> Iterator[ApiServer]:
    with ApiServer(uvloop=request.param == "uvloop") as server:
        yield server
