"""The stores that the verbs share, and what they all do at their end: record an image."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol, TypeVar

from berth.base import failpoints
from berth.base.clock import now_ns
from berth.base.locks import KeyedLocks
from berth.base.threads import run_to_end
from berth.content.blobs import BlobStore
from berth.content.collector import Collector
from berth.content.leases import Leases
from berth.engine.images.durable import LayerSync
from berth.engine.images.settings import ImageSettings
from berth.engine.images.unpacker import Unpacker
from berth.images.documents import Config, parse_config
from berth.images.store import Image, ImageStore, StoredManifest
from berth.registry.client import RegistryClient
from berth.snapshots.apply import Limits
from berth.snapshots.overlay import Snapshots
from berth.spec.digest import chain_ids
from berth.spec.image import MAX_MANIFEST
from berth.spec.reference import Reference

T = TypeVar("T")
Progress = Callable[[dict[str, Any]], None]


class Publish(Protocol):
    """Publishes an event: ``publish("image", "pull", "busybox:latest", {"name": "busybox"})``."""

    def __call__(self, type_: str, action: str, actor_id: str, attributes: Mapping[str, str], /) -> None: ...


class Stores(NamedTuple):
    """What a verb needs. ``change`` is held by whoever changes names or images: one at a time."""

    settings: ImageSettings
    leases: Leases
    blobs: BlobStore
    snapshots: Snapshots
    images: ImageStore
    collector: Collector
    registry: RegistryClient
    publish: Publish
    threads: ThreadPoolExecutor
    change: asyncio.Lock
    unpacker: Unpacker
    layer_sync: LayerSync
    fetching: KeyedLocks

    @property
    def limits(self) -> Limits:
        return Limits(self.settings.max_layer_bytes, self.settings.max_layer_entries)

    async def call(self, work: Callable[..., T], *args: Any, undo: Callable[[T], None] | None = None) -> T:
        """Run plain code on this package's threads, to its end also for a caller that is cancelled (``run_to_end``)."""
        return await run_to_end(self.threads, work, *args, undo=undo)

    def read_config(self, digest: str) -> Config:
        return parse_config(self.blobs.read(digest, MAX_MANIFEST))

    async def record(
        self, config_digest: str, manifest: StoredManifest, names: list[Reference], *, target: str = "",
        extra: tuple[str, ...] = (), tagged: bool = False, parent: str = "",
    ) -> Image:  # fmt: skip
        """The image exists and has these names when this returns (durable). After: its layers are unpacked.

        ``target``: the digest of what the names were resolved to, an index or the manifest itself; images of one target are
        kept side by side, by platform. ``extra``: more blobs to keep as long as the image. ``tagged``: somebody gave it the
        names by hand. ``parent``: the image that it was made from here.
        """
        config = await self.call(self.read_config, config_digest)
        chains = chain_ids(list(config.diff_ids))
        chain_id = chains[-1] if chains else ""
        image = Image(
            id=config_digest, created_ns=now_ns(), manifests=(manifest,), diff_ids=config.diff_ids, chain_id=chain_id,
            size=sum(self.snapshots.sizes(chain_id)), tagged_ns=now_ns() if tagged else 0,
            created_s=created_s(config.document.get("created")),
            labels=dict(config.config.get("Labels") or {}), platform=str(config.platform), extra=extra, parent=parent,
        )  # fmt: skip
        async with self.change:
            await self.call(self.blobs.sync)
            failpoints.hit("images.before_record")
            await self.call(self.images.put, image, names, target)
        failpoints.hit("images.recorded")
        self.layer_sync.soon()
        return image

    def announce(self, action: str, image: Image, name: str = "", actor: str = "") -> None:
        """An event about ``image``, with its labels: filters ask for them. ``name`` and ``actor`` are its id unless given."""
        self.publish("image", action, actor or image.id, {**image.labels, "name": name or image.id})

    def disk_bytes(self) -> int:
        """What all images take on the disk, as blobs and as layers (blocking)."""
        return self.blobs.disk_bytes() + self.snapshots.disk_of_layers()

    async def collect(self) -> None:
        """Take away what nobody stands on any more."""
        await self.call(self.collector.collect)


def created_s(text: object) -> int:
    """A config's ``created`` in seconds; 0 for none and for nonsense."""
    if not isinstance(text, str):
        return 0
    try:
        head, _, tail = text.partition(".")
        moment = datetime.fromisoformat(head + tail.lstrip("0123456789"))
        return max(0, int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()))
    except (ValueError, OverflowError):
        return 0
