"""Several engines on one machine: two of ours, ours beside Docker, and two that want the same place."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import cli
from harness.daemon import Daemon

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

pytestmark = pytest.mark.root


def test_two_daemons_do_not_see_each_other(make_daemon: Callable[..., Daemon]) -> None:
    one, two = make_daemon(), make_daemon()
    assert one.instance_id != two.instance_id
    for engine in (one, two):
        engine.docker("run", "-d", "--name", "same", "-p", "80", "busybox", "httpd", "-f", "-h", "/var/www")
    before = two.settled()
    pid = two.inspect("same")["State"]["Pid"]
    one.docker("rm", "-f", "same")
    one.close()
    assert two.inspect("same")["State"]["Pid"] == pid
    port = two.docker("port", "same", "80").lines[0].rpartition(":")[2]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        assert answer.read() == b"hello from busybox\n"
    two.assert_clean(before)


def test_a_second_daemon_on_the_same_data_is_refused(make_daemon: Callable[..., Daemon]) -> None:
    engine = make_daemon(busybox=False)
    second = subprocess.run(
        [*engine.command()[:-4], "--pidfile", f"{engine.root}/pid2"], capture_output=True, text=True, timeout=30
    )
    assert second.returncode == 1
    assert f"uses the data-root {engine.data_root}" in second.stderr or "is still running" in second.stderr
    assert engine.answers()


def test_a_socket_where_somebody_answers_is_not_taken(make_daemon: Callable[..., Daemon]) -> None:
    first = make_daemon(busybox=False)
    second = make_daemon(busybox=False, start=False)
    second.host = first.host
    process = second.spawn()
    assert process.wait(30) == 1
    assert "another engine answers there" in second.log()
    assert first.answers()
    second.sweep()


@pytest.fixture
def dockerd() -> Iterator[object]:
    """Docker of Debian's newest suite in a room; our daemon joins its network namespace."""
    from bench.engines import Docker

    engine = Docker()
    try:
        engine.start()
        yield engine
    finally:
        engine.close()


class Neighbour(Daemon):
    """A Berth in the network namespace of another engine."""

    namespace_of = 0

    def command(self) -> list[str]:
        return ["nsenter", "-t", str(self.namespace_of), "-n", *super().command()]


@pytest.mark.long  # fetches 70 MB of Docker
def test_beside_a_running_dockerd(dockerd: object) -> None:
    """Docker's links and rules are the same before and after, and both run containers with ports."""
    room = ["nsenter", "-t", str(dockerd.pid), "-n"]  # type: ignore[attr-defined]

    def look() -> list[str]:
        tables = subprocess.run([*room, "nft", "-s", "list", "ruleset"], capture_output=True, text=True).stdout
        kept = []
        for block in tables.split("\ntable "):
            if "berth_" not in block.split("{")[0]:
                kept.append(block)
        return kept

    docker_env = {**os.environ, "DOCKER_HOST": dockerd.host}  # type: ignore[attr-defined]
    before = look()
    engine = Neighbour()
    engine.namespace_of = dockerd.pid  # type: ignore[attr-defined]
    try:
        engine.start()
        engine.load_busybox()
        engine.docker("run", "-d", "--name", "web", "-p", "8080:80", "busybox", "httpd", "-f", "-h", "/var/www")
        fetch = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:8080/').read().decode(), end='')"
        fetched = subprocess.run([*room, sys.executable, "-c", fetch], capture_output=True, text=True)
        assert fetched.stdout == "hello from busybox\n"
        assert (
            subprocess.run([cli.docker_program(), "ps", "-q"], env=docker_env, capture_output=True, text=True).stdout
            == ""
        )
    finally:
        engine.close()
    assert look() == before
