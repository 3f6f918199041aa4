"""``berth-runtime checkpoint`` and ``restore`` with CRIU, whose kernel and library fit one another in the virtual machine.

These run in the virtual machine of ``./dev test-vm``.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from harness.attack import Bundle
from harness.eventually import eventually

pytestmark = [pytest.mark.vm, pytest.mark.root]
COUNT = "n=0; while :; do n=$((n+1)); echo $n > /count; sleep 0.1; done"


def count(bundle: Bundle) -> int:
    path = Path(bundle.rootfs, "count")
    return int(path.read_text().strip() or 0) if path.exists() else 0


def test_a_container_goes_on_where_it_was(tmp_path: Path) -> None:
    assert shutil.which("criu")
    with Bundle(args=["sh", "-c", COUNT]) as bundle:
        bundle.start()
        eventually(lambda: count(bundle) > 5)
        bundle.runtime("checkpoint", "--image-path", str(tmp_path), bundle.name)
        bundle.runtime("delete", "--force", bundle.name)
        at_rest = count(bundle)
        bundle.runtime("restore", "--detach", "-b", bundle.home, "--image-path", str(tmp_path), bundle.name)
        assert json.loads(bundle.runtime("state", bundle.name).out)["status"] == "running"
        eventually(lambda: count(bundle) > at_rest)
        assert count(bundle) < at_rest + 1000
        bundle.runtime("delete", "--force", bundle.name)
