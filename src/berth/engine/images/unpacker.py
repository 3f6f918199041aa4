"""``Unpacker``: layers from blobs to snapshots, several at once, also while their bytes still come.

    job = unpacker.begin(ingest, size, report)     from here on it works off what the ingest's file gets
    job.advance()                                  the file has grown
    await job.commit(parent, chain, diff_id)       once the blob is verified, bottom up: waits for the end, records it
    await job.abandon()                            whatever happens; after commit it does nothing

A layer is applied without those below it (directories that it only passes through are dressed at commit), so jobs need not
wait for each other; only those of a flat snapshotter do. Large layers go to children of the unpack program
(``snapshots/unpacker.py``), small ones to a thread.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from berth.base.errors import InvalidArgument, TooLarge, from_oserror
from berth.base.threads import run_to_end
from berth.engine.images.unpack_program import UnpackProgram
from berth.images.unpack import check_diff_id, refusal, unpack_layer

if TYPE_CHECKING:
    from berth.content.blobs import BlobStore
    from berth.content.ingest import Ingest
    from berth.snapshots.apply import Applied, Limits
    from berth.snapshots.overlay import Draft, Snapshots

T = TypeVar("T")
Report = Callable[[int], None]
"""Is told how many bytes of the compressed layer were worked off, on the event loop."""

_SMALL = 2 << 20
"""Bytes of a blob up to which a thread is quicker than asking a process."""


class Unpacker:
    def __init__(self, blobs: BlobStore, snapshots: Snapshots, limits: Limits, threads: ThreadPoolExecutor) -> None:
        self._blobs = blobs
        self._snapshots = snapshots
        self._limits = limits
        self._threads = threads
        self._program = UnpackProgram()
        self._turns = asyncio.Semaphore(2 + (os.cpu_count() or 1))

    def begin(self, ingest: Ingest, size: int, report: Report | None = None) -> Unpacking:
        """Work off a blob of known digest while it arrives. Raises: OSError's kinds."""
        if size <= _SMALL or self._snapshots.flat:
            return Unpacking(self, ingest.digest or "", -1, size, report)
        return Unpacking(self, ingest.digest or "", ingest.open_bytes(), size, report)

    def begin_stored(self, blob: str, report: Report | None = None) -> Unpacking:
        """As ``begin``, for a blob that is in the store. Raises: NotFound, OSError's kinds."""
        size = self._blobs.get(blob).size
        if size <= _SMALL or self._snapshots.flat:
            return Unpacking(self, blob, -1, size, report)
        try:
            data_fd = os.open(self._blobs.path(blob), os.O_RDONLY | os.O_CLOEXEC)
        except OSError as err:
            raise from_oserror(err, f"read blob {blob}") from err
        return Unpacking(self, blob, data_fd, size, report)

    async def unpack(self, blob: str, parent: str, chain: str, diff_id: str, report: Report | None = None) -> None:
        """A blob of the store becomes the snapshot ``chain``. Raises: as ``Unpacking.commit``."""
        job = self.begin_stored(blob, report)
        try:
            await job.commit(parent, chain, diff_id)
        finally:
            await job.abandon()

    async def unpack_all(self, layers: Sequence[tuple[str, str, str]]) -> None:
        """A stack of stored blobs, bottom first: (blob, chain, diff id) each; those that are here already are passed over.

        Raises: as ``Unpacking.commit``.
        """
        jobs = {
            chain: self.begin_stored(blob) for blob, chain, _ in layers if self._snapshots.find(chain) is None
        }  # fmt: skip
        try:
            parent = ""
            for _, chain, diff_id in layers:
                if chain in jobs:
                    await jobs[chain].commit(parent, chain, diff_id)
                parent = chain
        finally:
            for job in jobs.values():
                await job.abandon()

    def close(self) -> None:
        self._program.close()

    async def call(self, work: Callable[..., T], *args: Any, undo: Callable[[T], None] | None = None) -> T:
        return await run_to_end(self._threads, work, *args, undo=undo)


class Unpacking:
    """One layer on its way from bytes to a snapshot. ``data_fd`` (owned) is -1 for one that a thread will do."""

    def __init__(self, unpacker: Unpacker, blob: str, data_fd: int, size: int, report: Report | None) -> None:
        self._unpacker = unpacker
        self._blob = blob
        self._size = size
        self._report = report
        self._draft: Draft | None = None
        self._event_fd = -1
        self._task: asyncio.Task[Applied] | None = None
        if data_fd >= 0:
            self._event_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            self._task = asyncio.ensure_future(self._apply(data_fd))
            self._task.add_done_callback(lambda task: task.cancelled() or task.exception())  # commit tells it

    def advance(self, _offset: int = 0) -> None:
        """More bytes are in the file."""
        if self._event_fd >= 0:
            os.eventfd_write(self._event_fd, 1)

    async def commit(self, parent: str, chain: str, diff_id: str) -> None:
        """The layer is the snapshot ``chain`` over the chain ``parent`` when this returns. After: the blob is verified.

        Raises: DataLoss when it is not the layer that the config names, InvalidArgument or TooLarge for a hostile one.
        """
        owner = self._unpacker
        if self._task is None:
            await owner.call(
                unpack_layer, owner._blobs, owner._snapshots, self._blob, parent, chain, diff_id, owner._limits
            )
            return
        self.advance()
        applied = await self._task
        check_diff_id(self._blob, applied, diff_id)
        draft, self._draft = self._draft, None
        assert draft is not None
        await owner.call(owner._snapshots.commit, draft, parent, chain, applied)

    async def abandon(self) -> None:
        """Stop, and take away what is there. After ``commit``: nothing is left to do."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._event_fd >= 0:
            os.close(self._event_fd)
            self._event_fd = -1
        if self._draft is not None:
            draft, self._draft = self._draft, None
            await self._unpacker.call(self._unpacker._snapshots.abandon, draft)

    async def _apply(self, data_fd: int) -> Applied:
        owner = self._unpacker
        try:
            async with owner._turns:
                self._draft = draft = await owner.call(owner._snapshots.draft, undo=owner._snapshots.abandon)
                return await owner._program.apply(
                    draft.path, owner._limits, data_fd, self._event_fd, self._size, self._report
                )
        except (InvalidArgument, TooLarge) as err:
            raise refusal(self._blob, err) from err
        finally:
            os.close(data_fd)
