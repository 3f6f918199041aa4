"""Archives and configs are hostile: ``load`` refuses with a reason and leaves the store as it was, and a config that does load
does nothing but describe.

CVE-2026-53488 (labels that became commands), CVE-2022-23648 (a VOLUME that leads outside), CVE-2026-57231 (Env without "=" read
from the host), CVE-2024-36620 (history that is null), CVE-2023-25153 (a small archive that unpacks to a large one).
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from harness.daemon import Answer, Daemon
from harness.eventually import eventually
from harness.images import (
    OCI_INDEX,
    OCI_MANIFEST,
    Entry,
    busybox_layer,
    digest,
    image_config,
    layer_tar,
    oci_image,
    to_json,
)  # fmt: skip

pytestmark = pytest.mark.root
LIMIT = 4 << 20
LAYER = layer_tar([Entry("f", b"x")])
CONFIG = image_config([LAYER])


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon("--max-layer-bytes", str(LIMIT)) as engine:
        yield engine


def put(daemon: Daemon, files: dict[str, bytes], links: dict[str, str] | None = None, *, pack: bool = False) -> Answer:
    entries = [Entry(name, content) for name, content in files.items()]
    entries += [Entry(name, kind="symlink", target=target) for name, target in (links or {}).items()]
    raw = layer_tar(entries)
    body = gzip.compress(raw) if pack else raw
    return daemon.api("POST", "/images/load?quiet=1", body, headers={"Content-Type": "application/x-tar"})


def kept(daemon: Daemon) -> list[str]:
    folders = ("content/blobs/sha256", "content/ingest", "snapshots", "trash-images")
    return [name for folder in folders for name in sorted(os.listdir(f"{daemon.data_root}/{folder}"))]


def docker(**changes: Any) -> dict[str, bytes]:
    """A good Docker archive, but for its manifest.json."""
    entry = {"Config": "c.json", "RepoTags": ["h/x:1"], "Layers": ["l.tar"], **changes}
    return {"c.json": CONFIG, "l.tar": LAYER, "manifest.json": to_json([entry])}


def oci(**changes: Any) -> dict[str, bytes]:
    """A good OCI layout, but for its index.json."""
    image = oci_image([LAYER])
    blobs = {**image.blobs, image.digest: image.manifest}
    entry = {"mediaType": OCI_MANIFEST, "digest": image.digest, "size": len(image.manifest), **changes}
    index = to_json({"schemaVersion": 2, "manifests": [entry]})
    return {"oci-layout": b"{}", "index.json": index, **{"blobs/" + k.replace(":", "/"): v for k, v in blobs.items()}}


def nested(depth: int) -> dict[str, bytes]:
    """Indexes inside indexes, all of them here."""
    files = oci()
    inner = json.loads(files["index.json"])["manifests"][0]
    for _ in range(depth):
        document = to_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [inner]})
        files[f"blobs/sha256/{digest(document)[7:]}"] = document
        inner = {"mediaType": OCI_INDEX, "digest": digest(document), "size": len(document)}
    return {**files, "index.json": to_json({"schemaVersion": 2, "manifests": [inner]})}


def swapped() -> dict[str, bytes]:
    """A blob under another's digest."""
    files = oci()
    name = next(name for name, content in files.items() if content[:2] == b"\x1f\x8b")
    return {**files, name: gzip.compress(layer_tar([Entry("other", b"y")]))}


def with_config(document: object) -> dict[str, bytes]:
    return {**docker(), "c.json": document if isinstance(document, bytes) else to_json(document)}


