"""``Hub``: the registry that has them, as a mirror of docker.io."""

from __future__ import annotations

import mmap
import re
from pathlib import Path

from berth.images import hello
from harness.hub.recipes import RECIPES
from harness.hub.rootfs import Layer, ensure_base, ensure_layer
from harness.images import (
    CREATED,
    HOST_ARCH,
    OCI_MANIFEST,
    Entry,
    OciImage,
    busybox_image,
    digest,
    layer_tar,
    oci_image,
    to_json,
)
from harness.registry import StandIn

_TAG = re.compile(r"(latest|stable|mainline|lts|current|[vV]?\d[\w.]*|[a-z]+)(-(\d[\w.]*|[a-z]+\d*))*")
"""What a tutorial may write behind the colon."""


class Hub(StandIn):
    """docker.io's library as far as it was offered. ``hub.url`` is what ``--registry-mirror`` wants."""

    def offer(self, *names: str) -> None:
        """Make these images (the first time takes a while) and serve them. Raises: KeyError, BuildFailed."""
        for name in names:
            if ("library/" + name, "latest") not in self.manifests:
                self.add("library/" + name, "latest", _image(name))

    def find(self, name: str, reference: str) -> tuple[bytes, str] | None:
        """Any tag that looks like a version or a variant is the one image of its name."""
        found = super().find(name, reference)
        if found is None and _TAG.fullmatch(reference):
            return super().find(name, "latest")
        return found


def _image(name: str) -> OciImage:
    if name == "busybox":
        return busybox_image()
    if name == "hello-world":
        return oci_image([layer_tar([Entry("hello", hello.program(HOST_ARCH), 0o755)])], {"Cmd": ["/hello"]})
    recipe = RECIPES[name]
    base = ensure_base()
    own = ensure_layer(name, recipe, base)
    return _assemble([base.layer, *([own] if own is not None else [])], dict(recipe.config))


def _assemble(layers: list[Layer], settings: dict[str, object]) -> OciImage:
    config = to_json({
        "architecture": HOST_ARCH, "os": "linux", "created": CREATED, "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{"created": CREATED, "created_by": f"packages of Debian, layer {n}"} for n in range(len(layers))],
    })  # fmt: skip
    manifest = to_json({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(config), "size": len(config)},
        "layers": [
            {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": layer.digest, "size": layer.size}
            for layer in layers
        ],
    })  # fmt: skip
    blobs = {layer.digest: _mapped(layer.path) for layer in layers}
    return OciImage(manifest, OCI_MANIFEST, {**blobs, digest(config): config}, digest(config))


def _mapped(path: Path) -> bytes:
    """A file's bytes, read from the disk when they are sent."""
    with open(path, "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)  # type: ignore[return-value]
