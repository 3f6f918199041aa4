"""A full disk: a clear error, nothing half-made, and everything works again when there is room."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator

import pytest

from harness.daemon import Daemon
from harness.eventually import eventually

pytestmark = pytest.mark.root


@pytest.fixture
def small() -> Iterator[Daemon]:
    """A daemon whose data-root is a tmpfs of 24 MB with busybox in it."""
    root = tempfile.mkdtemp(prefix="bt", dir="/tmp")
    os.mkdir(f"{root}/d")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", f"{root}/d"], check=True)
    daemon = Daemon(root=root)
    try:
        daemon.start()
        daemon.load_busybox()
        daemon.docker("run", "--rm", "busybox", "true")
        yield daemon
    finally:
        daemon.close()


def fill(engine: Daemon) -> str:
    """Take what room is left; returns the file to delete."""
    path = f"{engine.data_root}/filler"
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 65536)
        except OSError:
            pass
        try:
            while True:
                file.write(b"\0" * 512)
        except OSError:
            pass
    return path


def test_create_and_run_say_so(small: Daemon) -> None:
    before = small.settled()
    filler = fill(small)
    for command in (
        ["run", "--rm", "busybox", "true"],
        ["create", "busybox"],
        ["run", "-d", "-p", "80", "busybox", "sleep", "9"],
    ):
        result = small.docker(*command, check=False)
        if result.code:
            assert "no space left on device" in result.err.lower() or "disk is full" in result.err.lower(), result.err
    assert small.answers()
    os.unlink(filler)
    small.remove_all()
    small.docker("run", "--rm", "busybox", "true")
    small.assert_clean(before)


def test_loading_an_image_that_does_not_fit(small: Daemon) -> None:
    before = small.settled()
    from harness.images import Entry, docker_archive, layer_tar

    path = f"{small.root}/big.tar"
    docker_archive(path, ["big:latest"], [layer_tar([Entry("big", os.urandom(40 << 20))])])
    result = small.docker("load", "-i", path, check=False)
    assert result.code == 1
    assert "no space left on device" in result.err.lower() + result.out.lower()
    assert small.docker("images", "-q", "big").out == ""
    small.assert_clean(before)


def test_a_container_that_fills_it_gets_enospc_and_the_engine_lives(small: Daemon) -> None:
    result = small.docker("run", "--rm", "busybox", "dd", "if=/dev/zero", "of=/f", "bs=1M", "count=100", check=False)
    assert result.code == 1 and "No space left on device" in result.err
    eventually(lambda: small.docker("run", "--rm", "busybox", "echo", "ok", check=False).out == "ok\n")


def test_a_log_that_cannot_be_written_does_not_stop_the_program(small: Daemon) -> None:
    small.docker("run", "-d", "-i", "--name", "talks", "busybox", "sh", "-c", "while read x; do echo $x; done")
    filler = fill(small)
    client = small.docker_popen("attach", "talks", stdin=-1)
    assert client.stdin is not None
    assert client.stdout is not None
    for _ in range(100):
        client.stdin.write(b"some words\n" * 100)
        client.stdin.flush()
        for _ in range(100):
            assert client.stdout.readline() == b"some words\n"
    os.unlink(filler)
    client.kill()
    client.communicate()
    assert small.inspect("talks")["State"]["Running"]
