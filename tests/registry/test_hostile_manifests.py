"""Manifests of strangers: each oddity is told in a clear sentence, and the store is as before.

GHSA-qq97-vm5h-rrhg, GHSA-5j5w-g665-5m35, GHSA-xmmx-7jpf-fx42 (manifest confusion), and what else a registry can make up.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.daemon import Daemon
from harness.eventually import eventually
from harness.images import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, OciImage, digest, to_json
from harness.registry import StandIn, layered

pytestmark = pytest.mark.root
SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """One that has an image already, which must not suffer."""
    with Daemon("--max-download-attempts", "1") as engine:
        engine.load_busybox()
        yield engine


def files_of_the_store(daemon: Daemon) -> set[str]:
    found = set()
    for part in ("content/blobs", "content/ingest", "snapshots"):
        for where, folders, names in os.walk(f"{daemon.data_root}/{part}"):
            found.update(os.path.join(where, name) for name in [*folders, *names] if where.count("/") < 8)
    return found


Case = Callable[[StandIn], str]
"""Puts something under app:1; returns what the error says."""
CASES: dict[str, Case] = {}


def case(make: Case) -> Case:
    CASES[make.__name__] = make
    return make


def put(registry: StandIn, image: OciImage, document: dict[str, Any] | bytes, media_type: str = OCI_MANIFEST) -> str:
    """``document`` as app:1, beside an image's blobs; its digest."""
    for key, blob in image.blobs.items():
        registry.add_blob("app", blob, key)
    content = document if isinstance(document, bytes) else to_json(document)
    return registry.add_manifest("app", "1", content, media_type)


