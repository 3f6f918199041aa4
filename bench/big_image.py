"""The image of the bench's image cases: eight layers of Debian packages, about a gigabyte unpacked, tens of thousands of files.

Made once and kept in the cache as an OCI layout; the same layers every time it is made from the same packages.
"""

from __future__ import annotations

import gzip
import json
import shutil
import sys
import tempfile
from pathlib import Path

from bench.peer import CACHE, SUITE

sys.path[:0] = [str(Path(__file__).resolve().parent.parent / name) for name in ("tests", "tools", "src")]

from berth.snapshots.archive import write_rootfs  # noqa: E402
from harness.images import OCI_INDEX, Entry, digest, image_config, layer_tar, to_json  # noqa: E402
from private_apt import PrivateApt  # noqa: E402

_LAYERS = (
    ["bash", "coreutils", "util-linux", "tar", "gzip", "perl", "apt", "passwd"],
    ["python3", "python3-pip"],
    ["python3-numpy", "python3-scipy"],
    ["g++", "make"],
    ["libboost-dev"],
    ["golang-go"],
    ["git", "curl", "vim"],
)
_OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def ensure_layout() -> Path:
    """The OCI layout's folder, with one image called ``big``. Raises: AptFailed."""
    kept = CACHE / "big-image"
    if (kept / "index.json").exists():
        return kept
    print(f"bench: making an image of Debian {SUITE}'s packages in {CACHE} (once, some minutes)", flush=True)
    shutil.rmtree(kept, ignore_errors=True)
    blobs = kept / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    layers = [_layer(packages) for packages in _LAYERS]
    layers.append(_tar_of({"etc/motd": b"the eighth layer\n"}))
    config = image_config(layers, {"Cmd": ["/bin/bash"]})
    descriptors = []
    for layer in layers:
        packed = gzip.compress(layer, 6, mtime=0)
        descriptors.append({
            "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": _keep(blobs, packed), "size": len(packed),
        })  # fmt: skip
    manifest = to_json({
        "schemaVersion": 2, "mediaType": _OCI_MANIFEST, "layers": descriptors,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": _keep(blobs, config), "size": len(config)},
    })  # fmt: skip
    index = {
        "schemaVersion": 2, "mediaType": OCI_INDEX,
        "manifests": [{"mediaType": _OCI_MANIFEST, "digest": _keep(blobs, manifest), "size": len(manifest),
                       "annotations": {"org.opencontainers.image.ref.name": "big"}}],
    }  # fmt: skip
    (kept / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
    (kept / "index.json").write_text(json.dumps(index))
    return kept


def _keep(blobs: Path, content: bytes) -> str:
    name = digest(content)
    (blobs / name.removeprefix("sha256:")).write_bytes(content)
    return name


def _layer(packages: list[str]) -> bytes:
    with tempfile.TemporaryDirectory(prefix="big", dir=CACHE) as folder:
        root = Path(folder) / "root"
        for name in ("bin", "sbin", "lib", "lib64"):
            (root / "usr" / name).mkdir(parents=True, exist_ok=True)
            (root / name).symlink_to(f"usr/{name}")
        PrivateApt(CACHE / "apt", SUITE).unpack(packages, root, with_dependencies=True)
        parts: list[bytes] = []
        write_rootfs([str(root)], lambda piece: parts.append(bytes(piece)))
        return b"".join(parts)


def _tar_of(files: dict[str, bytes]) -> bytes:
    return layer_tar(Entry(name, content) for name, content in files.items())


if __name__ == "__main__":
    print(ensure_layout())
