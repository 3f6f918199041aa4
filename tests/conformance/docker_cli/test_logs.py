"""``docker logs``: what was written, following, choosing, bounded by default."""

from __future__ import annotations

import os
import re
import time

import pytest

from harness import reference
from harness.daemon import Daemon
from harness.eventually import eventually

pytestmark = pytest.mark.root


def test_both_streams_come_back_on_their_own(engine: Daemon) -> None:
    engine.docker("run", "--name", "said", "busybox", "sh", "-c", "echo out; echo err >&2")
    result = engine.docker("logs", "said")
    assert (result.out, result.err) == ("out\n", "err\n")


def test_tail_since_and_timestamps(engine: Daemon) -> None:
    engine.docker("run", "--name", "count", "busybox", "seq", "1", "100")
    assert engine.docker("logs", "-n", "3", "count").lines == ["98", "99", "100"]
    assert engine.docker("logs", "--tail", "0", "count").out == ""
    stamped = engine.docker("logs", "-t", "-n", "1", "count").out
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z 100\n", stamped)
    assert engine.docker("logs", "--since", "1h", "count").lines[-1] == "100"
    assert engine.docker("logs", "--since", str(int(time.time()) + 100), "count").out == ""
    assert engine.docker("logs", "--until", "1h", "count").out == ""


def test_follow_shows_what_comes_and_ends_with_the_container(engine: Daemon) -> None:
    engine.docker("run", "-d", "-i", "--name", "slow", "busybox", "sh", "-c", "echo one; read x; echo two; read x")
    process = engine.docker_popen("logs", "-f", "slow")
    assert process.stdout is not None
    assert process.stdout.readline() == b"one\n"
    pushed = engine.docker_popen("attach", "slow", stdin=-1)
    pushed.stdin.write(b"\n")
    pushed.stdin.flush()
    assert process.stdout.readline() == b"two\n"
    engine.docker("kill", "slow")
    assert process.wait(10) == 0
    pushed.communicate(timeout=10)


def test_follow_ends_at_until(engine: Daemon) -> None:
    engine.docker("run", "-d", "--name", "talks", "busybox", "sh", "-c", "echo first; sleep 1000")
    eventually(lambda: engine.docker("logs", "talks").out == "first\n")
    assert engine.docker("logs", "-f", "--until", "1h", "talks").out == ""


def test_a_long_line_is_whole(engine: Daemon) -> None:
    engine.docker("run", "--name", "long", "busybox", "sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x; echo")
    assert engine.docker("logs", "long").out == "x" * 100000 + "\n"


def test_a_last_line_without_newline_is_kept(engine: Daemon) -> None:
    engine.docker("run", "--name", "open", "busybox", "printf", "no newline")
    assert engine.docker("logs", "open").out == "no newline"


@pytest.mark.skipif(bool(reference.ADDRESS), reason="Docker's logs have no bound")
def test_logs_are_bounded_unless_told_otherwise(engine: Daemon) -> None:
    """3 × 10 MB: a container that writes 50 MB keeps its newest lines and less than 31 MB."""
    script = "yes 0123456789012345678901234567890123456789012345678 | head -c 50000000; echo last"
    ident = engine.docker("run", "-d", "busybox", "sh", "-c", script).out.strip()
    engine.docker("wait", ident)
    path = engine.inspect(ident)["LogPath"]
    folder = os.path.dirname(path)
    sizes = {name: os.path.getsize(f"{folder}/{name}") for name in os.listdir(folder) if "-json.log" in name}
    assert len(sizes) == 3 and sum(sizes.values()) < 31 << 20, sizes
    assert engine.docker("logs", "-n", "1", ident).out == "last\n"


def test_max_size_and_max_file_are_kept(engine: Daemon) -> None:
    ident = engine.docker(
        "run", "-d", "--log-opt", "max-size=10k", "--log-opt", "max-file=2", "busybox", "seq", "1", "5000"
    ).out.strip()
    engine.docker("wait", ident)
    folder = os.path.dirname(engine.inspect(ident)["LogPath"])
    sizes = [os.path.getsize(f"{folder}/{name}") for name in os.listdir(folder) if "-json.log" in name]
    assert len(sizes) == 2 and max(sizes) <= 11_000, sizes
    lines = [int(line) for line in engine.docker("logs", ident).lines]
    assert lines == list(range(lines[0], 5001))


def test_driver_none_keeps_nothing(engine: Daemon) -> None:
    engine.docker("run", "--name", "silent", "--log-driver", "none", "busybox", "echo", "x")
    result = engine.docker("logs", "silent", check=False)
    assert result.code == 1
    assert "configured logging driver does not support reading" in result.err


def test_logs_of_a_restarted_container_go_on(engine: Daemon) -> None:
    engine.docker("run", "--name", "twice", "busybox", "echo", "again")
    engine.docker("start", "-a", "twice")
    assert engine.docker("logs", "twice").out == "again\nagain\n"
