"""inspect, ps and events of the same lives as by the Docker whose answers are committed, and the same refusals on the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from golden.lives import LIVES, live
from golden.observe import changes
from golden.purpose import LIVES_DIFFER
from harness.daemon import Daemon

pytestmark = pytest.mark.root

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[2] / "golden" / "docker_lives.json").read_text())["lives"]


@pytest.mark.parametrize("life", LIVES)
def test_a_life(engine: Daemon, life: str) -> None:
    wanted, found = GOLDEN[life], live(engine, life)
    wrong = {
        path: {"docker": _at(wanted, path), "berth": value}
        for path, value in changes(wanted, found).items()
        if (life, path) not in LIVES_DIFFER
    }
    assert not wrong, json.dumps(wrong, indent=1)


def _at(value: Any, path: str) -> Any:
    for key in path.split("."):
        value = value.get(key, "<none>") if isinstance(value, dict) else value
    return value
