"""CVE-2026-47262: the image's passwd and group were read without bound.

A file of a gigabyte, a FIFO that nobody writes to, a device that never ends, a link to one: each took the runtime's memory, or
its time, for good. The defence: a regular file only, opened without waiting and through no magic link, 4 MiB of it, by lines.

Fails when: ``_entries`` in ``oci/users.py`` opens without O_NONBLOCK and does not ask for S_ISREG, or ``_lines`` reads it all.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import attack
from harness.daemon import Daemon
from harness.images import Entry

pytestmark = pytest.mark.root
PATIENCE_S = 15.0


def bounded(act: Callable[[], None]) -> None:
    began = time.monotonic()
    act()
    assert time.monotonic() - began < PATIENCE_S


@pytest.mark.parametrize("name", ["passwd", "group"])
@pytest.mark.parametrize("kind", ["zeros", "lines", "fifo"])
def test_a_file_of_the_hosts(engine: Daemon, name: str, kind: str) -> None:
    """A gigabyte in a container of 64 MiB: what it reads is its own to pay."""
    with attack.shared_folder() as folder:
        path = folder / name
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "zeros":
            path.touch()
            os.truncate(path, 1 << 30)
        else:
            path.write_bytes(b"a:\n" * (2 << 20))
        flags = ["-m", "64m", "-v", f"{path}:/etc/{name}"]

        def act() -> None:
            engine.docker(
                "run", "-d", "--name", "box", *flags, "-u", "4711:4712", "busybox", "sleep", "1000", timeout_s=30
            )
            # not id(1), which would read the file itself
            assert (
                "Uid:\t1000\t"
                in engine.docker("exec", "-u", "1000:50", "box", "cat", "/proc/self/status", timeout_s=30).out
            )
            wrong = "no-such-user" if name == "passwd" else "0:no-such-group"
            for result in (
                engine.docker("exec", "-u", wrong, "box", "true", check=False, timeout_s=30),
                engine.docker("run", "--rm", *flags, "-u", wrong, "busybox", "true", check=False, timeout_s=30),
            ):
                assert "unable to find" in result.out + result.err, result

        bounded(act)


@pytest.mark.parametrize(
    "target", ["/dev/zero", "/dev/random", "/proc/kmsg", "/proc/self/fd/0", "/proc/self/mem", "passwd", "/etc"]
)
def test_a_link_of_the_images(engine: Daemon, target: str) -> None:
    entries = [Entry(f"etc/{name}", kind="symlink", target=target) for name in ("passwd", "group")]
    with attack.image(engine, entries) as tag:

        def act() -> None:
            engine.docker("run", "--rm", "-u", "1:1", tag, "true", timeout_s=30)
            result = engine.docker("run", "--rm", "-u", "user", tag, "true", check=False, timeout_s=30)
            assert "unable to find user" in result.err, result

        bounded(act)


def test_a_device_of_the_images(engine: Daemon) -> None:
    with attack.image(engine, [Entry("etc/passwd", kind="char", device=(1, 5))]) as tag:
        bounded(lambda: _refused(engine, tag))


def _refused(engine: Daemon, tag: str) -> None:
    result = engine.docker("run", "--rm", "-u", "user", tag, "true", check=False, timeout_s=30)
    assert "unable to find user" in result.err, result


def test_a_line_without_end_hides_no_other(engine: Daemon) -> None:
    with attack.shared_folder() as folder:
        path = Path(folder, "passwd")
        path.write_bytes(b"x" * (1 << 20) + b"\nuser:x:1234:1234::/:/bin/sh\n")
        seen = engine.docker("run", "--rm", "-v", f"{path}:/etc/passwd", "-u", "user", "busybox", "id", "-u")
        assert seen.out == "1234\n"
