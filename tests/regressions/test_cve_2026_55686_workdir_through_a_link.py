"""CVE-2026-55686 (Podman), CVE-2024-45310 (runc): WORKDIR through a link made folders on the host, or gave them away.

The engine prepared the working directory by its path before the container's root was entered; a link in a shared volume, swapped
at the right moment, led that path to the host. The defence: the folders are made after pivot_root, each in its opened parent, and
the result is opened inside the root.

Fails when: ``oci/init.py`` calls ``prepare`` before ``enter_root`` (with ``os.makedirs`` in ``_enter_cwd``).
"""

from __future__ import annotations

import pytest

from harness.attack import Bundle, canary, shared_folder, swapping
from harness.daemon import Daemon

pytestmark = pytest.mark.root


@pytest.mark.parametrize("place", ["/shared/door", "/shared/door/new/er", "/shared/door/../../../../new"])
def test_a_link_to_the_host(engine: Daemon, place: str) -> None:
    with canary() as host, shared_folder() as volume:
        (volume / "door").symlink_to(host)
        for user in ("0", "1000"):
            flags = ["--rm", "-u", user, "-v", f"{volume}:/shared", "-w", place]
            engine.docker("run", *flags, "busybox", "touch", "made", check=False)


def test_a_link_that_comes_and_goes(engine: Daemon) -> None:
    with canary() as host, shared_folder() as volume:
        (volume / "door").mkdir()
        (volume / "link").symlink_to(host)
        engine.docker("run", "-d", "--name", "box", "-v", f"{volume}:/shared", "busybox", "sleep", "1000")
        with swapping(f"{volume}/door", f"{volume}/link") as swaps:
            for number in range(8):
                place = f"/shared/door/new{number}/er"
                engine.docker(
                    "run", "--rm", "-v", f"{volume}:/shared", "-w", place, "busybox", "touch", "x", check=False
                )
                engine.docker("exec", "-w", "/shared/door", "box", "touch", f"y{number}", check=False)
            assert swaps() > 1000


def test_a_bundle(engine: Daemon) -> None:
    with canary() as host, Bundle(args=["touch", "made"], cwd="/door/new") as bundle:
        import os

        os.symlink(host, f"{bundle.rootfs}/door")
        bundle.run(check=False)
