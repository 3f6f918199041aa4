"""One blob from a repository into the store, verified while it is written, unpacked while it comes.

A line that breaks is taken up where it stopped, by this try or, since a failed pull's lease stays for a day, by the next one:
also after the daemon was killed. Tries that got further don't count: only ``max_download_attempts`` fruitless ones in a row
end it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from berth.base.errors import DataLoss
from berth.engine.images.stores import Progress, Stores
from berth.registry.client import Repository
from berth.registry.transport import Unreachable
from berth.spec.progress import progress_text

if TYPE_CHECKING:
    from berth.content.ingest import Ingest
    from berth.engine.images.unpacker import Unpacking
    from berth.images.documents import Descriptor
    from berth.registry.hosts import Endpoint

log = logging.getLogger("berth.pull")

_REPORT_EVERY_S = 0.1
_MAX_TRIES = 1000


def short(digest: str) -> str:
    """How progress names a layer."""
    return digest.partition(":")[2][:12]


class Throttle:
    """Lets a message through every tenth of a second: a terminal shows no more, and a fast line makes thousands."""

    def __init__(self, progress: Progress | None, status: str, blob: Descriptor) -> None:
        self._progress, self._status, self._blob = progress, status, blob
        self._due = 0.0

    def __call__(self, current: int) -> None:
        now = time.monotonic()
        if self._progress is None or now < self._due:
            return
        self._due = now + _REPORT_EVERY_S
        detail, text = {"current": current, "total": self._blob.size}, progress_text(current, self._blob.size)
        self._progress(
            {"status": self._status, "progressDetail": detail, "progress": text, "id": short(self._blob.digest)}
        )


class Fetch:
    """``unpack``: begins unpacking from the ingest's file (``Unpacker.begin``), None for what is no layer."""

    def __init__(
        self, stores: Stores, repository: Repository, blob: Descriptor, progress: Progress | None,
        unpack: Callable[[Ingest], Unpacking] | None = None,
    ) -> None:  # fmt: skip
        self._stores, self._repository, self._blob = stores, repository, blob
        self._say = progress or (lambda message: None)
        self._report = Throttle(progress, "Downloading", blob)
        self._unpack = unpack
        self._senders: set[Endpoint] = set()
        self.unpacking: Unpacking | None = None
        """What was begun, for the caller to commit or abandon."""

    async def run(self) -> None:
        """The blob is in the store and verified when this returns. Raises: Unreachable, DataLoss, the registry's refusals."""
        async with self._stores.fetching.hold(self._blob.digest):  # two pulls of one blob: the second finds it done
            if self._stores.blobs.find(self._blob.digest) is not None:
                return
            ingest = await self._open()
            try:
                await self._fill(ingest)
                self._tell("Verifying Checksum")
                await self._stores.call(ingest.commit, self._blob.media_type)
            except DataLoss:
                ingest.abandon()
                if not any(server.is_mirror for server in self._senders):
                    raise
                for server in self._senders:  # whoever of the mirrors it was: the registry itself is asked now
                    self._repository.distrust(server)
                await self._again()
            finally:
                ingest.close()
        self._tell("Download complete")

    async def _open(self) -> Ingest:
        blobs, blob = self._stores.blobs, self._blob
        return await self._stores.call(blobs.ingest, blob.digest, blob.size, undo=lambda ingest: ingest.close())

    async def _again(self) -> None:
        await self._stop_unpacking()
        ingest = await self._open()
        try:
            await self._fill(ingest)
            await self._stores.call(ingest.commit, self._blob.media_type)
        except DataLoss:
            ingest.abandon()
            raise
        finally:
            ingest.close()

    def _tell(self, status: str) -> None:
        self._say({"status": status, "progressDetail": {}, "id": short(self._blob.digest)})

    async def _fill(self, ingest: Ingest) -> None:
        """All bytes are in the ingest when this returns."""
        fruitless = 0
        for _ in range(_MAX_TRIES):
            before = ingest.offset
            try:
                await self._transfer(ingest)
                return
            except Unreachable as err:
                fruitless = 0 if ingest.offset > before else fruitless + 1
                if fruitless >= self._stores.settings.max_download_attempts:
                    raise
                log.info("blob %s broke off at %d: %s", self._blob.digest, ingest.offset, err)
                seconds = max(1, fruitless)
                self._tell(f"Retrying in {seconds} second{'s' if seconds > 1 else ''}")
                await asyncio.sleep(random.uniform(0.05, 0.25) + fruitless * random.uniform(0.5, 1.0))
        raise Unreachable(f"blob {self._blob.digest} broke off {_MAX_TRIES} times", started=True)

    async def _transfer(self, ingest: Ingest) -> None:
        blob = self._blob
        if ingest.offset >= blob.size:
            return
        async with self._repository.blob(blob.digest, ingest.offset) as stream:
            self._senders.add(stream.server)
            if stream.size_bytes not in (None, blob.size):
                raise DataLoss(
                    f"blob {blob.digest} has {stream.size_bytes} bytes at the registry, its manifest names {blob.size}"
                )
            if stream.offset != ingest.offset:
                await self._stop_unpacking()
                await self._stores.call(ingest.restart)
            if self._unpack is not None and self.unpacking is None:
                self.unpacking = self._unpack(ingest)
            async for chunk in stream.chunks:
                await self._stores.call(ingest.write, chunk)
                if self.unpacking is not None:
                    self.unpacking.advance()
                self._report(ingest.offset)
        if ingest.offset < blob.size:
            raise Unreachable(f"blob {blob.digest} ended after {ingest.offset} of {blob.size} bytes", started=True)

    async def _stop_unpacking(self) -> None:
        """What was unpacked so far came of bytes that don't count any more."""
        if self.unpacking is not None:
            await self.unpacking.abandon()
            self.unpacking = None
