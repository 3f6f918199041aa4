"""``GET /containers/x/top?ps_args=%00`` was answered with 500: no argument of a program can hold a NUL."""

from __future__ import annotations

import pytest

from harness.daemon import Daemon

pytestmark = pytest.mark.root


@pytest.mark.parametrize("path", ["top?ps_args=-e%00f", "logs?stdout=1&since=%00", "archive?path=/etc%00"])
def test_it_is_the_clients_mistake(engine: Daemon, path: str) -> None:
    engine.docker("run", "-d", "--name", "c1", "busybox", "sleep", "1000")
    answer = engine.api("GET", f"/containers/c1/{path}")
    assert (answer.status, answer.body) == (400, {"message": "invalid query: it contains a NUL character"})
