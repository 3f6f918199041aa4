"""The text of docker-default, and what the daemon does with it. Spec: apparmor.d(5); Docker's docker-default by effect."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

import pytest

from berth.base import spawn
from berth.daemon import apparmor
from berth.kernel import lsm
from berth.spec.apparmor import profile_text


def rules(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.startswith("  ")]


def test_what_docker_denies_is_denied() -> None:
    found = rules(profile_text("docker-default"))
    for place in ("@{PROC}/sysrq-trigger", "@{PROC}/kcore", "/sys/firmware/**", "/sys/kernel/security/**"):
        assert f"deny {place} rwklx," in found
    assert "deny mount," in found and "deny @{PROC}/* w," in found and "deny @{PROC}/sys/[^k]** w," in found
    assert {"network,", "capability,", "file,", "umount,"} <= set(found)


def test_whose_signals_come_in() -> None:
    found = rules(profile_text("box", engine="/usr/sbin/berthd"))
    peers = [rule.partition("peer=")[2] for rule in found if rule.startswith("signal (receive)")]
    assert peers == ["unconfined,", "runc,", "crun,", '"/usr/sbin/berthd",']
    assert "signal (send,receive) peer=box," in found
    assert len([rule for rule in rules(profile_text("box")) if "peer=unconfined" in rule]) == 1


def test_a_host_without_policy_files() -> None:
    text = profile_text("box", tunables=False, base=False)
    assert text.startswith("@{PROC}=/proc/\n") and "include" not in text


@pytest.mark.parametrize("parser", [None, "/sbin/apparmor_parser"])
def test_a_profile_that_cannot_be_loaded_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, parser: str | None
) -> None:
    asked: list[tuple[list[str], bytes]] = []

    def run(argv: Sequence[str], *, timeout_s: float, stdin: bytes) -> subprocess.CompletedProcess[bytes]:
        asked.append((list(argv), stdin))
        return subprocess.CompletedProcess(list(argv), 1, b"", b"no permission\n")

    monkeypatch.setattr(lsm, "has_apparmor", lambda: True)
    monkeypatch.setattr(lsm, "has_profile", lambda name: False)
    monkeypatch.setattr(apparmor.shutil, "which", lambda name, path: parser)
    monkeypatch.setattr(spawn, "run", run)
    assert not apparmor.ensure_default()
    assert ("no permission" if parser else "there is no apparmor_parser") in caplog.text
    assert [argv[0] for argv, _ in asked] == ([parser] if parser else [])
    assert all(b"profile docker-default" in text for _, text in asked)
