"""Fixtures: a host with a daemon and a neighbour on its LAN, one a file; what a test made there is gone after it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.rooms import Lan, RoomDaemon


@pytest.fixture(scope="module")
def lan() -> Iterator[Lan]:
    with Lan() as made:
        yield made


@pytest.fixture
def engine(lan: Lan) -> Iterator[RoomDaemon]:
    yield lan.daemon
    lan.daemon.end_servers()
    lan.daemon.remove_all()
