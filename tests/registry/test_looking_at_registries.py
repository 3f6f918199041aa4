"""What a registry has, without pulling it: distribution inspect, manifest inspect, lists, referrers; skopeo as the oracle."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import docker
import pytest

from harness.daemon import Daemon
from harness.images import OCI_INDEX, OCI_MANIFEST, OciImage, digest, to_json
from harness.registry import PackagedRegistry, StandIn, layered, skopeo

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon() as engine:
        yield engine


@pytest.fixture
def multi(stand_in: StandIn) -> tuple[str, dict[str, OciImage], str]:
    images = {
        "linux/amd64": layered(1, salt="look amd64", arch="amd64"),
        "linux/arm/v7": layered(1, salt="look v7", arch="arm", variant="v7"),
    }
    top = stand_in.add_index("look", "1", images)
    return f"{stand_in.host}/look:1", images, top


def test_distribution(daemon: Daemon, multi: tuple[str, dict[str, OciImage], str], stand_in: StandIn) -> None:
    name, _, top = multi
    answer = daemon.api("GET", f"/v1.51/distribution/{name}/json")
    assert answer.status == 200
    assert answer.body["Descriptor"]["digest"] == top and answer.body["Descriptor"]["mediaType"] == OCI_INDEX
    assert answer.body["Platforms"] == [
        {"architecture": "amd64", "os": "linux"}, {"architecture": "arm", "os": "linux", "variant": "v7"}
    ]  # fmt: skip
    single = layered(1, salt="single", arch="arm64")
    stand_in.add("single", "1", single)
    answer = daemon.api("GET", f"/distribution/{stand_in.host}/single:1/json")
    assert answer.body["Platforms"] == [{"architecture": "arm64", "os": "linux"}]
    assert answer.body["Descriptor"]["size"] == len(single.manifest)
    assert daemon.api("GET", f"/distribution/{stand_in.host}/nothing:1/json").status == 404


def test_manifest_inspect(daemon: Daemon, multi: tuple[str, dict[str, OciImage], str]) -> None:
    name, images, _ = multi
    raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{name}")
    assert json.loads(daemon.berth("manifest", "inspect", name).out) == json.loads(raw)
    verbose = json.loads(daemon.berth("manifest", "inspect", "-v", name).out)
    assert [entry["OCIManifest"] for entry in verbose] == [json.loads(image.manifest) for image in images.values()]
    assert verbose[1]["Descriptor"]["platform"] == {"os": "linux", "architecture": "arm", "variant": "v7"}


def test_imagetools(daemon: Daemon, multi: tuple[str, dict[str, OciImage], str]) -> None:
    name, images, top = multi
    lines = daemon.berth("imagetools", "inspect", name).lines
    assert lines[:3] == [f"Name:      {name}", f"MediaType: {OCI_INDEX}", f"Digest:    {top}"]
    repository = name.rpartition(":")[0]
    assert f"  Name:        {repository}@{images['linux/amd64'].digest}" in lines
    assert "  Platform:    linux/arm/v7" in lines
    raw = daemon.berth("imagetools", "inspect", "--raw", name).out
    assert digest(raw.encode()) == top


def test_lists_in_pages(daemon: Daemon, stand_in: StandIn, packaged: PackagedRegistry) -> None:
    tags = [f"v{n}" for n in range(7)]
    for tag in tags:
        stand_in.add("paged", tag, layered(1))
    for name in ("one", "three", "two"):
        stand_in.add(name, "1", layered(1))
    assert daemon.berth("imagetools", "tags", f"{stand_in.host}/paged").lines == tags
    assert len(stand_in.asked("GET", "/tags/list")) == 4
    assert daemon.berth("imagetools", "catalog", stand_in.host).lines == ["one", "paged", "three", "two"]
    skopeo("copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false", f"docker://{stand_in.host}/one:1",
           f"docker://{packaged.host}/catalog/one:1")  # fmt: skip
    assert "catalog/one" in daemon.berth("imagetools", "catalog", packaged.host).lines


@pytest.mark.parametrize("api", [True, False], ids=["api", "fallback-tag"])
def test_referrers(api: bool, daemon: Daemon, make_stand_in: Callable[..., StandIn]) -> None:
    registry = make_stand_in(referrers=api)
    image = layered(1, salt="subject")
    registry.add("app", "1", image)
    kind = "application/vnd.example.signature"
    document = to_json(
        {
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": kind,
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest(b"{}"), "size": 2}, "layers": [],
            "subject": {"mediaType": OCI_MANIFEST, "digest": image.digest, "size": len(image.manifest)},
        }
    )  # fmt: skip
    key = registry.add_manifest("app", "", document, OCI_MANIFEST)
    if not api:
        entry = {"mediaType": OCI_MANIFEST, "digest": key, "size": len(document), "artifactType": kind}
        index = to_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]})
        registry.add_manifest("app", image.digest.replace(":", "-"), index, OCI_INDEX)
    lines = daemon.berth("imagetools", "referrers", f"{registry.host}/app:1").lines
    assert lines[1].split() == [key, kind, str(len(document))]
    bare = layered(1, salt="nobody")
    registry.add("app", "2", bare)
    assert len(daemon.berth("imagetools", "referrers", f"{registry.host}/app:2").lines) == 1


def test_search_of_a_registry_of_ones_own(daemon: Daemon, make_stand_in: Callable[..., StandIn]) -> None:
    from harness.registry import Reply

    found = [{"name": "team/app", "description": "ours", "star_count": 3, "is_official": False, "is_automated": False}]
    registry = make_stand_in(
        guard=lambda seen: Reply(200, {}, to_json({"results": found})) if "/v1/search" in seen.path else None
    )
    out = daemon.docker("search", "--format", "{{.Name}}", f"{registry.host}/app").out
    assert out == "team/app\n"
    assert registry.asked("GET", "/v1/search")[0].query == {"q": "app", "n": "25"}
    client = docker.DockerClient(base_url=daemon.host)
    try:
        assert client.images.search(f"{registry.host}/app", limit=5) == found
    finally:
        client.close()
    assert registry.asked("GET", "/v1/search")[1].query == {"q": "app", "n": "5"}
