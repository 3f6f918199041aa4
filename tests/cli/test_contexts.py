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


def test_archives_of_either_client(tmp_path: Path) -> None:
    """docker's archives with certificates are cut off behind the last file; ours are whole; both clients read both."""
    for_docker(str(tmp_path))
    files = f"host=tcp://127.0.0.1:1,ca={tmp_path}/ca.pem,cert={tmp_path}/cert.pem,key={tmp_path}/key.pem"
    programs = {"docker": [cli.docker_program()], "berth": cli.berth_command()}
    environs = {name: cli.client_environ("") | {"DOCKER_CONFIG": str(tmp_path / name)} for name in programs}
    for name, program in programs.items():
        del environs[name]["DOCKER_HOST"]
        cli.run([*program, "context", "create", "far", "--docker", files], env=environs[name])
        cli.run([*program, "context", "export", "far", str(tmp_path / f"{name}.tar")], env=environs[name])
    for reader, program in programs.items():
        for writer in programs:
            words = ("context", "import", f"of-{writer}", str(tmp_path / f"{writer}.tar"))
            cli.run([*program, *words], env=environs[reader])
        stored = {path.read_bytes() for path in (tmp_path / reader / "contexts" / "tls").rglob("ca.pem")}
        assert stored == {(tmp_path / "ca.pem").read_bytes()}
    (tmp_path / "nonsense").write_text("no archive")
    words = ("context", "import", "no", str(tmp_path / "nonsense"))
    found = cli.run([*programs["berth"], *words], env=environs["berth"], check=False)
    assert (found.code, found.err) == (1, "invalid context: no tar archive\n")


@pytest.mark.parametrize(
    "wrong", ["ca=bad", "cert=bad,key=key.pem", "cert=cert.pem,key=bad", "cert=cert.pem,key=ca.key"]
)
def test_certificates_that_are_none(wrong: str, tmp_path: Path) -> None:
    """Told when they are given, in docker's words."""
    for_docker(str(tmp_path))
    (tmp_path / "bad").write_text("nonsense")
    found = []
    for program in ([cli.docker_program()], cli.berth_command()):
        environ = cli.client_environ("unix:///x") | {"DOCKER_CONFIG": str(tmp_path / "config")}
        words = ("context", "create", "far", "--docker", f"host=tcp://127.0.0.1:1,{wrong}")
        found.append(cli.run([*program, *words], env=environ, check=False, cwd=str(tmp_path))._replace(command=()))
    assert found[0] == found[1] and found[0].code == 1
