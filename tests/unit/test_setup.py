"""Setting up for the tests installs programs, not services."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import dev


def test_what_is_installed_is_not_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wants, policy = tmp_path / "multi-user.target.wants", tmp_path / "policy-rc.d"
    wants.mkdir()
    (wants / "own.service").symlink_to("/lib/systemd/system/own.service")  # a link to nothing counts as well
    monkeypatch.setattr(dev, "UNITS", str(tmp_path))
    monkeypatch.setattr(dev, "POLICY", str(policy))
    with dev.no_services():
        assert subprocess.run([policy, "etcd", "start"]).returncode == 101, "invoke-rc.d starts nothing"
        (wants / "etcd.service").symlink_to("/lib/systemd/system/etcd.service")
    assert [link.name for link in wants.iterdir()] == ["own.service"]
    assert not policy.exists()
