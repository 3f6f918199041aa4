"""Runs in a row leave nothing: no mount, link, network namespace, cgroup, process, descriptor, file, row."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.daemon import Daemon

pytestmark = pytest.mark.root


def test_fifty_runs(engine: Daemon) -> None:
    before = engine.at_rest
    for _ in range(50):
        engine.docker("run", "--rm", "busybox", "true")
    engine.assert_clean(before)


def test_runs_at_once_with_ports_volumes_and_terminals(engine: Daemon) -> None:
    before = engine.at_rest
    kinds = [
        words.split()
        for words in ("-p 80", "-v /anonymous", "-t", "--network none", "--network host", "--init", "-i", "--read-only")
    ]

    def one(flags: list[str]) -> str:
        return engine.docker("run", "--rm", *flags, "busybox", "echo", "ok").out.strip()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(one, kinds * 4)) == {"ok"}
    engine.assert_clean(before)


def test_failed_starts_leave_nothing(engine: Daemon) -> None:
    before = engine.at_rest
    for command in ("nothing-here", "/etc/passwd", "/etc"):
        for _ in range(4):
            engine.docker("run", "--rm", "-p", "80", "busybox", command, check=False)
    engine.assert_clean(before)


def test_killed_clients_leave_nothing(engine: Daemon) -> None:
    before = engine.at_rest
    for _ in range(5):
        client = engine.docker_popen("run", "--rm", "-i", "busybox", "sh", "-c", "echo on; cat", stdin=-1)
        assert client.stdout is not None
        assert client.stdout.readline() == b"on\n"
        client.kill()
        client.communicate()
    engine.remove_all()
    engine.assert_clean(before)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_thousand_runs(make_daemon: Callable[..., Daemon]) -> None:
    engine = make_daemon()
    engine.docker("run", "--rm", "busybox", "true")
    before = engine.settled()
    for _ in range(1000):
        engine.docker("run", "--rm", "busybox", "true")
    engine.assert_clean(before)
