"""What people see of a pull and a push: the stock CLI's bars, our own, plain lines in a pipe; docker-py reads the stream."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Iterator

import docker
import pytest

from harness import cli
from harness.daemon import Daemon
from harness.images import Entry, OciImage, layer_tar, oci_image
from harness.registry import StandIn, layered

pytestmark = pytest.mark.root


def slow_image(salt: int) -> OciImage:
    noise = random.Random(salt)
    layers = [layer_tar([Entry(f"n{n}", noise.randbytes(3000000))]) for n in range(3)]
    return oci_image(layers, compression="none")


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon() as engine:
        yield engine


@pytest.fixture
def slow(stand_in: StandIn) -> StandIn:
    """A registry that takes a while for a blob, so that there is something to see."""

    def cut(key: str, begin: int, size: int) -> int | None:
        if size > 1000000:
            time.sleep(0.3)
            return 1000000 if begin == 0 else None
        return None

    stand_in.cut = cut
    return stand_in


@pytest.mark.parametrize("program", ["docker", "berth"])
def test_bars_in_a_terminal(program: str, daemon: Daemon, slow: StandIn) -> None:
    image = slow_image({"docker": 1, "berth": 2}[program])
    slow.add("app", "1", image)
    command = [cli.docker_program()] if program == "docker" else cli.berth_command()
    environ = cli.client_environ(daemon.host, {"TERM": "xterm"})
    with cli.Pty([*command, "pull", f"{slow.host}/app:1"], env=environ, rows=24, cols=120) as terminal:
        seen = terminal.expect(r"Status: Downloaded newer image for [^\r\n]*", timeout_s=30)
        assert terminal.wait() == 0
    shorts = [entry["digest"].removeprefix("sha256:")[:12] for entry in json.loads(image.manifest)["layers"]]
    for short in shorts:
        assert f"{short}: Pulling fs layer" in seen and f"{short}: Pull complete" in seen
        assert re.search(short + r": Downloading\s+\[=*>? *\] +\S+[kM]?B/3\.\d+MB", seen), seen
    assert "\x1b[" in seen


def test_plain_lines_in_a_pipe(daemon: Daemon, slow: StandIn) -> None:
    slow.add("app", "1", slow_image(3))
    lines = daemon.berth("pull", f"{slow.host}/app:1").lines
    assert lines[0] == "1: Pulling from app"
    assert lines[-1] == f"{slow.host}/app:1"
    assert lines[-2] == f"Status: Downloaded newer image for {slow.host}/app:1"
    assert not any("[=" in line or "\x1b" in line for line in lines)
    assert sum(line.endswith(": Pull complete") for line in lines) == 3
    assert daemon.berth("pull", "-q", f"{slow.host}/app:1").out == f"{slow.host}/app:1\n"
    assert daemon.berth("push", f"{slow.host}/app:1").out.count("Layer already exists") == 3


def test_an_error_in_the_stream_is_the_exit_status(daemon: Daemon, stand_in: StandIn) -> None:
    image = layered(1, salt="error")
    stand_in.add("app", "1", image)
    key = json.loads(image.manifest)["layers"][0]["digest"]
    stand_in.blobs[key] = bytes(len(stand_in.blobs[key]))
    for client in (daemon.docker, daemon.berth):
        failed = client("pull", f"{stand_in.host}/app:1", check=False)
        assert failed.code == 1 and "filesystem layer verification failed" in failed.err


def test_docker_py_reads_it(daemon: Daemon, slow: StandIn) -> None:
    image = slow_image(4)
    slow.add("app", "1", image)
    slow.add("app", "2", layered(1, salt="py"))
    client = docker.DockerClient(base_url=daemon.host)
    try:
        messages = list(client.api.pull(f"{slow.host}/app", tag="1", stream=True, decode=True))
        downloading = [m for m in messages if m.get("status") == "Downloading"]
        assert all(0 < m["progressDetail"]["current"] <= m["progressDetail"]["total"] for m in downloading)
        assert {m["status"] for m in messages if m.get("id")} >= {
            "Pulling fs layer", "Downloading", "Verifying Checksum", "Download complete", "Pull complete"
        }  # fmt: skip
        assert messages[-2] == {"status": f"Digest: {image.digest}"}
        pulled = client.images.pull(f"{slow.host}/app", all_tags=True)
        assert sorted(tag for found in pulled for tag in found.tags) == [f"{slow.host}/app:{n}" for n in (1, 2)]
        client.images.get(f"{slow.host}/app:1").tag(f"{slow.host}/copy", "3")
        pushed = list(client.images.push(f"{slow.host}/copy", tag="3", stream=True, decode=True))
        assert pushed[0] == {"status": f"The push refers to repository [{slow.host}/copy]"}
        [aux] = [m["aux"] for m in pushed if "aux" in m]
        assert aux == {"Tag": "3", "Digest": image.digest, "Size": len(image.manifest)}
        data = client.images.get_registry_data(f"{slow.host}/copy:3")
        assert data.id == image.digest and data.has_platform("linux/amd64")
        with pytest.raises(docker.errors.NotFound):
            client.images.pull(f"{slow.host}/nothing", tag="1")
        with pytest.raises(docker.errors.APIError):
            client.login("user", "password", registry="127.0.0.1:9")
    finally:
        client.close()
