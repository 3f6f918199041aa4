"""CVE-2021-41089: ``docker cp`` into a crafted container changed the modes of the host's files.

The mode of a copied entry was set by its path, and a link that the container put there led out. The defence: modes, owners,
times and attributes are set by descriptor, or with AT_SYMLINK_NOFOLLOW.

Fails when: ``snapshots/apply.py`` ``_chmod_node`` sets the mode by name.
"""

from __future__ import annotations

import io
import os
import tarfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.attack import canary, shared_folder
from harness.daemon import Daemon

pytestmark = pytest.mark.root

KINDS = (tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE, tarfile.REGTYPE)


def members(names: list[str], kinds: Sequence[bytes] = KINDS) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in names:
            for kind in kinds:
                member = tarfile.TarInfo(name)
                member.type, member.mode, member.uid, member.gid = kind, 0o6777, 1, 1
                member.devmajor, member.devminor = 1, 3
                tar.addfile(member, io.BytesIO())
    return out.getvalue()


def test_links_in_the_place_of_what_comes(engine: Daemon) -> None:
    with canary() as host, shared_folder() as volume:
        os.symlink(f"{host}/kept", volume / "link")
        os.symlink(host, volume / "folder")
        engine.docker("run", "-d", "--name", "box", "-v", f"{volume}:/shared", "busybox", "sleep", "1000")
        assert engine.api("PUT", "/containers/box/archive?path=/shared", members(["link", "folder"])).status == 200
        assert not (volume / "link").is_symlink() and not (volume / "folder").is_symlink()


@contextmanager
def planting(place: Path, target: str) -> Iterator[None]:
    """A link to ``target`` takes the place of whatever is there, again and again."""
    ended = threading.Event()

    def plant() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            os.symlink(target, f"{place}.{number}")
            os.replace(f"{place}.{number}", place)

    racer = threading.Thread(target=plant, daemon=True)
    racer.start()
    try:
        yield
    finally:
        ended.set()
        racer.join()


def test_links_that_come_and_go(engine: Daemon) -> None:
    with canary() as host, shared_folder() as volume:
        engine.docker("run", "-d", "--name", "box", "-v", f"{volume}:/shared", "busybox", "sleep", "1000")
        with planting(volume / "node", f"{host}/kept"):
            for _ in range(20):
                engine.api("PUT", "/containers/box/archive?path=/shared", members(["node"] * 100, KINDS[:2]))
