"""Layers as tools other than Docker write them, and indexes pulled for every platform."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable

import pytest
import zstandard

from harness.daemon import Daemon
from harness.images import (
    OCI_MANIFEST,
    Entry,
    OciImage,
    busybox_image,
    busybox_layer,
    digest,
    image_config,
    layer_tar,
    to_json,
)
from harness.registry import PackagedRegistry, StandIn, layered, skopeo

pytestmark = pytest.mark.root


def of_packed(layers: list[tuple[bytes, bytes, dict[str, str]]], suffix: str) -> OciImage:
    """An image of layers that are packed already: (plain, packed, annotations)."""
    config = image_config([plain for plain, _, _ in layers], {"Cmd": ["sh"]})
    manifest = {
        "schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(config), "size": len(config)},
        "layers": [
            {
                "mediaType": f"application/vnd.oci.image.layer.v1.tar+{suffix}", "digest": digest(packed), "size": len(packed),
                "annotations": annotations,
            }
            for _, packed, annotations in layers
        ],
    }  # fmt: skip
    blobs = {digest(packed): packed for _, packed, _ in layers}
    return OciImage(to_json(manifest), OCI_MANIFEST, {**blobs, digest(config): config}, digest(config))


def estargz(plain: bytes) -> tuple[bytes, bytes, dict[str, str]]:
    """A member of gzip for every 64 KiB, the table of contents in one of its own, and the footer, which is an empty one."""
    toc = to_json({"version": 1, "entries": []})
    plain = plain.rstrip(b"\0")
    plain += bytes(-len(plain) % 512) + layer_tar([Entry("stargz.index.json", toc)])
    members = [gzip.compress(plain[at : at + 65536], mtime=0) for at in range(0, len(plain), 65536)]
    offset = sum(map(len, members[:-1]))
    extra = b"SG" + struct.pack("<H", 22) + f"{offset:016x}STARGZ".encode()
    footer = (
        b"\x1f\x8b\x08\x04"
        + bytes(5)
        + b"\xff"
        + struct.pack("<H", len(extra))
        + extra
        + b"\x01\0\0\xff\xff"
        + bytes(8)
    )
    assert gzip.decompress(footer) == b""
    return plain, b"".join(members) + footer, {"containerd.io/snapshot/stargz/toc.digest": digest(toc)}


def zstd_chunked(plain: bytes) -> tuple[bytes, bytes, dict[str, str]]:
    """Several frames, and the table of contents in frames that a reader skips."""
    pack = zstandard.ZstdCompressor().compress
    frames = [pack(plain[at : at + 100000]) for at in range(0, len(plain), 100000)]
    toc = pack(b'{"version":1,"entries":[]}')
    skipped = struct.pack("<II", 0x184D2A50, len(toc)) + toc
    return plain, b"".join(frames) + skipped + struct.pack("<II", 0x184D2A50, 40) + bytes(40), {}


@pytest.mark.parametrize(
    ("pack", "suffix"), [(estargz, "gzip"), (zstd_chunked, "zstd")], ids=["estargz", "zstd-chunked"]
)
def test_layers_that_can_be_read_in_pieces_are_read_whole(
    pack: Callable[[bytes], tuple[bytes, bytes, dict[str, str]]], suffix: str, daemon: Daemon, stand_in: StandIn,
    packaged: PackagedRegistry,
) -> None:  # fmt: skip
    image = of_packed([pack(busybox_layer()), pack(layer_tar([Entry("greeting", b"hello\n")]))], suffix)
    stand_in.add("lazy", "1", image)
    daemon.docker("pull", f"{stand_in.host}/lazy:1")
    assert daemon.docker("run", "--rm", f"{stand_in.host}/lazy:1", "cat", "/greeting").out == "hello\n"
    daemon.docker("tag", f"{stand_in.host}/lazy:1", f"{packaged.host}/lazy:{suffix}")
    daemon.docker("push", f"{packaged.host}/lazy:{suffix}")
    raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{packaged.host}/lazy:{suffix}")
    assert digest(raw.encode()) == image.digest, "the annotations that lazy pullers need stay"


def test_every_platform(daemon: Daemon, stand_in: StandIn, packaged: PackagedRegistry) -> None:
    """``--platform all``: the index is here whole, goes out whole, and what runs is this machine's."""
    images = {
        "linux/amd64": busybox_image(arch="amd64"), "linux/arm64": layered(2, salt="all arm64", arch="arm64"),
        "linux/arm/v7": layered(1, salt="all v7", arch="arm", variant="v7"),
    }  # fmt: skip
    top = stand_in.add_index("all", "1", images)
    source, target = f"{stand_in.host}/all:1", f"{packaged.host}/all:1"
    out = daemon.docker("pull", "--platform", "all", source).out
    assert f"Digest: {top}" in out and f"Downloaded newer image for {source}" in out
    assert f"Image is up to date for {source}" in daemon.berth("pull", "--platform", "all", source).out
    for image in images.values():
        assert daemon.docker("image", "inspect", image.config_digest).code == 0
    daemon.docker("tag", source, target)
    assert f"1: digest: {top}" in daemon.docker("push", target).out
    index = json.loads(skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{target}"))
    assert [entry["digest"] for entry in index["manifests"]] == [image.digest for image in images.values()]
    assert daemon.docker("run", "--rm", source, "echo", "hi").out == "hi\n"
    daemon.docker("rmi", source, target)
    for image in images.values():
        assert daemon.docker("image", "inspect", image.config_digest, check=False).code == 1


def test_every_platform_of_an_index_with_other_systems(daemon: Daemon, stand_in: StandIn) -> None:
    """What is not Linux is passed over; where nothing else is there, that is said."""
    linux, windows = layered(1, salt="with windows"), layered(1, salt="windows")
    stand_in.add_index("mixed", "1", {"linux/amd64": linux, "windows/amd64": windows})
    stand_in.add_index("mixed", "2", {"windows/amd64": windows})
    daemon.docker("pull", "--platform", "all", f"{stand_in.host}/mixed:1")
    assert not stand_in.asked("GET", windows.digest)
    failed = daemon.docker("pull", "--platform", "all", f"{stand_in.host}/mixed:2", check=False)
    assert failed.code == 1 and "no image for any Linux platform" in failed.err


def test_every_platform_of_an_index_without_end(daemon: Daemon, stand_in: StandIn) -> None:
    """The same image ten thousand times: not ten thousand requests."""
    image = layered(1, salt="again and again")
    stand_in.add("endless", "", image)
    entry = {"mediaType": image.media_type, "digest": image.digest, "size": len(image.manifest)}
    stand_in.add_index("endless", "1", {}, more=[entry] * 10_000)
    failed = daemon.docker("pull", "--platform", "all", f"{stand_in.host}/endless:1", check=False)
    assert failed.code == 1 and "name more than 100 images" in failed.err
    assert len(stand_in.asked("GET", "/manifests/")) <= 102


def test_every_platform_of_a_plain_image(daemon: Daemon, stand_in: StandIn) -> None:
    image = layered(1, salt="plain all")
    stand_in.add("plain", "1", image)
    assert f"Digest: {image.digest}" in daemon.docker("pull", "--platform", "all", f"{stand_in.host}/plain:1").out
