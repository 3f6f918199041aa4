"""The same create bodies in the oldest, a middle and the newest version of the API: accepted, refused and shown as by Docker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from golden.cases import VERSION_BODIES, VERSIONS, prepare
from golden.observe import against, posted
from golden.purpose import NOT_IN_OLDER, VERSIONS_DIFFER
from harness.daemon import Daemon

pytestmark = pytest.mark.root

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[2] / "golden" / "docker_create.json").read_text())[
    "versions"
]


@pytest.fixture(scope="module")
def golden_engine() -> Iterator[Daemon]:
    """Bodies name volumes."""
    prepare()
    with Daemon() as daemon:
        daemon.load_busybox()
        yield daemon


@pytest.mark.parametrize("version", VERSIONS)
def test_bodies_of_a_version(version: str, golden_engine: Daemon) -> None:
    engine = golden_engine
    bare = posted(engine, '{"Image": "busybox"}', version)["inspect"]
    wrong = []
    for text in VERSION_BODIES:
        found = against(bare, posted(engine, text, version))
        expected = VERSIONS_DIFFER.get(text) or _as_ours(GOLDEN[version][text], found, NOT_IN_OLDER.get(version, ()))
        if found != expected:
            wrong.append(f"{text}\n  expected: {json.dumps(expected)}\n  found:    {json.dumps(found)}")
    assert not wrong, "\n".join(wrong)


def _as_ours(docker: Any, found: dict[str, Any], left_out: tuple[str, ...]) -> Any:
    """Docker's answer; what its JSON decoder says is ours to say in other words, at the same status."""
    if str(docker.get("message")).startswith("invalid JSON: ") and str(found.get("message")).startswith(
        "invalid JSON: "
    ):
        return {**docker, "message": found["message"]}
    return {**docker, **({"inspect": _without(docker["inspect"], left_out)} if "inspect" in docker else {})}


def _without(shown: Any, keys: tuple[str, ...]) -> Any:
    if isinstance(shown, list):
        return [_named(_without(entry, keys)) for entry in shown]
    if not isinstance(shown, dict):
        return shown
    return {key: _without(value, keys) for key, value in shown.items() if key.rpartition(".")[2] not in keys}


def _named(entry: Any) -> Any:
    """Docker leaves out the name of a volume that ``Binds`` made without one."""
    if isinstance(entry, dict) and entry.get("Type") == "volume" and "Destination" in entry:
        return {"Type": "volume", "Name": "<id>", **entry}
    return entry
