"""``image inspect``, the list and the history of images: the same as by the Docker whose answers are committed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from golden.image_cases import IMAGES, seen
from golden.observe import changes
from harness.daemon import Daemon

pytestmark = pytest.mark.root

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[2] / "golden" / "docker_images.json").read_text())


def test_what_is_said_of_images() -> None:
    with Daemon() as daemon:
        found = seen(daemon)
    assert list(found) == list(IMAGES) and sorted(found) == sorted(GOLDEN["images"])
    assert changes(GOLDEN["images"], found) == {}
