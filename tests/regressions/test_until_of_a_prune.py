"""``container prune --filter until=2030-01-01`` was refused where a container was there to be asked, since prune knew durations
and seconds only; without a container any text passed. A month of 13 was an internal error for images.
"""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from harness.daemon import Daemon

pytestmark = pytest.mark.root


def filters(**values: list[str]) -> str:
    return "filters=" + quote(json.dumps(values))


def test_a_date(engine: Daemon) -> None:
    engine.docker("create", "--name", "old", "busybox")
    assert "old" not in engine.docker("container", "prune", "-f", "--filter", "until=2006-01-02").out
    ident = engine.inspect("old")["Id"]
    assert ident in engine.docker("container", "prune", "-f", "--filter", "until=2100-01-02T15:04:05").out


@pytest.mark.parametrize("noun", ["containers", "networks", "images"])
@pytest.mark.parametrize("text", ["x", "2026-13-01", "1y"])
def test_what_is_no_time(engine: Daemon, noun: str, text: str) -> None:
    answer = engine.api("POST", f"/{noun}/prune?{filters(until=[text])}")
    assert answer.status == 400
    assert answer.body["message"] == f'failed to parse value as time or duration: "{text}"'


@pytest.mark.parametrize("noun", ["containers", "networks"])
def test_two_of_them(engine: Daemon, noun: str) -> None:
    answer = engine.api("POST", f"/{noun}/prune?{filters(until=['1h', '2h'])}")
    assert (answer.status, answer.body["message"]) == (400, "more than one until filter specified")


def test_lists_look_at_their_filters_without_a_container_too(engine: Daemon) -> None:
    for wanted, status in (
        (filters(until=["1h"]), 400), (filters(publish=["x"]), 400), (filters(before=["nobody"]), 404), ("filters=null", 200)
    ):  # fmt: skip
        assert engine.api("GET", f"/containers/json?{wanted}").status == status, wanted
