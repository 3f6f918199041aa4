"""``commit``: what a container changed becomes a layer over its image, and both an image."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, NamedTuple

from berth.base.errors import from_oserror
from berth.base.ids import new_id
from berth.content.leases import Lease
from berth.engine.images.stores import Stores
from berth.images.store import Image, StoredManifest
from berth.snapshots.archive import write_layer
from berth.snapshots.diff import write_diff
from berth.spec.digest import chain_ids, digest_of
from berth.spec.reference import Reference

_PLATFORM = ("architecture", "os", "variant", "os.version", "os.features")


class Commit(NamedTuple):
    """What the new image says of itself. ``created_by``: the container's command."""

    config: dict[str, Any]
    created_by: str
    author: str
    comment: str


async def commit(stores: Stores, container_id: str, parent: Image, made: Commit, name: Reference | None) -> Image:
    """Raises: NotFound (the container's layer is gone), ResourceExhausted."""
    lease = await stores.call(stores.leases.acquire, f"commit {new_id()[:16]}")
    try:
        blob = await stores.call(_store_layer, stores, container_id, parent.chain_id, lease)
        diff_ids = [*parent.diff_ids, blob]  # stored as it is, so that the digest is the diff id
        chain = chain_ids(diff_ids)[-1]
        await stores.call(lease.hold, "snapshot", chain)
        if stores.snapshots.find(chain) is None:
            await stores.unpacker.unpack(blob, parent.chain_id, chain, blob)
        document = json.dumps(await stores.call(_document, stores, parent, made, diff_ids)).encode()
        await stores.call(lease.hold, "blob", digest_of(document))
        await stores.call(stores.blobs.put, document, "")
        layers = (*parent.manifests[0].layers, blob)
        names = [name] if name is not None else []
        image = await stores.record(
            digest_of(document), StoredManifest("", "", 0, layers), names, tagged=bool(names), parent=parent.id
        )
    finally:
        await stores.call(lease.release)
        await stores.collect()
    stores.announce("create", image)
    if name is not None:
        stores.announce("tag", image, name.familiar)
    return image


def _store_layer(stores: Stores, container_id: str, chain_id: str, lease: Lease) -> str:
    """The container's layer as a blob; its digest."""
    upper = stores.snapshots.rootfs(container_id)["upper"]
    worn = stores.snapshots.worn(container_id)
    shift = worn.reverse if worn else None
    ingest = stores.blobs.ingest()
    try:
        if stores.snapshots.flat:
            write_diff(stores.snapshots.lower(chain_id)[0], upper, ingest.write, shift)
        else:
            write_layer(upper, ingest.write, shift)
        digest = ingest.actual_digest()
        lease.hold("blob", digest)
        if stores.blobs.find(digest) is None:
            ingest.commit()
    except OSError as err:
        raise from_oserror(err, f"read the layer of container {container_id[:12]}") from err
    finally:
        ingest.abandon()
    return digest


def _document(stores: Stores, parent: Image, made: Commit, diff_ids: list[str]) -> dict[str, Any]:
    known = stores.read_config(parent.id).document
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    history = known.get("history")
    step = {"created": created, "created_by": made.created_by, "author": made.author, "comment": made.comment}
    document: dict[str, Any] = {key: known[key] for key in _PLATFORM if key in known}
    return {
        **document, "created": created, **({"author": made.author} if made.author else {}), "config": made.config,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [*(history if isinstance(history, list) else []), {key: text for key, text in step.items() if text}],
    }  # fmt: skip
