"""Every option of ``docker create``, one by one: accepted, refused and shown as by the Docker whose answers are committed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from golden.cases import BODIES, CASES
from golden.observe import against, changes, creation, posted
from golden.options import GOLDEN, judge, option_engine
from golden.purpose import BODIES_DIFFER, CREATE_DIFFERS, EVERYWHERE
from harness.daemon import Daemon

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def golden_engine() -> Iterator[Daemon]:
    with option_engine() as daemon:
        yield daemon


@pytest.fixture(scope="module")
def plain(golden_engine: Daemon) -> Any:
    return creation(golden_engine, "")["inspect"]


@pytest.fixture(scope="module")
def bare(golden_engine: Daemon) -> Any:
    return posted(golden_engine, '{"Image": "busybox"}')["inspect"]


def test_a_container_without_options(plain: Any) -> None:
    found = changes(GOLDEN["plain"], plain)
    assert {k: v for k, v in found.items() if k not in EVERYWHERE} == {}


def test_a_body_without_options(bare: Any) -> None:
    found = changes(GOLDEN["bare"], bare)
    assert {k: v for k, v in found.items() if k not in EVERYWHERE} == {}


@pytest.mark.parametrize("family", CASES)
def test_options(golden_engine: Daemon, plain: Any, family: str) -> None:
    judge(golden_engine, plain, family, CREATE_DIFFERS)


def test_bodies(golden_engine: Daemon, bare: Any) -> None:
    """Bodies that no command line of docker's would send. Where Docker blames itself (500), we blame the body (400)."""
    wrong = []
    for text in BODIES:
        wanted = dict(GOLDEN["bodies"][text])
        found = against(bare, posted(golden_engine, text))
        if wanted["status"] == 500 and found["status"] == 400:
            wanted["status"] = 400
        if found != BODIES_DIFFER.get(text, wanted):
            wrong.append(f"{text}\n    docker {wanted}\n    berth  {found}")
    assert not wrong, "\n".join(["", *wrong])
