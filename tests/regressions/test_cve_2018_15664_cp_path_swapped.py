"""CVE-2018-15664: ``docker cp`` resolved a path inside the container, and then used it on the host.

A container that exchanges a folder for a link in between had the host's files read or overwritten. The defence: what is
opened is what was resolved (openat2 with RESOLVE_IN_ROOT on a descriptor of the container's root, every step below it by
descriptor with O_NOFOLLOW); the daemon never walks a path of the container's with its own root.

Fails when: ``kernel/files.py`` ``openat2_in_root`` passes 0 for ``resolve``.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import tarfile
from pathlib import Path

import pytest

from harness.attack import canary, shared_folder, swapping
from harness.daemon import Daemon

pytestmark = pytest.mark.root

ROUNDS = 60


def archive(name: str, content: bytes = b"overwritten") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("target", ["{}", "../../../../../../../..{}"])
def test_a_link_that_stands_there(engine: Daemon, target: str, running: bool) -> None:
    with canary() as host, shared_folder() as volume:
        (volume / "door").symlink_to(target.format(host))
        flags = ("-v", f"{volume}:/shared", "busybox", "sleep", "1000")
        engine.docker("run" if running else "create", *(["-d"] if running else []), "--name", "box", *flags)
        for method, path in (("HEAD", "/shared/door/kept"), ("GET", "/shared/door/kept"), ("GET", "/shared/door/")):
            assert engine.api(method, f"/containers/box/archive?path={path}").status == 404
        for path, name in (("/shared/door", "kept"), ("/shared", "door/kept"), ("/", "shared/door/kept")):
            engine.api("PUT", f"/containers/box/archive?path={path}", archive(name))
        engine.docker("rm", "-f", "box")


def test_a_folder_that_is_swapped_all_the_time(engine: Daemon) -> None:
    with canary() as host, shared_folder() as volume:
        (volume / "door").mkdir()
        (volume / "door" / "kept").write_text("inside")
        (volume / "link").symlink_to(host)
        engine.docker("run", "-d", "--name", "box", "-v", f"{volume}:/shared", "busybox", "sleep", "1000")
        found = set()
        with swapping(f"{volume}/door", f"{volume}/link") as swaps:
            for number in range(ROUNDS):
                engine.api("PUT", "/containers/box/archive?path=/shared/door", archive(f"new{number}"))
                engine.api("PUT", "/containers/box/archive?path=/shared", archive(f"door/deep{number}/er"))
                with contextlib.suppress(http.client.IncompleteRead):  # it was gone after the headers
                    answer = engine.api("GET", "/containers/box/archive?path=/shared/door/kept")
                    found.add("as it was" in str(answer.body))
            assert swaps() > 1000
        assert found == {False}
        assert sorted(p.name for p in Path(host).iterdir()) == ["kept"]
