"""``proxies`` of the user's config.json: variables of the containers that either client creates."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import cli
from harness.daemon import Daemon

pytestmark = pytest.mark.root


@pytest.mark.parametrize("program", ["docker", "berth"])
def test_proxies_become_variables(program: str, engine: Daemon, tmp_path: Path) -> None:
    chosen = {"httpProxy": "http://proxy:3128", "noProxy": "10.0.0.0/8"}
    (tmp_path / "config.json").write_text(json.dumps({"proxies": {"default": chosen}}))
    command = [cli.docker_program()] if program == "docker" else cli.berth_command()
    environ = cli.client_environ(engine.host, {"DOCKER_CONFIG": str(tmp_path)})
    found = cli.run([*command, "run", "--rm", "-e", "no_proxy=mine", "busybox", "env"], env=environ).lines
    assert {line for line in found if "proxy" in line.lower()} == {
        "HTTP_PROXY=http://proxy:3128", "http_proxy=http://proxy:3128", "NO_PROXY=10.0.0.0/8", "no_proxy=mine",
    }  # fmt: skip
    (tmp_path / "config.json").write_text(
        json.dumps({"proxies": {engine.host: {"httpsProxy": "x"}, "default": chosen}})
    )
    found = cli.run([*command, "run", "--rm", "busybox", "env"], env=environ).lines
    assert {line for line in found if "proxy" in line.lower()} == {"HTTPS_PROXY=x", "https_proxy=x"}
