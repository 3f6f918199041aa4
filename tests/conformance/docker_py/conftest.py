"""docker-py against the shared engine, in the versions of the API that it may be told to speak."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest

from harness.daemon import Daemon


@pytest.fixture(params=["1.24", "1.41", "auto"])
def client(engine: Daemon, request: pytest.FixtureRequest) -> Iterator[docker.DockerClient]:
    made = docker.DockerClient(base_url=engine.host, version=request.param, timeout=60)
    yield made
    made.close()


@pytest.fixture
def newest(engine: Daemon) -> Iterator[docker.DockerClient]:
    made = docker.DockerClient(base_url=engine.host, version="auto", timeout=60)
    yield made
    made.close()
