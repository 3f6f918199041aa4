"""CVE-2025-52565: ``/dev/console`` was bound from a path below the container's own ``/dev/pts``.

Swapped for a link at the right moment, the bind brought a file of procfs into the container, writable before the masks came. The
defence: the terminal's end comes from its master (TIOCGPTPEER), both are checked to be on a devpts, and what it is laid over is
opened without following a link.

Fails when: ``bind_console`` in ``oci/rootfs.py`` opens its target without RESOLVE_NO_SYMLINKS.
"""

from __future__ import annotations

import pytest

from harness.attack import canary, shared_folder, swapping
from harness.daemon import Daemon

pytestmark = pytest.mark.root


def test_a_console_that_is_swapped(engine: Daemon) -> None:
    with canary() as host, shared_folder() as volume:
        (volume / "console").write_text("")
        (volume / "link").symlink_to(f"{host}/kept")
        with swapping(f"{volume}/console", f"{volume}/link") as swaps:
            for _ in range(10):
                show = "stat -c %t /dev/console; readlink /proc/self/fd/0; cat /dev/console </dev/null & kill $!"
                engine.docker(
                    "run",
                    "--rm",
                    "-t",
                    "-v",
                    f"{volume}:/dev",
                    "-v",
                    "/dev/pts:/dev/pts",
                    "busybox",
                    "sh",
                    "-c",
                    show,
                    check=False,
                )
            assert swaps() > 1000


def test_a_console_that_is_a_link(engine: Daemon) -> None:
    with shared_folder() as volume:
        (volume / "console").symlink_to("/proc/sys/kernel/core_pattern")
        result = engine.docker(
            "run", "--rm", "-t", "-v", f"{volume}:/dev", "-v", "/dev/pts:/dev/pts", "busybox", "true", check=False
        )
        assert result.code == 125, result


def test_the_terminal_is_one_of_a_devpts(engine: Daemon) -> None:
    show = "stat -f -c %T /proc/self/fd/0 /dev/console; readlink /proc/self/fd/0"
    assert engine.docker("run", "--rm", "-t", "busybox", "sh", "-c", show).out.split() == [
        "devpts",
        "devpts",
        "/dev/pts/0",
    ]
