"""The stock CLI's image commands: what they print and refuse must hold for Docker itself as well."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.daemon import Daemon
from harness.images import Entry, docker_archive, layer_tar

pytestmark = pytest.mark.root


@pytest.fixture
def shop(engine: Daemon, tmp_path: Path) -> Iterator[Daemon]:
    """Three names of one image and one of another that stands on the same layer."""
    base = layer_tar([Entry("a", b"x" * 5000), Entry("link", kind="symlink", target="a")])
    path = f"{tmp_path}/shop.tar"
    docker_archive(path, ["t/shop:1", "t/shop:latest", "t/other:2"], [base], {"Labels": {"kind": "base"}})
    engine.docker("load", "-q", "-i", path)
    docker_archive(path, ["t/upper:1"], [base, layer_tar([Entry("b", b"y" * 700)])], {"Labels": {"kind": "upper"}})
    engine.docker("load", "-q", "-i", path)
    yield engine
    for name in ("t/shop:1", "t/shop:latest", "t/other:2", "t/upper:1", "t/shop:3"):
        engine.docker("rmi", "-f", name, check=False)


def listed(engine: Daemon, *flags: str) -> list[str]:
    return sorted(engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}", *flags).lines)


def test_list_and_its_filters(shop: Daemon) -> None:
    every = ["t/other:2", "t/shop:1", "t/shop:latest", "t/upper:1"]
    assert [name for name in listed(shop) if name.startswith("t/")] == every
    assert listed(shop, "t/shop") == ["t/shop:1", "t/shop:latest"]
    assert listed(shop, "t/sh*:1") == ["t/shop:1"]
    assert listed(shop, "-f", "reference=*/shop") == ["t/shop:1", "t/shop:latest"]
    assert listed(shop, "-f", "reference=sh*") == []  # a star stops at a slash
    assert listed(shop, "-f", "label=kind=upper") == ["t/upper:1"]
    assert listed(shop, "-f", "label=kind") == every
    assert listed(shop, "-f", "dangling=true") == []
    assert [n for n in listed(shop, "-f", "until=1m") if n.startswith("t/")] == every
    assert listed(shop, "-f", "until=2020-01-01") == []
    for bad, sentence in (
        ("foo=1", "invalid filter 'foo'"), ("dangling=x", "invalid filter 'dangling=[x]'"), ("before=nosuch", "No such image"),
    ):  # fmt: skip
        refused = shop.docker("images", "-f", bad, check=False)
        assert refused.code == 1 and sentence in refused.err


def test_sizes_count_shared_layers(shop: Daemon) -> None:
    rows = {image["RepoTags"][0]: image for image in shop.api("GET", "/v1.51/images/json?shared-size=1").body}
    shop_image, upper = rows["t/other:2"], rows["t/upper:1"]
    assert (shop_image["Size"], shop_image["SharedSize"]) == (5001, 5001)  # a link counts its target's length
    assert (upper["Size"], upper["SharedSize"]) == (5701, 5001)
    assert shop_image["Containers"] == 0
    assert {image["Containers"] for image in shop.api("GET", "/v1.50/images/json").body} == {-1}  # nobody counted


def test_inspect_has_dockers_keys(shop: Daemon) -> None:
    found = json.loads(shop.docker("image", "inspect", "t/upper:1").out)[0]
    expected = (
        "Id RepoTags RepoDigests Parent Comment Created DockerVersion Author Architecture Os Size GraphDriver RootFS "
        "Metadata Config"
    )
    assert set(expected.split()) <= set(found)
    assert found["Created"] == "2026-01-02T03:04:05Z" and found["GraphDriver"]["Name"] == "overlay2"
    assert set(found["GraphDriver"]["Data"]) == {"LowerDir", "MergedDir", "UpperDir", "WorkDir"}
    assert found["Config"]["Labels"] == {"kind": "upper"} and found["Config"]["Cmd"] is None
    assert len(found["RootFS"]["Layers"]) == 2


def test_history(shop: Daemon) -> None:
    lines = shop.docker("history", "--format", "{{.ID}} {{.Size}} {{.CreatedBy}}", "--no-trunc", "t/upper:1").lines
    assert lines[0].startswith("sha256:") and lines[0].endswith("700B test layer 1")
    assert lines[1] == "<missing> 5kB test layer 0"


def test_tag_and_untag(shop: Daemon) -> None:
    shop.docker("tag", "t/shop", "t/shop:3")
    assert "t/shop:3" in listed(shop)
    assert shop.docker("rmi", "t/shop:3").out == "Untagged: t/shop:3\n"
    refused = shop.docker("tag", "t/nosuch", "x", check=False)
    assert refused.code == 1 and "No such image: t/nosuch:latest" in refused.err


def test_by_id_several_repositories_are_a_conflict(shop: Daemon) -> None:
    ident = shop.docker("images", "-q", "t/shop:1").out.strip()
    refused = shop.docker("rmi", ident, check=False)
    assert refused.code == 1
    sentence = f"conflict: unable to delete {ident} (must be forced) - image is referenced in multiple repositories"
    assert sentence in refused.err
    out = shop.docker("rmi", "-f", ident).lines
    assert sorted(out)[1:] == ["Untagged: t/other:2", "Untagged: t/shop:1", "Untagged: t/shop:latest"]
    assert out[-1].startswith("Deleted: sha256:")  # the layer stays: another image stands on it


def test_a_container_keeps_its_image(shop: Daemon) -> None:
    container = shop.docker("create", "t/upper:1", "/b").out.strip()[:12]
    refused = shop.docker("rmi", "t/upper:1", check=False)
    ident = shop.docker("images", "-q", "t/upper:1").out.strip()
    assert (
        f'conflict: unable to remove repository reference "t/upper:1" (must force) - container {container} is using '
        f"its referenced image {ident}" in refused.err
    )
    by_id = shop.docker("rmi", ident, check=False)
    assert f"(must be forced) - image is being used by stopped container {container}" in by_id.err
    pruned = shop.docker("image", "prune", "-a", "-f", "--filter", "label=kind=upper").out
    assert pruned == "Total reclaimed space: 0B\n"
    assert shop.docker("rmi", "-f", "t/upper:1").lines[0] == "Untagged: t/upper:1"


def test_a_running_container_keeps_its_image_whatever_the_force(engine: Daemon) -> None:
    engine.docker("tag", "busybox", "t/run:1")
    try:
        container = engine.docker("run", "-d", "t/run:1", "sleep", "60").out.strip()[:12]
        ident = engine.docker("images", "-q", "busybox").out.strip()
        refused = engine.docker("rmi", "-f", ident, check=False)
        assert f"(cannot be forced) - image is being used by running container {container}" in refused.err
    finally:
        engine.docker("rmi", "-f", "t/run:1", check=False)


def test_prune_with_filters(shop: Daemon) -> None:
    out = shop.docker("image", "prune", "-a", "-f", "--filter", "label=kind=base").lines
    assert {"untagged: t/shop:1", "untagged: t/other:2"} <= set(out)
    assert listed(shop, "t/*") == ["t/upper:1"]
    refused = shop.docker("image", "prune", "-f", "--filter", "foo=1", check=False)
    assert "invalid filter 'foo'" in refused.err


def test_dangling_images_are_pruned(shop: Daemon) -> None:
    shop.docker("tag", "busybox", "t/shop:latest")
    shop.docker("tag", "busybox", "t/shop:1")
    shop.docker("tag", "busybox", "t/other:2")
    assert len(shop.docker("images", "-q", "-f", "dangling=true").lines) == 1
    out = shop.docker("image", "prune", "-f").lines
    assert out[0] == "Deleted Images:" and out[1].startswith("deleted: sha256:")
    assert shop.docker("images", "-q", "-f", "dangling=true").lines == []


def test_disk_usage_in_words(shop: Daemon) -> None:
    out = shop.docker("system", "df").lines
    assert out[0].split() == ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]
    assert [line[:14].strip() for line in out[1:]] == ["Images", "Containers", "Local Volumes", "Build Cache"]
    verbose = shop.docker("system", "df", "-v").out
    assert "Images space usage:" in verbose and "t/upper" in verbose
    assert shop.api("GET", "/v1.51/system/df?type=foo").status == 400


def test_events(shop: Daemon, tmp_path: Path) -> None:
    """Every change tells itself, with the image's labels, which filters ask for."""
    begun = time.time()
    image_id = shop.docker("images", "-q", "--no-trunc", "t/upper").out.strip()
    shop.docker("save", "-o", f"{tmp_path}/s.tar", "t/upper:1")
    shop.docker("tag", "t/upper:1", "t/shop:3")
    shop.docker("rmi", "t/shop:3")
    shop.docker("rmi", "t/upper:1")
    shop.docker("load", "-q", "-i", f"{tmp_path}/s.tar")
    imported = shop.docker("import", "-", "t/shop:3", stdin=layer_tar([Entry("x")])).lines[-1]
    until = f"{time.time() + 0.3:.9f}"
    words = ("events", "--since", f"{begun:.9f}", "--until", until, "--filter", "type=image", "--format", "{{json .}}")
    seen = [json.loads(line) for line in shop.docker(*words).lines]
    named = [
        (e["Action"], e["Actor"]["ID"], e["Actor"]["Attributes"]["name"], e["Actor"]["Attributes"].get("kind"))
        for e in seen
    ]
    assert named == [
        ("save", image_id, image_id, "upper"), ("tag", image_id, "t/shop:3", "upper"), ("untag", image_id, image_id, "upper"),
        ("untag", image_id, image_id, "upper"), ("delete", image_id, image_id, None), ("load", image_id, image_id, "upper"),
        ("tag", imported, "t/shop:3", None), ("import", imported, imported, None),
    ]  # fmt: skip
    assert len(shop.docker(*words, "--filter", "label=kind=upper").lines) == 5


def test_save_names(shop: Daemon, tmp_path: Path) -> None:
    refused = shop.docker("save", "-o", f"{tmp_path}/x.tar", "t/nosuch", check=False)
    assert refused.code == 1 and "No such image: t/nosuch" in refused.err
    shop.docker("save", "-o", f"{tmp_path}/s.tar", "t/shop", "t/upper:1")
    shop.docker("rmi", "-f", "t/shop:1", "t/shop:latest", "t/upper:1", "t/other:2")
    out = sorted(shop.docker("load", "-i", f"{tmp_path}/s.tar").lines)
    assert out == ["Loaded image: t/shop:1", "Loaded image: t/shop:latest", "Loaded image: t/upper:1"]
