"""Wherever a start fails, nothing half-made stays: each failpoint of the way, as an error and as the daemon's death."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import berth
from harness.daemon import Daemon
from harness.eventually import eventually

pytestmark = pytest.mark.root


def failpoints(*packages: str) -> list[str]:
    """Every failpoint's name in the source of ``packages``."""
    source = Path(berth.__file__).parent
    found: set[str] = set()
    for package in packages:
        for path in sorted((source / package).rglob("*.py")):
            found |= set(re.findall(r'failpoints\.hit\("([^"]+)"\)', path.read_text()))
    return sorted(found)


STARTING = [name for name in failpoints("engine", "networks") if name.startswith(("create.", "start.", "network."))]


NETLESS = [name for name in STARTING if name.startswith("start.")]
"""A start without a network goes from the config to execve in one go."""
CASES = [*((name, ("-p", "80")) for name in STARTING), *((name, ("--network", "none")) for name in NETLESS)]


@pytest.mark.parametrize(("point", "flags"), CASES)
def test_an_error_there(make_daemon: Callable[..., Daemon], point: str, flags: tuple[str, ...]) -> None:
    engine = make_daemon(env={"BERTH_FAILPOINTS": f"{point}=error:EIO"})
    before = engine.settled()
    result = engine.docker("run", "--rm", *flags, "busybox", "true", check=False)
    assert result.code == 125 and result.err
    engine.remove_all()
    engine.assert_clean(before)


@pytest.mark.parametrize(("point", "flags"), CASES)
def test_the_daemons_death_there(make_daemon: Callable[..., Daemon], point: str, flags: tuple[str, ...]) -> None:
    engine = make_daemon()
    before = engine.settled()
    engine.stop()
    engine.env["BERTH_FAILPOINTS"] = f"{point}=kill"
    engine.start()
    engine.docker("run", "--rm", *flags, "busybox", "sleep", "1000", check=False)
    assert engine.process is not None
    engine.process.wait(10)
    engine.env.clear()
    engine.start()
    eventually(engine.answers)
    engine.remove_all()
    engine.docker("run", "--rm", *flags, "busybox", "true")
    engine.assert_clean(before)