def changed(image: OciImage, change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(image.manifest)
    change(document)
    return document


# --- blobs that are not what they are called


@case
def another_layer_under_its_digest(registry: StandIn) -> str:
    image = layered(2, salt="other bytes")
    registry.add("app", "1", image)
    key = json.loads(image.manifest)["layers"][1]["digest"]
    registry.blobs[key] = bytes(len(registry.blobs[key]))
    return f"filesystem layer verification failed for digest {key}"


@case
def a_layer_that_is_longer(registry: StandIn) -> str:
    image = layered(2, salt="longer")
    registry.add("app", "1", image)
    key = json.loads(image.manifest)["layers"][0]["digest"]
    registry.blobs[key] += b"more"
    return "at the registry, its manifest names"


@case
def a_layer_that_is_shorter(registry: StandIn) -> str:
    image = layered(2, salt="shorter")
    registry.add("app", "1", image)
    key = json.loads(image.manifest)["layers"][0]["digest"]
    registry.blobs[key] = registry.blobs[key][:-1]
    return "at the registry, its manifest names"


@case
def a_size_that_is_not_the_layers(registry: StandIn) -> str:
    image = layered(1, salt="size")

    def change(document: dict[str, Any]) -> None:
        document["layers"][0]["size"] -= 1

    put(registry, image, changed(image, change))
    return "at the registry, its manifest names"


@case
def a_layer_that_the_config_does_not_name(registry: StandIn) -> str:
    image, other = layered(1, salt="named"), layered(1, salt="not named")
    layers = json.loads(other.manifest)["layers"]
    put(registry, other, {})
    put(registry, image, changed(image, lambda document: document.update(layers=layers)))
    return "its image's config names"


@case
def more_layers_than_the_config_names(registry: StandIn) -> str:
    image = layered(1, salt="more layers")
    put(registry, image, changed(image, lambda document: document["layers"].append(document["layers"][0])))
    return "different numbers of layers"


@case
def a_config_of_other_bytes(registry: StandIn) -> str:
    image = layered(1, salt="config bytes")
    registry.add("app", "1", image)
    registry.blobs[image.config_digest] = registry.blobs[image.config_digest].replace(b"linux", b"lunix")
    return "verification failed for digest"


@case
def a_config_that_is_no_json(registry: StandIn) -> str:
    image = layered(1, salt="no json")
    blob = b"\xff\xfe not json"
    registry.add_blob("app", blob)
    put(registry, image, changed(image, lambda d: d["config"].update(digest=digest(blob), size=len(blob))))
    return "image config is not valid JSON"


@case
def a_config_of_another_system(registry: StandIn) -> str:
    image = layered(1, salt="windows")
    blob = image.blobs[image.config_digest].replace(b'"linux"', b'"windows"')
    registry.add_blob("app", blob)
    put(registry, image, changed(image, lambda d: d["config"].update(digest=digest(blob), size=len(blob))))
    return 'image operating system "windows" cannot be used on this platform'


# --- manifests that can be read in two ways


@case
def both_manifests_and_layers(registry: StandIn) -> str:
    image = layered(1, salt="both")
    put(registry, image, changed(image, lambda document: document.update(manifests=[])))
    return "manifest has both layers and manifests"


@case
def both_of_them_as_an_index(registry: StandIn) -> str:
    image = layered(1, salt="both index")
    put(registry, image, changed(image, lambda d: d.update(manifests=[], mediaType=OCI_INDEX)), OCI_INDEX)
    return "manifest has both layers and manifests"


@case
def a_media_type_that_differs_from_its_sender(registry: StandIn) -> str:
    image = layered(1, salt="differs")
    put(registry, image, image.manifest, DOCKER_MANIFEST)
    return "its sender calls it"


@case
def an_index_that_is_called_a_manifest(registry: StandIn) -> str:
    document = {"schemaVersion": 2, "manifests": []}
    put(registry, layered(1), document, OCI_MANIFEST)
    return "unsupported manifest media type"


@case
def a_manifest_that_is_called_an_index(registry: StandIn) -> str:
    image = layered(1, salt="called index")
    put(registry, image, changed(image, lambda document: document.pop("mediaType")), DOCKER_LIST)
    return "unsupported manifest media type"


@case
def a_key_twice(registry: StandIn) -> str:
    image = layered(1, salt="twice")
    put(registry, image, image.manifest[:-1] + b',"layers":[]}')
    return "a key is there twice"


@case
def a_key_twice_inside(registry: StandIn) -> str:
    image = layered(1, salt="twice inside")
    size = json.loads(image.manifest)["config"]["size"]
    put(registry, image, image.manifest.replace(b'"size":%d' % size, b'"size":1,"size":%d' % size, 1))
    return "a key is there twice"


# --- shapes


@case
def schema_1(registry: StandIn) -> str:
    put(registry, layered(1), {"schemaVersion": 1, "name": "app", "tag": "1", "fsLayers": []}, SCHEMA1)
    return (
        "Docker Image Format v1 and Docker Image manifest version 2, schema 1 are not supported. "
        "Suggest the author to upgrade the image to the OCI Format or Docker Image manifest v2, schema 2."
    )


@case
def schema_1_without_its_name(registry: StandIn) -> str:
    put(registry, layered(1), {"schemaVersion": 1, "fsLayers": []}, "application/json")
    return "schema 1 are not supported"


@case
def ten_thousand_layers(registry: StandIn) -> str:
    image = layered(1, salt="many")
    put(registry, image, changed(image, lambda document: document.update(layers=document["layers"] * 10000)))
    return "10000 layers"


@case
def no_layers_at_all(registry: StandIn) -> str:
    image = layered(1, salt="none")
    put(registry, image, changed(image, lambda document: document.update(layers="none")))
    return "manifest has no list of layers"


@case
def a_manifest_of_five_megabytes(registry: StandIn) -> str:
    image = layered(1, salt="fat")
    put(registry, image, changed(image, lambda document: document.update(annotations={"x": "y" * (5 << 20)})))
    return "more than 4194304 bytes"


@case
def a_negative_size(registry: StandIn) -> str:
    image = layered(1, salt="negative")
    put(registry, image, changed(image, lambda document: document["layers"][0].update(size=-5)))
    return "no valid size"


@case
def a_size_of_an_exabyte(registry: StandIn) -> str:
    image = layered(1, salt="exabyte")
    put(registry, image, changed(image, lambda document: document["layers"][0].update(size=1 << 60)))
    return "at the registry, its manifest names"


@case
def a_digest_of_another_algorithm(registry: StandIn) -> str:
    image = layered(1, salt="sha512")
    put(registry, image, changed(image, lambda document: document["layers"][0].update(digest="sha512:" + "0" * 128)))
    return "unsupported digest algorithm"


@case
def a_layer_of_an_unknown_kind(registry: StandIn) -> str:
    image = layered(1, salt="unknown")
    kind = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
    put(registry, image, changed(image, lambda document: document["layers"][0].update(mediaType=kind)))
    return f"has the unknown media type '{kind}'"


@case
def an_artifact(registry: StandIn) -> str:
    image = layered(1, salt="artifact")
    kind = "application/vnd.cncf.helm.config.v1+json"
    put(registry, image, changed(image, lambda document: document["config"].update(mediaType=kind)))
    return f"unsupported image config media type {kind!r}"


@case
def no_json(registry: StandIn) -> str:
    put(registry, layered(1), b"<html>log in first</html>", "text/html")
    return "manifest is not valid JSON"


@case
def nested_too_deeply(registry: StandIn) -> str:
    put(registry, layered(1), b'{"layers":' + b"[" * 100000 + b"]" * 100000 + b"}")
    return "manifest"


# --- indexes


def entry(registry: StandIn, content: bytes, media_type: str, **more: object) -> dict[str, Any]:
    key = registry.add_manifest("app", "", content, media_type)
    platform = {"architecture": "amd64" if os.uname().machine == "x86_64" else "arm64", "os": "linux"}
    return {"mediaType": media_type, "digest": key, "size": len(content), "platform": platform, **more}


@case
def indexes_inside_indexes(registry: StandIn) -> str:
    image = layered(1, salt="nested")
    registry.add("app", "", image)
    inner = entry(registry, image.manifest, OCI_MANIFEST)
    for _ in range(20):
        inner = entry(registry, to_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [inner]}), OCI_INDEX)
    registry.manifests[("app", "1")] = registry.manifests[("app", inner["digest"])]
    return "lead to other indexes without end"


