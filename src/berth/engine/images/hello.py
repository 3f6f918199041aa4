"""hello-world where Docker Hub cannot be reached: the daemon builds the image itself, and says so."""

from __future__ import annotations

import platform

from berth.base.errors import Unavailable
from berth.engine.images.stores import Progress, Stores
from berth.images import compose, hello
from berth.images.store import StoredManifest
from berth.images.unpack import unpack_layer
from berth.spec.digest import chain_ids, digest_of
from berth.spec.image import DOCKER_MANIFEST
from berth.spec.reference import Reference

HELLO = hello.NAME
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


async def install_hello(stores: Stores, ref: Reference, why: str, progress: Progress) -> None:
    """Build, unpack and name the image. Raises: Unavailable with the registry's failure where it cannot be built."""
    architecture = _ARCHITECTURES.get(platform.machine())
    if architecture is None:
        raise Unavailable(why)
    progress({"status": f"Docker Hub cannot be reached ({why})"})
    progress({"status": f"Using the hello-world image that Berth builds itself, for {ref.familiar}"})
    lease = await stores.call(stores.leases.acquire, "hello-world")
    config, layer = hello.build(architecture)
    diff_id = digest_of(layer)
    chain = chain_ids([diff_id])[0]
    document = compose.manifest(digest_of(config), len(config), [(diff_id, len(layer))])
    digests = (digest_of(config), diff_id, digest_of(document))

    def store() -> None:
        lease.hold("blob", *digests)
        lease.hold("snapshot", chain)
        for content in (config, layer, document):
            stores.blobs.put(content, "")
        if stores.snapshots.find(chain) is None:
            unpack_layer(stores.blobs, stores.snapshots, diff_id, "", chain, diff_id, stores.limits)

    await stores.call(store)
    manifest = StoredManifest(digests[2], DOCKER_MANIFEST, len(document), (diff_id,))
    await stores.record(digests[0], manifest, [ref, ref.with_digest(digests[2])])
    await stores.call(lease.release)
    progress({"status": f"Digest: {digests[2]}"})
    progress({"status": f"Status: Downloaded newer image for {ref.familiar}"})
    stores.publish("image", "pull", ref.familiar, {"name": ref.familiar_name})