BASE = json.loads(CONFIG)
REFUSED: dict[str, tuple[dict[str, bytes], str]] = {
    "nothing": ({"x": b"y"}, "does not contain a manifest.json"),
    "a manifest that is no JSON": ({**docker(), "manifest.json": b"{"}, "manifest.json"),
    "a manifest that is no list": ({**docker(), "manifest.json": b'{"a": 1}'}, "is not a list of objects"),
    "a list of numbers": ({**docker(), "manifest.json": b"[1]"}, "is not a list of objects"),
    "JSON that nests": ({**docker(), "manifest.json": b"[" * 100_000}, "manifest.json"),
    "a config outside": (docker(Config="../../../../etc/passwd"), "it has no"),
    "a layer outside": (docker(Layers=["/etc/shadow"]), "it has no"),
    "a config that is a number": (docker(Config=7), "it has no"),
    "more layers than the config has": (docker(Layers=["l.tar"] * 2), "differ in number"),
    "ten thousand layers": (docker(Layers=["l.tar"] * 10_000), "differ in number"),
    "no layers": (docker(Layers=[]), "differ in number"),
    "a tag that is no name": (docker(RepoTags=["x/UPPER:1"]), "invalid reference format"),
    "a tag that leads outside": (docker(RepoTags=["../../x:1"]), "invalid reference format"),
    "a layer that is no tar": ({**docker(), "l.tar": b"\x7fELF" * 999}, "failed to register layer"),
    "another layer than the config names": ({**docker(), "l.tar": layer_tar([Entry("g")])}, "its image's config names"),
    "an index that is no index": ({**oci(), "index.json": CONFIG}, ""),
    "a manifest of another size": (oci(digest="sha256:" + "0" * 64), "not found"),
    "a digest that is a path": (oci(digest="sha256:../../../etc/passwd"), "invalid"),
    "a digest of another algorithm": (oci(digest="md5:" + "0" * 32), "unsupported digest algorithm"),
    "a manifest that is called an index": (oci(mediaType=OCI_INDEX), ""),
    "a blob under another's digest": (swapped(), "has the digest"),
    "indexes inside indexes": (nested(9), "indexes inside indexes"),
    "a config that is no JSON": (with_config(b"nonsense"), ""),
    "a config that is a list": (with_config([]), ""),
    "diff ids that are none": (with_config({**BASE, "rootfs": {"type": "layers", "diff_ids": ["x"]}}), ""),
    "another system": (with_config({**BASE, "os": "plan9"}), "cannot be used on this platform"),
    "an Env of numbers": (with_config({**BASE, "config": {"Env": [1]}}), "wrong type"),
    "a Cmd that is a text": (with_config({**BASE, "config": {"Cmd": "sh"}}), "wrong type"),
    "Labels that are a list": (with_config({**BASE, "config": {"Labels": ["a"]}}), "wrong type"),
    "a health check of words": (with_config({**BASE, "config": {"Healthcheck": {"Interval": "soon"}}}), "wrong type"),
    "a health check beyond 64 bits": (
        with_config({**BASE, "config": {"Healthcheck": {"Retries": 1 << 70}}}),
        "wrong type",
    ),
    "a user with NUL": (with_config({**BASE, "config": {"User": "a\0b"}}), "wrong type"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_a_reason_and_nothing_left(daemon: Daemon, name: str) -> None:
    files, sentence = REFUSED[name]
    eventually(lambda: not os.listdir(f"{daemon.data_root}/trash-images"), why="the trash is empty")
    before = kept(daemon)
    answer = put(daemon, files)
    text = json.dumps(answer.body)
    assert answer.status in (400, 404, 500, 501) or '"error' in text, answer
    assert sentence in text and "internal error" not in text and "Traceback" not in daemon.log(), text
    eventually(lambda: kept(daemon) == before, why="the store is as before")
    assert daemon.api("GET", "/images/json?all=1").body == []


def test_links_that_lead_to_each_other(daemon: Daemon) -> None:
    answer = put(
        daemon, {"c.json": CONFIG, "manifest.json": docker()["manifest.json"]}, {"l.tar": "m.tar", "m.tar": "l.tar"}
    )
    assert "it has no" in str(answer.body)


def test_an_archive_that_inflates_is_bounded(daemon: Daemon) -> None:
    """16 MB of zeros in 16 KB, as a member that is no layer of anything, and as a document."""
    before = kept(daemon)
    for files in (
        {"zeros": bytes(LIMIT + 1)},
        {f"z{n}": bytes(LIMIT - n) for n in range(17)},
        {"index.json": bytes(8 << 20)},
    ):
        answer = put(daemon, files, pack=True)
        assert "larger than" in str(answer.body) or "has 8388608 bytes" in str(answer.body), answer
        eventually(lambda: kept(daemon) == before, why="the store is as before")


HARMLESS: dict[str, dict[str, Any]] = {
    "history that is null": {"history": None},
    "history of nulls and numbers": {"history": [None, 7, {"created": 5, "empty_layer": "x", "created_by": []}]},
    "created that is no time": {"created": "yesterday"},
    "created in the year 99999": {"created": "99999-01-01T00:00:00Z"},
    "no config": {"config": None},
    "unknown fields": {"config": {"Runtime": "evil", "HostConfig": {"Privileged": True}, "Image": "x"}},
    "labels that command": {"config": {"Labels": {
        "com.docker.swarm.x": "y", "io.containerd.image.logger": "binary:///bin/touch?/tmp/berth-owned",
        "containerd.io/restart.loguri": "binary:///bin/touch", "berth.instance": "deadbeef", "": "empty", "\n": "\n",
    }}},
    "ports that are none": {"config": {"ExposedPorts": {"x/y": {}, "99999999/tcp": {}, "": {}}}},
    "a health check of nonsense": {"config": {"Healthcheck": {"Test": ["NOPE", "x"], "Interval": 5, "Retries": -1, "More": "x"}}},
    "a signal that is none": {"config": {"StopSignal": "SIGNOPE"}},
    "an environment that reads the host's": {"config": {"Env": ["HOME", "PATH", "SECRET_OF_THE_HOST", "=x", "A=b"]}},
    "volumes that lead outside": {"config": {"Volumes": {"/../../../../etc": {}, "../up": {}, "/proc": {}, "": {}}}},
    "a working directory outside": {"config": {"WorkingDir": "/../../../tmp/berth-owned"}},
    "an author of a megabyte": {"author": "a" * (1 << 20)},
}  # fmt: skip


@pytest.fixture
def tidy(daemon: Daemon) -> Iterator[None]:
    yield
    daemon.remove_all()
    daemon.api("DELETE", "/images/h/x:1?force=1")


@pytest.mark.parametrize("name", HARMLESS)
def test_configs_that_load_only_describe(daemon: Daemon, name: str, tidy: None) -> None:
    layer = busybox_layer()
    config = to_json({**BASE, "rootfs": {"type": "layers", "diff_ids": [digest(layer)]}, **HARMLESS[name]})
    answer = put(daemon, {**docker(), "c.json": config, "l.tar": layer})
    assert answer.status == 200 and '"error' not in json.dumps(answer.body), answer
    for path in ("/images/h/x:1/json", "/images/h/x:1/history", "/images/json?all=1", "/images/h/x:1/get"):
        assert daemon.api("GET", path).status == 200, path
    ran = daemon.docker("run", "--name", "tried", "h/x:1", "sh", "-c", "env; echo ran", check=False)
    assert ran.code in (0, 125), ran
    assert "internal error" not in ran.err and "Traceback" not in daemon.log()
    assert not os.path.exists("/tmp/berth-owned")
    if ran.code == 0:
        environment = dict(line.split("=", 1) for line in ran.lines if "=" in line)
        assert (
            set(environment) <= {"PATH", "HOME", "HOSTNAME", "A", "SHLVL", "PWD"} and environment.get("A", "b") == "b"
        )


def test_a_volume_of_the_images_copies_nothing_of_the_hosts(daemon: Daemon, tidy: None) -> None:
    """CVE-2022-23648: a VOLUME with dots is a path inside the image, or refused."""
    layer = busybox_layer()
    document = {**BASE, "rootfs": {"type": "layers", "diff_ids": [digest(layer)]}}
    config = to_json({**document, "config": {"Volumes": {"/../../../../../etc": {}}}})
    put(daemon, {**docker(), "c.json": config, "l.tar": layer})
    ran = daemon.docker("run", "--rm", "h/x:1", "cat", "/etc/passwd", check=False)
    assert ran.code in (0, 125)
    if ran.code == 0:
        assert "A user" in ran.out  # the image's own
