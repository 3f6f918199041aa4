"""CVE-2021-30465, CVE-2024-45310: a mount target inside a shared volume was swapped for a link to the host.

A container with a volume exchanges a folder in it with a link while another container is started whose mount lies below that
folder: the mount landed on the host, or the folders that were made for it did. The defence: every target is opened inside the
root (openat2, RESOLVE_IN_ROOT) and mounted on by its descriptor; what is missing is made in the descriptor of its parent.

Fails when: ``kernel/files.py`` ``openat2_in_root`` passes 0 for ``resolve``.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.attack import canary, shared_folder, swapping
from harness.daemon import Daemon

pytestmark = pytest.mark.root


@pytest.mark.parametrize("target", ["{}", "../../../../../../../..{}"])
def test_a_link_that_stands_there(engine: Daemon, target: str) -> None:
    with canary() as host, shared_folder() as volume:
        (volume / "door").symlink_to(target.format(host))
        for place in ("/shared/door", "/shared/door/deep/er", "/shared/door/kept"):
            engine.docker(
                "run", "--rm", "-v", f"{volume}:/shared", "-v", f"/etc/hostname:{place}", "busybox", "true", check=False
            )
            engine.docker("run", "--rm", "-v", f"{volume}:/shared", "--tmpfs", place, "busybox", "true", check=False)


def test_a_folder_that_is_swapped_all_the_time(engine: Daemon) -> None:
    with canary() as host, shared_folder() as volume:
        (volume / "door").mkdir()
        (volume / "link").symlink_to(host)
        with swapping(f"{volume}/door", f"{volume}/link") as swaps:
            for number in range(12):
                place = f"/shared/door/new{number}/er"
                engine.docker(
                    "run", "--rm", "-v", f"{volume}:/shared", "--tmpfs", place, "busybox", "true", check=False
                )
            assert swaps() > 1000
        assert host not in Path("/proc/self/mounts").read_text()


def test_device_nodes(engine: Daemon) -> None:
    """``--device`` makes its node in a folder of the container's."""
    with canary() as host, shared_folder() as volume:
        os.symlink(host, volume / "door")
        flags = ("-v", f"{volume}:/shared", "--device", "/dev/null:/shared/door/null")
        engine.docker("run", "--rm", *flags, "busybox", "true", check=False)
