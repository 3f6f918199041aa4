"""Test images, made from Debian's packages, as archives that ``docker load`` takes.

``busybox_archive(path)`` is what nearly every test wants: busybox:latest with all applets, a passwd with ``root``,
``daemon``, ``user`` (1000) and ``nobody``, and a sticky /tmp. The pieces below it (``layer_tar``, ``docker_archive``,
``oci_archive``) build any other image a test needs. Everything is reproducible: the same bytes on every run.

The stdlib's tarfile writes here on purpose: it is the oracle that the engine's own reader is tested against.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

CREATED = "2026-01-02T03:04:05Z"
_CACHE = os.environ.get("BERTH_TEST_CACHE", "/var/tmp/berth-test-cache")
HOST_ARCH = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


class Entry(NamedTuple):
    """One member of a layer. ``kind``: file, dir, symlink, hardlink, char, block, fifo."""

    path: str
    content: bytes = b""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    kind: str = "file"
    target: str = ""
    mtime: int = 0
    device: tuple[int, int] = (0, 0)
    pax: Mapping[str, str] | None = None


_TYPES = {
    "file": tarfile.REGTYPE,
    "dir": tarfile.DIRTYPE,
    "symlink": tarfile.SYMTYPE,
    "hardlink": tarfile.LNKTYPE,
    "char": tarfile.CHRTYPE,
    "block": tarfile.BLKTYPE,
    "fifo": tarfile.FIFOTYPE,
}


def layer_tar(entries: Iterable[Entry], fmt: int = tarfile.PAX_FORMAT) -> bytes:
    """An uncompressed layer holding ``entries`` in order."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=fmt) as tar:
        for entry in entries:
            member = tarfile.TarInfo(entry.path)
            member.type = _TYPES[entry.kind]
            member.mode, member.uid, member.gid, member.mtime = entry.mode, entry.uid, entry.gid, entry.mtime
            member.linkname = entry.target
            member.devmajor, member.devminor = entry.device
            member.size = len(entry.content) if entry.kind == "file" else 0
            member.pax_headers = dict(entry.pax or {})
            tar.addfile(member, io.BytesIO(entry.content) if entry.kind == "file" else None)
    return out.getvalue()


def digest(blob: bytes) -> str:
    return "sha256:" + hashlib.sha256(blob).hexdigest()


def to_json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def image_config(
    layers: Sequence[bytes], config: Mapping[str, Any] | None = None, *, arch: str = HOST_ARCH, variant: str = ""
) -> bytes:
    """An image config for uncompressed ``layers`` with one history entry a layer."""
    doc: dict[str, Any] = {
        "architecture": arch,
        "os": "linux",
        "created": CREATED,
        "config": dict(config or {}),
        "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
        "history": [{"created": CREATED, "created_by": f"test layer {n}"} for n in range(len(layers))],
    }
    if variant:
        doc["variant"] = variant
    return to_json(doc)


def docker_archive(
    path: str, tags: Sequence[str], layers: Sequence[bytes], config: Mapping[str, Any] | None = None,
    *, compress: bool = False, raw_config: bytes | None = None,
) -> str:  # fmt: skip
    """Write a ``docker save`` archive; returns the image's id."""
    config_blob = raw_config if raw_config is not None else image_config(layers, config)
    ident = hashlib.sha256(config_blob).hexdigest()
    names = [f"{digest(layer).removeprefix('sha256:')}/layer.tar" for layer in layers]
    manifest = [{"Config": f"{ident}.json", "RepoTags": list(tags) or None, "Layers": names}]
    files = dict(zip(names, layers, strict=True))
    files[f"{ident}.json"] = config_blob
    files["manifest.json"] = to_json(manifest)
    _write(path, layer_tar(Entry(name, blob) for name, blob in files.items()), compress)
    return f"sha256:{ident}"


class OciImage(NamedTuple):
    """The blobs of one image as a registry or an OCI layout holds them."""

    manifest: bytes
    media_type: str
    blobs: dict[str, bytes]
    config_digest: str

    @property
    def digest(self) -> str:
        return digest(self.manifest)


OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


def oci_image(
    layers: Sequence[bytes], config: Mapping[str, Any] | None = None, *, docker: bool = False, compression: str = "gzip",
    arch: str = HOST_ARCH, variant: str = "",
) -> OciImage:  # fmt: skip
    """An image of compressed layers with an OCI manifest, or Docker's schema 2. ``compression``: gzip, zstd or none."""
    config_blob = image_config(layers, config, arch=arch, variant=variant)
    blobs = {digest(config_blob): config_blob}
    stem = "application/vnd.docker.image.rootfs.diff.tar" if docker else "application/vnd.oci.image.layer.v1.tar"
    suffix = {"gzip": ".gzip" if docker else "+gzip", "zstd": ".zstd" if docker else "+zstd", "none": ""}[compression]
    config_type = (
        "application/vnd.docker.container.image.v1+json" if docker else "application/vnd.oci.image.config.v1+json"
    )
    descriptors = []
    for layer in layers:
        packed = pack(layer, compression)
        blobs[digest(packed)] = packed
        descriptors.append({"mediaType": stem + suffix, "digest": digest(packed), "size": len(packed)})
    media_type = DOCKER_MANIFEST if docker else OCI_MANIFEST
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": {"mediaType": config_type, "digest": digest(config_blob), "size": len(config_blob)},
        "layers": descriptors,
    }
    return OciImage(to_json(manifest), media_type, blobs, digest(config_blob))


