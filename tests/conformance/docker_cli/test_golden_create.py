"""Every option of ``docker create``, one by one: accepted, refused and shown as by the Docker whose answers are committed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from golden.cases import BODIES, CASES, prepare
from golden.observe import against, changes, creation, posted
from golden.purpose import BODIES_DIFFER, CREATE_DIFFERS, EVERYWHERE
from harness.daemon import Daemon

pytestmark = pytest.mark.root

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[2] / "golden" / "docker_create.json").read_text())


@pytest.fixture(scope="module")
def golden_engine() -> Iterator[Daemon]:
    """A daemon of its own: the cases leave named volumes."""
    prepare()
    with Daemon() as daemon:
        daemon.load_busybox()
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
    wrong = []
    for case in CASES[family]:
        wanted = GOLDEN["create"][family][case]
        found = against(plain, creation(golden_engine, case))
        if case in CREATE_DIFFERS:
            wanted = CREATE_DIFFERS[case]
        if found != wanted:
            wrong.append(f"{case}\n    docker {wanted}\n    berth  {found}")
    assert not wrong, "\n".join(["", *wrong])


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
