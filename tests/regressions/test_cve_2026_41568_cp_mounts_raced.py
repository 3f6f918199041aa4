"""CVE-2026-41568, CVE-2026-42306: ``docker cp`` set up the container's mounts again, at paths that it could exchange.

The race made empty files on the host, or put a volume's mount somewhere else. The first repair then broke ordinary absolute
links of images (``/var/run -> /run``). The defence: of a running container the mounts of its own namespace are used; of a
stopped one they are placed by descriptor inside its root. Both directions are held here.

Fails when: ``engine/containers/view.py`` places mounts by path, or resolves them without following links inside.
"""

from __future__ import annotations

import contextlib
import http.client
import os

import pytest

from harness.attack import canary, image, shared_folder, swapping
from harness.daemon import Daemon
from harness.images import Entry

pytestmark = pytest.mark.root


def test_mount_places_that_are_swapped(engine: Daemon) -> None:
    with canary() as host, shared_folder() as volume:
        (volume / "door").mkdir()
        os.symlink(host, volume / "link")
        flags = ("-v", f"{volume}:/shared", "-v", "/etc/hostname:/shared/door/new/file", "-v", "/shared/door/other")
        engine.docker("create", "--name", "box", *flags, "busybox", "true")
        with swapping(f"{volume}/door", f"{volume}/link") as swaps:
            for _ in range(25):
                engine.api("HEAD", "/containers/box/archive?path=/shared/door/new/file")
                with contextlib.suppress(http.client.IncompleteRead):  # it was gone after the headers
                    engine.api("GET", "/containers/box/archive?path=/shared/door/")
            assert swaps() > 1000
        engine.docker("rm", "-v", "box")


@pytest.mark.parametrize("running", [True, False])
def test_absolute_links_of_an_image_are_followed_inside(engine: Daemon, running: bool) -> None:
    links = [
        Entry("run", kind="dir", mode=0o755), Entry("var", kind="dir", mode=0o755),
        Entry("var/run", kind="symlink", target="/run"), Entry("var/lock", kind="symlink", target="../run/lock"),
        Entry("run/lock", kind="dir", mode=0o755),
    ]  # fmt: skip
    with image(engine, links) as tag:
        verb = ("run", "-d") if running else ("create",)
        engine.docker(*verb, "--name", "box", "-v", "/var/run/app", tag, "sleep", "1000")
        for place in ("/var/run", "/var/lock", "/var/run/app"):
            result = engine.docker("cp", "/etc/hostname", f"box:{place}/here", check=False)
            assert result.code == 0, result
            assert engine.api("HEAD", f"/containers/box/archive?path={place}/here").status == 200
        assert engine.api("HEAD", "/containers/box/archive?path=/run/app/here").status == 200
        engine.docker("rm", "-fv", "box")
