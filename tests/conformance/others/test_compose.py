"""Docker Compose of Debian's newest suite, stock: an application of two services, a volume and two networks, from up to down."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import cli
from harness.daemon import Daemon
from harness.ports import free_port

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tools"))

from private_apt import PrivateApt

pytestmark = [pytest.mark.root, pytest.mark.long, pytest.mark.timeout(600)]

CACHE = Path(os.environ.get("BERTH_TEST_CACHE", "/var/tmp/berth-test-cache"))
APPLICATION = """
name: shop
services:
  db:
    image: busybox
    pull_policy: never
    command: ["sh", "-c", "echo db up; echo kept > /data/x; exec httpd -f -p 80 -h /data"]
    volumes: ["store:/data"]
    networks: [inner]
    healthcheck: {test: ["CMD", "wget", "-q", "-O-", "http://127.0.0.1/x"], interval: 1s, retries: 20}
  web:
    image: busybox
    pull_policy: never
    init: true
    depends_on:
      db: {condition: service_healthy}
    environment: {GREETING: hello}
    command: ["sh", "-c", "wget -q -O- http://db/x; echo web ready; exec sleep 1000"]
    networks: [inner, outer]
    ports: ["127.0.0.1:PORT:80"]
networks:
  inner: {internal: true}
  outer: {}
volumes:
  store: {}
"""


@pytest.fixture(scope="session")
def compose_program() -> str:
    root = CACHE / "docker-compose"
    program = root / "usr/libexec/docker/cli-plugins/docker-compose"
    if not program.exists():
        root.mkdir(parents=True, exist_ok=True)
        PrivateApt(CACHE / "apt", "sid").unpack(["docker-compose"], root, with_dependencies=False)
    return str(program)


@pytest.fixture
def compose(engine: Daemon, compose_program: str, tmp_path: Path) -> Callable[..., cli.Result]:
    port = str(free_port())
    (tmp_path / "compose.yaml").write_text(APPLICATION.replace("PORT", port))

    def run(*words: str, check: bool = True) -> cli.Result:
        command = [compose_program, "--project-directory", str(tmp_path), "-f", f"{tmp_path}/compose.yaml", *words]
        return cli.run(command, env=cli.client_environ(engine.host), check=check, timeout_s=120)

    return run


def test_an_application_from_up_to_down(engine: Daemon, compose: Callable[..., cli.Result]) -> None:
    compose("up", "-d")
    entries = [json.loads(line) for line in compose("ps", "--format", "json").out.splitlines()]
    assert {(e["Service"], e["State"], e["Health"]) for e in entries} == {
        ("db", "running", "healthy"),
        ("web", "running", ""),
    }
    assert set(compose("logs", "--no-color", "--no-log-prefix").out.split("\n")) >= {"db up", "kept", "web ready"}
    assert compose("exec", "-T", "web", "sh", "-c", "echo $GREETING; wget -q -O- http://db/x").out == "hello\nkept\n"
    assert compose("exec", "-T", "db", "sh", "-c", "exit 3", check=False).code == 3
    assert "httpd -f -p 80" in compose("top", "db").out
    assert compose("port", "web", "80").out.startswith("127.0.0.1:")
    before = {c["Id"] for c in engine.api("GET", "/containers/json").body}
    compose("up", "-d")  # nothing changed
    assert {c["Id"] for c in engine.api("GET", "/containers/json").body} == before
    for verb in ("stop", "start", "restart", "pause", "unpause", "kill"):
        compose(verb, "web")
    assert compose("run", "--rm", "-T", "web", "echo", "one-off").out == "one-off\n"
    compose("up", "-d", "--force-recreate")
    compose("down", "-v", "--remove-orphans")
    assert engine.api("GET", "/containers/json?all=1").body == []
    assert engine.api("GET", "/volumes").body["Volumes"] == []
    assert {n["Name"] for n in engine.api("GET", "/networks").body} == {"bridge", "host", "none"}
