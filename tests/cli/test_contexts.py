"""Contexts: made, used, told, changed, carried away and brought back; and which of host, context and environment counts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import cli
from harness.certificates import for_docker
from harness.daemon import Daemon

pytestmark = pytest.mark.root


def test_the_life_of_a_context(engine: Daemon, tmp_path: Path) -> None:
    environ = {k: v for k, v in cli.client_environ(engine.host).items() if k != "DOCKER_HOST"}
    environ["DOCKER_CONFIG"] = str(tmp_path)

    def berth(*words: str, check: bool = True, **more: str) -> cli.Result:
        return cli.run([*cli.berth_command(), *words], env={**environ, **more}, check=check)

    def docker(*words: str) -> cli.Result:
        return cli.run([cli.docker_program(), *words], env=environ)

    berth("context", "create", "here", "--docker", f"host={engine.host}", "--description", "this one")
    berth("context", "use", "here")
    assert berth("context", "show").out == "here\n"
    assert json.loads((tmp_path / "config.json").read_text())["currentContext"] == "here"
    assert berth("ps", "-q").out == docker("ps", "-q").out == ""  # the stock CLI finds ours
    assert docker("context", "inspect", "here", "--format", "{{.Endpoints.docker.Host}}").out.strip() == engine.host
    berth("context", "update", "here", "--description", "changed")
    found = berth("context", "ls", "--format", "{{.Name}} {{.Description}} {{.Current}}").lines
    assert found[1:] == ["here changed true"]
    berth("context", "export", "here", str(tmp_path / "here.tar"))
    berth("context", "import", "copy", str(tmp_path / "here.tar"))
    assert berth("context", "inspect", "copy", "--format", "{{.Endpoints.docker.Host}}").out.strip() == engine.host
    assert berth("context", "rm", "here", check=False).code == 1  # it is in use
    berth("context", "use", "default")
    berth("context", "rm", "here", "copy")
    assert berth("context", "ls", "-q").out == "default\n"


def test_which_address_counts(engine: Daemon, tmp_path: Path) -> None:
    environ = {k: v for k, v in cli.client_environ("").items() if k != "DOCKER_HOST"} | {"DOCKER_CONFIG": str(tmp_path)}

    def name(*words: str, **more: str) -> str:
        found = cli.run([*cli.berth_command(), *words, "ps"], env={**environ, **more}, check=False)
        return "here" if found.code == 0 else found.err.split("unix://")[-1].split()[0].rstrip(".:")

    for context in ("aa", "bb"):
        words = ("context", "create", context, "--docker", f"host=unix:///no/{context}")
        cli.run([*cli.berth_command(), *words], env=environ)
    cli.run([*cli.berth_command(), "context", "use", "aa"], env=environ)
    assert name() == "/no/aa"
    assert name(DOCKER_CONTEXT="bb") == "/no/bb"
    assert name(DOCKER_CONTEXT="bb", DOCKER_HOST=engine.host) == "here"
    assert name("-c", "bb", DOCKER_HOST=engine.host) == "/no/bb"
    assert name("-H", engine.host, DOCKER_CONTEXT="bb") == "here"


def test_certificates_travel_with_a_context(tmp_path: Path) -> None:
    for_docker(str(tmp_path))
    environ = cli.client_environ("") | {"DOCKER_CONFIG": str(tmp_path / "config")}
    del environ["DOCKER_HOST"]
    files = f"host=tcp://127.0.0.1:1,ca={tmp_path}/ca.pem,cert={tmp_path}/cert.pem,key={tmp_path}/key.pem"
    for words in (
        ("create", "far", "--docker", files), ("export", "far", str(tmp_path / "far.tar")),
        ("import", "near", str(tmp_path / "far.tar")),
    ):  # fmt: skip
        cli.run([*cli.berth_command(), "context", *words], env=environ)
    found = cli.run([*cli.berth_command(), "context", "inspect", "near"], env=environ)
    material = json.loads(found.out)[0]["TLSMaterial"]["docker"]
    assert sorted(material) == ["ca.pem", "cert.pem", "key.pem"]
