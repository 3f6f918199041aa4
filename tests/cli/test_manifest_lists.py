"""``manifest create annotate inspect push rm``: the stock client and ours side by side, on one registry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import cli
from harness.daemon import Daemon
from harness.images import OCI_INDEX, to_json
from harness.registry import PackagedRegistry, StandIn, layered, skopeo

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def registry() -> Iterator[PackagedRegistry]:
    """Three images of two repositories, and an index."""
    with StandIn() as source, PackagedRegistry() as found:
        source.add("team/app", "amd64", layered(2, salt="list a", arch="amd64"))
        source.add("team/app", "v7", layered(1, salt="list b", arch="arm", variant="v7"))
        source.add("other/app", "arm64", layered(1, salt="list c", arch="arm64"))
        source.add_index("team/app", "index", {"linux/amd64": layered(1, salt="list d", arch="amd64")})
        for name in ("team/app:amd64", "team/app:v7", "other/app:arm64", "team/app:index"):
            skopeo("copy", "-q", "--all", "--src-tls-verify=false", "--dest-tls-verify=false", f"docker://{source.host}/{name}",
                   f"docker://{found.host}/{name}")  # fmt: skip
        yield found


class Client:
    """A client with a configuration of its own."""

    def __init__(self, program: list[str], host: str, folder: Path) -> None:
        self.program, self.folder = program, folder
        folder.mkdir()
        self.environ = cli.client_environ(host, {"DOCKER_CONFIG": str(folder)})

    def __call__(self, *words: str) -> cli.Result:
        verb, *rest = words
        insecure = ["--insecure"] if verb in ("create", "inspect", "push") and rest else []
        found = cli.run([*self.program, "manifest", verb, *insecure, *rest], env=self.environ, check=False)
        return found._replace(
            out=found.out.replace("berth", "docker"), err=found.err.replace("berth", "docker"), command=()
        )

    def kept(self) -> dict[str, str]:
        files = (path for path in self.folder.glob("manifests/**/*") if path.is_file())
        return {str(path.relative_to(self.folder)): path.read_text() for path in files}


@pytest.fixture
def clients(engine: Daemon, tmp_path: Path) -> tuple[Client, Client]:
    return (
        Client([cli.docker_program()], engine.host, tmp_path / "docker"),
        Client(cli.berth_command(), engine.host, tmp_path / "berth"),
    )


def _both(clients: tuple[Client, Client], *words: str) -> cli.Result:
    """What both say, which is the same, and what both keep."""
    docker, berth = clients
    theirs, ours = docker(*words), berth(*words)
    assert ours == theirs
    assert berth.kept() == docker.kept()
    return ours


def test_a_list_from_its_making_to_its_end(
    engine: Daemon, registry: PackagedRegistry, clients: tuple[Client, Client]
) -> None:
    host = registry.host
    multi, amd64, v7, arm64 = (
        f"{host}/{name}" for name in ("team/app:1", "team/app:amd64", "team/app:v7", "other/app:arm64")
    )
    assert _both(clients, "create", multi, amd64, v7).out == f"Created manifest list {multi}\n"
    assert _both(clients, "create", multi, amd64).code == 1
    assert _both(clients, "create", "--amend", multi, arm64).code == 0
    assert len(json.loads(_both(clients, "inspect", multi).out)["manifests"]) == 3
    _both(clients, "inspect", "-v", multi)
    _both(clients, "inspect", multi, v7)
    _both(clients, "inspect", "-v", multi, v7)
    features = ("--os-features", "a,b", "--os-features", "b")
    _both(clients, "annotate", multi, v7, "--variant", "v6", "--os-version", "10", *features)
    _both(clients, "annotate", multi, amd64, "--os", "windows")
    _both(clients, "inspect", multi)
    pushed = _both(clients, "push", multi).lines
    assert pushed[0].startswith(f"Pushed ref {host}/team/app@sha256:") and len(pushed) == 2
    raw = json.loads(skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{multi}"))
    assert raw["mediaType"] == OCI_INDEX
    assert sorted(entry["platform"]["architecture"] for entry in raw["manifests"]) == ["amd64", "arm", "arm64"]
    assert _both(clients, "push", "--purge", multi).code == 0
    assert _both(clients, "inspect", multi).code == 0
    skopeo("copy", "-q", "--all", "--src-tls-verify=false", f"docker://{multi}", f"dir:{clients[0].folder}/whole")
    assert _both(clients, "rm", multi).code == 1


def test_one_clients_list_is_the_others(registry: PackagedRegistry, clients: tuple[Client, Client]) -> None:
    docker, berth = clients
    berth.environ["DOCKER_CONFIG"] = docker.environ["DOCKER_CONFIG"]
    multi, v7 = f"{registry.host}/team/app:shared", f"{registry.host}/team/app:v7"
    assert docker("create", multi, v7).code == 0
    assert berth("annotate", multi, v7, "--variant", "v8").code == 0
    assert "v8" in docker("inspect", multi).out
    assert berth("rm", multi).code == 0
    assert docker("rm", multi).code == 1


def test_what_is_wrong(registry: PackagedRegistry, clients: tuple[Client, Client]) -> None:
    host = registry.host
    multi, v7 = f"{host}/team/app:wrong", f"{host}/team/app:v7"
    assert _both(clients, "create", multi, v7).code == 0
    assert "is a manifest list" in _both(clients, "create", f"{host}/team/app:x", f"{host}/team/app:index").err
    assert "must be lowercase" in _both(clients, "create", "UPPER", v7).err
    assert "does not exist in" in _both(clients, "annotate", multi, f"{host}/team/app:nope", "--arch", "arm").err
    assert "unsupported os/arch" in _both(clients, "annotate", multi, v7, "--arch", "foo").err
    assert "No such manifest" in _both(clients, "inspect", multi, f"{host}/team/app:amd64").err
    assert "No such manifest: docker.io/library/nope:latest" in _both(clients, "push", "nope").err
    assert len(_both(clients, "rm", "nope", "UPPER", multi).err.splitlines()) == 2
    other = "other.example.com/app:1"
    assert _both(clients, "create", other, v7).code == 0
    assert "from a different registry" in _both(clients, "push", other).err
    missing = clients[1]("create", multi, f"{host}/team/app:nope")
    assert missing.code == 1 and "Error response from daemon" in missing.err


def test_too_few_words(clients: tuple[Client, Client]) -> None:
    for verb in ("create", "annotate", "push", "rm", "inspect"):
        theirs, ours = (client(verb) for client in clients)
        assert ours.err.splitlines()[0] == theirs.err.splitlines()[0]


def test_a_registry_that_mounts_nothing(engine: Daemon, clients: tuple[Client, Client]) -> None:
    """Nothing is said to be pushed, and the list is kept for another try."""
    _, berth = clients
    with StandIn() as registry:
        registry.add("other/app", "arm64", layered(1, salt="unmounted", arch="arm64"))
        multi = f"{registry.host}/team/app:1"
        assert berth("create", multi, f"{registry.host}/other/app:arm64").code == 0
        registry.placed.clear()
        failed = berth("push", multi)
        assert failed.code == 1 and "error mounting" in failed.err and failed.out == ""
        assert not registry.find("team/app", "1") and berth.kept()


def test_a_list_must_be_one(engine: Daemon) -> None:
    for raw in (to_json({"schemaVersion": 2, "layers": [], "config": {}}).decode(), "no json", ""):
        answer = engine.api("PUT", "/v1.51/distribution/127.0.0.1:1/x:1/manifest", {"Raw": raw, "Sources": []})
        assert answer.status == 400, answer
    for source in ("127.0.0.1:1/y:1", "example.com/y@sha256:" + "0" * 64, "UPPER"):
        body = {"Raw": to_json({"schemaVersion": 2, "manifests": []}).decode(), "Sources": [source]}
        assert engine.api("PUT", "/v1.51/distribution/127.0.0.1:1/x:1/manifest", body).status == 400