@case
def indexes_that_lead_to_each_other(registry: StandIn) -> str:
    """A circle of digests cannot be made; a registry can only pretend, and is caught by the digest."""
    inner = entry(registry, b"placeholder", OCI_INDEX)
    outer = to_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [inner]})
    registry.add_manifest("app", "1", outer, OCI_INDEX)
    registry.manifests[("app", inner["digest"])] = (outer, OCI_INDEX)
    return f"manifest verification failed for digest {inner['digest']}"


@case
def an_entry_of_another_size(registry: StandIn) -> str:
    image = layered(1, salt="entry size")
    registry.add("app", "", image)
    wrong = entry(registry, image.manifest, OCI_MANIFEST) | {"size": 7}
    put(registry, image, {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [wrong]}, OCI_INDEX)
    return "size mismatch"


@case
def an_entry_of_another_kind(registry: StandIn) -> str:
    image = layered(1, salt="entry kind")
    registry.add("app", "", image)
    wrong = entry(registry, image.manifest, OCI_MANIFEST) | {"mediaType": DOCKER_MANIFEST}
    put(registry, image, {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [wrong]}, OCI_INDEX)
    return "its sender calls it"


@case
def an_index_of_nothing(registry: StandIn) -> str:
    put(registry, layered(1), {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}, OCI_INDEX)
    return "no matching manifest for linux/"


@pytest.mark.parametrize("name", CASES)
def test_refused_with_a_reason_and_nothing_left(name: str, daemon: Daemon, stand_in: StandIn) -> None:
    before, images = files_of_the_store(daemon), daemon.docker("images", "-aq", "--no-trunc").out
    expected = CASES[name](stand_in)
    failed = daemon.docker("pull", f"{stand_in.host}/app:1", check=False)
    assert failed.code == 1 and expected in failed.err, failed.err
    assert "internal error" not in failed.err and "Traceback" not in daemon.log()
    assert daemon.docker("images", "-aq", "--no-trunc").out == images

    def same() -> bool:
        left = files_of_the_store(daemon) ^ before
        assert not left, left
        return True

    eventually(same, 10, every_s=0.05, why="the store is as before")


def test_a_manifest_of_another_digest(daemon: Daemon, stand_in: StandIn) -> None:
    image, other = layered(1, salt="asked"), layered(1, salt="answered")
    stand_in.add("app", "", image)
    stand_in.manifests[("app", image.digest)] = (other.manifest, other.media_type)
    failed = daemon.docker("pull", f"{stand_in.host}/app@{image.digest}", check=False)
    assert f"manifest verification failed for digest {image.digest}" in failed.err
