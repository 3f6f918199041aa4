"""Layers outlive the machine's death: by being on the disk, or by being made again from their blobs.

    blob    synced before it has a name          what was acknowledged is at least here
    image   durable when its pull or load ends   after the blobs' names are on the disk
    layer   written back by the kernel           its row says by which boot of the machine, until ``LayerSync`` saw it on the disk

A sync of a file system takes as long as the disk needs for what was just unpacked, which a pull should not wait for. So it comes
later, once for all, when the kernel has written most of it anyway; a layer whose machine died before that is not believed at the
next start, but unpacked again.
"""

from __future__ import annotations

import asyncio
import logging

from berth.base.errors import BerthError
from berth.content.blobs import BlobStore
from berth.images.store import Image, ImageStore
from berth.images.unpack import unpack_layer
from berth.snapshots.apply import Limits
from berth.snapshots.overlay import Snapshots

log = logging.getLogger("berth.images")

SYNC_AFTER_S = 35.0
"""The kernel writes back what is older than 30 s (vm.dirty_expire_centisecs)."""


class LayerSync:
    """Syncs layers some time after the last of a burst was made; on a thread of its own, for it may take seconds."""

    def __init__(self, snapshots: Snapshots, after_s: float = SYNC_AFTER_S) -> None:
        self._snapshots = snapshots
        self._after_s = after_s
        self._timer: asyncio.TimerHandle | None = None
        self._running: asyncio.Task[None] | None = None

    def soon(self) -> None:
        """There are layers that may not be on the disk."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._after_s, self._begin)

    def _begin(self) -> None:
        self._timer = None
        if self._running is not None and not self._running.done():
            self.soon()
            return
        self._running = asyncio.ensure_future(self._sync())

    async def _sync(self) -> None:
        try:
            await asyncio.to_thread(self._snapshots.sync)
        except BerthError as err:
            log.warning("%s: tried again later", err)
            self.soon()

    async def close(self) -> None:
        """What waits stays in doubt: the next daemon syncs it, unless the machine ends before, and then makes it again."""
        if self._running is not None:
            await asyncio.gather(self._running, return_exceptions=True)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def restore(blobs: BlobStore, snapshots: Snapshots, images: ImageStore) -> None:
    """Make again, from their blobs, the layers of images that are missing or in doubt (blocking; at the start)."""
    doubtful = snapshots.doubtful()
    for image in images.all():
        if all(snapshots.find(chain) is not None and chain not in doubtful for chain in image.chains()):
            continue
        try:
            _restore(image, doubtful, blobs, snapshots)
        except (BerthError, ValueError) as err:
            log.error("image %s lacks a layer that cannot be made again: %s", image.id, err)
    if left := snapshots.doubtful():
        log.warning("%d layers of removed images may not be whole: the machine died before they were synced", len(left))


def _restore(image: Image, doubtful: set[str], blobs: BlobStore, snapshots: Snapshots) -> None:
    parent = ""
    for chain, diff_id, blob in zip(image.chains(), image.diff_ids, image.manifests[0].layers, strict=True):
        if chain in doubtful or snapshots.find(chain) is None:
            blobs.get(blob)
            snapshots.forget_layer(chain)
            unpack_layer(blobs, snapshots, blob, parent, chain, diff_id, Limits())
            doubtful.discard(chain)
            log.info("layer %s of image %s was made again from its blob", chain, image.id)
        parent = chain