def pack(layer: bytes, compression: str) -> bytes:
    """``layer`` compressed, with no time stamp inside."""
    if compression == "gzip":
        return gzip.compress(layer, 6, mtime=0)
    if compression == "zstd":
        import zstandard

        return zstandard.ZstdCompressor().compress(layer)
    return layer


def oci_archive(path: str, images: Mapping[str, OciImage], *, compress: bool = False) -> None:
    """Write an OCI layout as a tar: ``images`` maps a reference (``org.opencontainers.image.ref.name``) to an image."""
    files: dict[str, bytes] = {"oci-layout": to_json({"imageLayoutVersion": "1.0.0"})}
    manifests = []
    for name, image in images.items():
        for key, blob in {**image.blobs, image.digest: image.manifest}.items():
            files["blobs/" + key.replace(":", "/")] = blob
        manifests.append(
            {
                "mediaType": image.media_type,
                "digest": image.digest,
                "size": len(image.manifest),
                "annotations": {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name},
            }
        )
    files["index.json"] = to_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})
    _write(path, layer_tar(Entry(name, blob) for name, blob in files.items()), compress)


def _write(path: str, blob: bytes, compress: bool) -> None:
    partial = f"{path}.{os.getpid()}.tmp"
    with open(partial, "wb") as out:
        out.write(gzip.compress(blob, 1, mtime=0) if compress else blob)
    os.rename(partial, path)


# --- busybox -----------------------------------------------------------------------------------------------------

_PASSWD = """root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
user:x:1000:1000:A user:/home/user:/bin/sh
nobody:x:65534:65534:nobody:/home:/bin/false
"""
_GROUP = """root:x:0:
daemon:x:1:
staff:x:50:user
user:x:1000:
extra:x:2000:user
nogroup:x:65534:
"""


def busybox_archive(path: str, tags: Sequence[str] = ("busybox:latest",)) -> str:
    """Write the busybox image as a Docker archive; returns its id."""
    return docker_archive(path, tags, [busybox_layer()], {"Cmd": ["sh"], "Env": [_PATH_ENV]})


def busybox_image(**how: Any) -> OciImage:
    """The busybox image as registry blobs (see ``oci_image`` for ``how``)."""
    return oci_image([busybox_layer()], {"Cmd": ["sh"], "Env": [_PATH_ENV]}, **how)


_PATH_ENV = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def busybox_layer() -> bytes:
    """The one layer: /bin/busybox, its applets as symlinks, and the few files that tests rely on."""
    program = busybox_program()
    listing = subprocess.run([program, "--list-full"], capture_output=True, text=True, check=True).stdout
    applets = sorted(set(listing.split()) - {"bin/busybox"})
    folders = ["bin", "dev", "etc", "home", "home/user", "root", "sbin", "usr", "usr/bin", "usr/sbin", "var", "var/www"]
    owner = {"home/user": 1000}
    entries = [
        Entry(
            f"{name}/",
            mode=0o700 if name == "root" else 0o755,
            kind="dir",
            uid=owner.get(name, 0),
            gid=owner.get(name, 0),
        )
        for name in folders
    ]
    entries.append(Entry("tmp/", mode=0o1777, kind="dir"))
    with open(program, "rb") as binary:
        entries.append(Entry("bin/busybox", binary.read(), 0o755))
    entries += [Entry(applet, kind="symlink", target="/bin/busybox", mode=0o777) for applet in applets]
    entries += [
        Entry("etc/passwd", _PASSWD.encode()),
        Entry("etc/group", _GROUP.encode()),
        Entry("etc/shadow", b"root:*:::::::\n", 0o640),
        Entry("etc/nsswitch.conf", b"hosts: files dns\n"),
        Entry("var/www/index.html", b"hello from busybox\n"),
    ]
    return layer_tar(entries)


def busybox_program() -> str:
    """A path to a static busybox: the host's own, or the one unpacked from Debian's busybox-static (kept in a cache)."""
    if os.path.exists("/bin/busybox") and _is_static("/bin/busybox"):
        return "/bin/busybox"
    return packaged_program("busybox-static", "bin/busybox")


def packaged_program(package: str, path: str) -> str:
    """A file of a Debian package that is not installed: fetched, unpacked, and kept in the tests' cache."""
    kept = os.path.join(_CACHE, os.path.basename(path))
    if not os.path.exists(kept):
        _unpack(package, path, kept)
    return kept


def _is_static(program: str) -> bool:
    with open(program, "rb") as binary:
        return b"/ld-linux" not in binary.read(4096)


def _unpack(package: str, path: str, kept: str) -> None:
    os.makedirs(_CACHE, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_CACHE) as scratch:
        os.chmod(scratch, 0o755)
        packages: list[str] = []
        for before in ([], ["apt-get", "update", "-q"]):
            if before:  # a machine whose package lists were never fetched
                subprocess.run(before, capture_output=True)
            fetch = subprocess.run(["apt-get", "download", package], cwd=scratch, capture_output=True, text=True)
            packages = [name for name in os.listdir(scratch) if name.endswith(".deb")]
            if packages:
                break
        else:
            raise RuntimeError(f"cannot fetch Debian's {package}: {fetch.stderr.strip()}")
        subprocess.run(["dpkg-deb", "-x", packages[0], "x"], cwd=scratch, check=True, capture_output=True)
        partial = f"{kept}.{os.getpid()}.tmp"
        shutil.copy2(os.path.join(scratch, "x", path), partial)
        os.rename(partial, kept)
