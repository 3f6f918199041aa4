"""Pull and push with the stock CLI against Debian's docker-registry, skopeo as the other client."""

from __future__ import annotations

import json

import pytest

from harness.daemon import Daemon
from harness.images import OCI_MANIFEST, OciImage, busybox_image, digest, to_json
from harness.registry import PackagedRegistry, StandIn, layered, skopeo

pytestmark = pytest.mark.root


def remote_digest(reference: str) -> str:
    return str(json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{reference}"))["Digest"])


def seed(registry: StandIn, target: str, image: OciImage) -> None:
    """Bring an image into a registry by skopeo, byte for byte."""
    registry.add("seed", "latest", image)
    skopeo("copy", "-q", "--preserve-digests", "--src-tls-verify=false", "--dest-tls-verify=false",
           f"docker://{registry.host}/seed:latest", f"docker://{target}")  # fmt: skip


@pytest.mark.parametrize(
    ("docker", "compression"),
    [(False, "gzip"), (False, "zstd"), (False, "none"), (True, "gzip"), (True, "none")],
    ids=["oci-gzip", "oci-zstd", "oci-plain", "schema2-gzip", "schema2-plain"],
)  # Docker's own format has no media type for zstd
def test_what_is_pulled_is_pushed_with_the_same_digest(
    daemon: Daemon, packaged: PackagedRegistry, stand_in: StandIn, docker: bool, compression: str
) -> None:
    image = layered(3, salt=f"{docker}{compression}", docker=docker, compression=compression)
    name = f"{packaged.host}/in/{compression}-{docker}".lower()
    seed(stand_in, f"{name}:1", image)
    pulled = daemon.docker("pull", f"{name}:1")
    assert f"Digest: {image.digest}" in pulled.out
    assert f"Status: Downloaded newer image for {name}:1" in pulled.out
    other = name.replace("/in/", "/out/")
    daemon.docker("tag", f"{name}:1", f"{other}:2")
    pushed = daemon.docker("push", f"{other}:2")
    assert f"2: digest: {image.digest} size: {len(image.manifest)}" in pushed.out
    assert remote_digest(f"{other}:2") == image.digest
    inspected = json.loads(daemon.docker("image", "inspect", f"{other}:2").out)[0]
    assert f"{other}@{image.digest}" in inspected["RepoDigests"]


def test_a_second_pull_and_push_have_nothing_to_do(
    daemon: Daemon, packaged: PackagedRegistry, stand_in: StandIn
) -> None:
    name = f"{packaged.host}/twice"
    seed(stand_in, f"{name}:latest", layered(2, salt="twice"))
    assert "Using default tag: latest" in daemon.docker("pull", name).out
    again = daemon.docker("pull", name)
    assert f"Status: Image is up to date for {name}:latest" in again.out
    assert daemon.docker("push", name).out.count("Layer already exists") == 2


def test_by_digest(daemon: Daemon, packaged: PackagedRegistry, stand_in: StandIn) -> None:
    image = layered(1, salt="by digest")
    seed(stand_in, f"{packaged.host}/by:tag", image)
    out = daemon.docker("pull", f"{packaged.host}/by@{image.digest}").out
    assert f"Digest: {image.digest}" in out
    assert daemon.docker("image", "inspect", f"{packaged.host}/by@{image.digest}").code == 0


def test_layers_are_mounted_from_a_sibling(daemon: Daemon, packaged: PackagedRegistry, stand_in: StandIn) -> None:
    seed(stand_in, f"{packaged.host}/from/here:1", layered(2, salt="mount"))
    daemon.docker("pull", f"{packaged.host}/from/here:1")
    daemon.docker("tag", f"{packaged.host}/from/here:1", f"{packaged.host}/to/there:1")
    out = daemon.docker("push", f"{packaged.host}/to/there:1").out
    assert out.count("Mounted from from/here") == 2, out


def test_all_tags_both_ways(daemon: Daemon, packaged: PackagedRegistry, stand_in: StandIn) -> None:
    name = f"{packaged.host}/many"
    tags = ["a", "b", "c", "d", "e"]
    for tag in tags:
        seed(stand_in, f"{name}:{tag}", layered(1, salt=tag))
    out = daemon.docker("pull", "-a", name).out
    assert [line.split(":")[0] for line in out.splitlines() if "Pulling from many" in line] == tags
    assert out.splitlines()[-2:] == [f"Status: Downloaded newer image for {name}", name]
    for tag in tags:
        daemon.docker("tag", f"{name}:{tag}", f"{packaged.host}/copies:{tag}")
    daemon.docker("push", "-a", f"{packaged.host}/copies")
    listed = json.loads(skopeo("list-tags", "--tls-verify=false", f"docker://{packaged.host}/copies"))
    assert sorted(listed["Tags"]) == tags


def test_an_image_from_an_archive_gets_a_manifest_once(daemon: Daemon, packaged: PackagedRegistry) -> None:
    name = f"{packaged.host}/loaded"
    daemon.load_busybox(f"{name}:1")
    first = daemon.docker("push", f"{name}:1").out
    found = remote_digest(f"{name}:1")
    assert f"1: digest: {found}" in first
    daemon.docker("tag", f"{name}:1", f"{name}:2")
    assert f"2: digest: {found}" in daemon.docker("push", f"{name}:2").out
    daemon.docker("rmi", f"{name}:1", f"{name}:2")
    daemon.docker("pull", f"{name}:1")
    assert daemon.docker("run", "--rm", f"{name}:1", "echo", "hello").out == "hello\n"


def test_what_is_not_here_cannot_be_pushed(daemon: Daemon, packaged: PackagedRegistry) -> None:
    failed = daemon.docker("push", f"{packaged.host}/nobody:1", check=False)
    assert failed.code == 1
    assert f"An image does not exist locally with the tag: {packaged.host}/nobody" in failed.err


def test_what_is_not_there_cannot_be_pulled(daemon: Daemon, packaged: PackagedRegistry) -> None:
    failed = daemon.docker("pull", f"{packaged.host}/nobody:1", check=False)
    assert failed.code == 1
    assert f"manifest for {packaged.host}/nobody:1 not found: manifest unknown" in failed.err


def test_a_platform_of_several(daemon: Daemon, stand_in: StandIn) -> None:
    images = {
        "linux/amd64": busybox_image(arch="amd64"),
        "linux/arm64": layered(1, salt="arm64", arch="arm64"),
        "linux/arm/v7": layered(1, salt="v7", arch="arm", variant="v7"),
    }
    top = stand_in.add_index("multi", "1", images)
    name = f"{stand_in.host}/multi:1"
    for platform, image in images.items():
        out = daemon.docker("pull", "--platform", platform, name).out
        assert f"Digest: {top}" in out
        inspected = json.loads(daemon.docker("image", "inspect", image.config_digest).out)[0]
        assert inspected["Architecture"] == platform.split("/")[1], platform
    failed = daemon.docker("pull", "--platform", "linux/s390x", name, check=False)
    assert "no matching manifest for linux/s390x in the manifest list entries" in failed.err


def test_an_index_goes_out_whole_when_all_of_it_is_here(
    daemon: Daemon, packaged: PackagedRegistry, stand_in: StandIn
) -> None:
    """Two platforms and an attestation: pulled one after the other, pushed as one, the digest unchanged."""
    amd64, arm64 = layered(2, salt="ix amd64", arch="amd64"), layered(2, salt="ix arm64", arch="arm64")
    statement = b'{"_type":"https://in-toto.io/Statement/v0.1"}'
    attestation = attestation_for(stand_in, "whole", amd64, statement)
    top = stand_in.add_index("whole", "1", {"linux/amd64": amd64, "linux/arm64": arm64}, more=[attestation])
    source, target = f"{stand_in.host}/whole:1", f"{packaged.host}/whole:1"

    daemon.docker("pull", "--platform", "linux/amd64", source)
    daemon.docker("tag", source, target)
    partial = daemon.docker("push", target)
    assert f"1: digest: {amd64.digest}" in partial.out
    assert "only the available single-platform image was pushed" in partial.out + partial.err
    daemon.docker("rmi", target)

    daemon.docker("pull", "--platform", "linux/arm64", source)
    daemon.docker("tag", source, target)
    assert f"1: digest: {top}" in daemon.docker("push", target).out
    raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{target}")
    assert digest(raw.encode()) == top
    kept = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{packaged.host}/whole@{attestation['digest']}")
    assert digest(statement) in kept

    only = daemon.docker("push", "--platform", "linux/arm64", target).out
    assert f"1: digest: {arm64.digest}" in only


def attestation_for(registry: StandIn, name: str, image: OciImage, statement: bytes) -> dict[str, object]:
    """BuildKit's way: a manifest of platform unknown/unknown whose annotation names the image's manifest."""
    config = to_json(
        {"architecture": "unknown", "os": "unknown", "config": {}, "rootfs": {"type": "layers", "diff_ids": []}}
    )
    manifest = to_json(
        {
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(config), "size": len(config)},
            "layers": [{"mediaType": "application/vnd.in-toto+json", "digest": digest(statement), "size": len(statement)}],
        }
    )  # fmt: skip
    registry.add_blob(name, config)
    registry.add_blob(name, statement)
    registry.add_manifest(name, "", manifest, OCI_MANIFEST)
    return {
        "mediaType": OCI_MANIFEST, "digest": digest(manifest), "size": len(manifest),
        "platform": {"architecture": "unknown", "os": "unknown"},
        "annotations": {"vnd.docker.reference.digest": image.digest, "vnd.docker.reference.type": "attestation-manifest"},
    }  # fmt: skip
