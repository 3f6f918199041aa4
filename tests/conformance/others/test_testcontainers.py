"""testcontainers-python of PyPI, in a virtual environment of its own: containers, waiting, networks, exec, copying."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness import cli
from harness.daemon import Daemon

pytestmark = [pytest.mark.root, pytest.mark.long, pytest.mark.timeout(600)]

CACHE = Path(os.environ.get("BERTH_TEST_CACHE", "/var/tmp/berth-test-cache"))
PROGRAM = """
import io, json, tarfile, urllib.request
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import (
    HealthcheckWaitStrategy, HttpWaitStrategy, LogMessageWaitStrategy, PortWaitStrategy,
)

SERVER = "sh -c 'mkdir /w; echo page > /w/i; echo ready; exec httpd -f -p 80 -h /w'"
found = {}


def server(strategy):
    health = {"test": ["CMD", "true"], "interval": 500_000_000}
    made = DockerContainer("busybox").with_command(SERVER).with_exposed_ports(80).with_env("A", "b")
    return made.with_kwargs(healthcheck=health).waiting_for(strategy)


for strategy in (LogMessageWaitStrategy("ready"), HttpWaitStrategy(80, "/i"), PortWaitStrategy(80), HealthcheckWaitStrategy()):
    with server(strategy) as container:
        wrapped = container.get_wrapped_container()
        wrapped.reload()
        found[type(strategy).__name__] = wrapped.status
        if isinstance(strategy, HttpWaitStrategy):
            address = f"http://{container.get_container_host_ip()}:{container.get_exposed_port(80)}/i"
            found["page"] = urllib.request.urlopen(address, timeout=10).read().decode()
            code, output = container.exec("sh -c 'echo $A; exit 3'")
            found["exec"] = [code, output.decode()]
            archive = io.BytesIO()
            with tarfile.open(fileobj=archive, mode="w") as tar:
                entry = tarfile.TarInfo("f")
                entry.size = 3
                tar.addfile(entry, io.BytesIO(b"abc"))
            wrapped.put_archive("/tmp", archive.getvalue())
            found["copied"] = container.exec("cat /tmp/f").output.decode()

with Network() as network:
    with DockerContainer("busybox").with_command(SERVER).with_network(network).with_network_aliases("srv").waiting_for(
        LogMessageWaitStrategy("ready")
    ), DockerContainer("busybox").with_command("sleep 1000").with_network(network) as client:
        found["by name"] = client.exec("wget -q -O- http://srv/i").output.decode()
print(json.dumps(found))
"""


@pytest.fixture(scope="session")
def python_with_testcontainers() -> str:
    folder = CACHE / "testcontainers"
    python = folder / "bin" / "python"
    if not (folder / ".complete").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "testcontainers>=4.13"], check=True)
        (folder / ".complete").touch()
    return str(python)


def _run(engine: Daemon, python: str, ryuk: bool) -> cli.Result:
    env = cli.client_environ(
        engine.host, {"TESTCONTAINERS_RYUK_DISABLED": str(not ryuk).lower(), "DOCKER_HOST": engine.host}
    )
    return cli.run([python, "-c", PROGRAM], env=env, check=not ryuk, timeout_s=200)


def test_its_containers(engine: Daemon, python_with_testcontainers: str) -> None:
    said = json.loads(_run(engine, python_with_testcontainers, ryuk=False).out)
    assert said == {
        "LogMessageWaitStrategy": "running", "HttpWaitStrategy": "running", "PortWaitStrategy": "running",
        "HealthcheckWaitStrategy": "running", "page": "page\n", "exec": [3, "b\n"], "copied": "abc", "by name": "page\n",
    }  # fmt: skip


def test_its_reaper_cannot_be_pulled(engine: Daemon, python_with_testcontainers: str) -> None:
    said = _run(engine, python_with_testcontainers, ryuk=True)
    assert said.code != 0 and "testcontainers/ryuk" in said.err and "registry-1.docker.io" in said.err
