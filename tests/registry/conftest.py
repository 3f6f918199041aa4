"""Registries for the tests of the distribution client."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from harness.daemon import Daemon
from harness.registry import PackagedRegistry, StandIn


@pytest.fixture(scope="module")
def packaged() -> Iterator[PackagedRegistry]:
    """Debian's docker-registry."""
    with PackagedRegistry() as registry:
        yield registry


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with StandIn() as registry:
        yield registry


@pytest.fixture
def make_stand_in() -> Iterator[Callable[..., StandIn]]:
    made: list[StandIn] = []

    def make(**how: object) -> StandIn:
        made.append(StandIn(**how).__enter__())  # type: ignore[arg-type]
        return made[-1]

    yield make
    for registry in made:
        registry.close()


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """A daemon of the module's own, without images: registries' tests change what a shared one holds."""
    with Daemon() as engine:
        yield engine
