"""``ImageService``: what the API and the containers' verbs ask of images."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

from berth.base.errors import InvalidArgument, NotFound
from berth.base.ids import is_hex
from berth.base.locks import KeyedLocks
from berth.content.blobs import BlobStore
from berth.content.collector import Collector, Roots
from berth.content.leases import Leases
from berth.content.trash import Trash
from berth.engine.images import commit, load, prune, pull, push, remove, render, save
from berth.engine.images.commit import Commit
from berth.engine.images.download import download, normal_url
from berth.engine.images.durable import LayerSync, restore
from berth.engine.images.manifests import describe, render_manifests
from berth.engine.images.record import ImageRecord, PreparedRootfs
from berth.engine.images.registries import RegistryService
from berth.engine.images.settings import ImageSettings
from berth.engine.images.stores import Progress, Publish, Stores
from berth.engine.images.unpacker import Unpacker
from berth.images.store import Image, ImageStore, Named
from berth.kernel.process import give_back_free_memory
from berth.registry.client import RegistryClient
from berth.snapshots.apply import Limits
from berth.snapshots.changes import Change
from berth.snapshots.choose import open_snapshots
from berth.snapshots.shift import Shift
from berth.spec import messages
from berth.spec.moment import parse_moment_ns
from berth.spec.platform import parse_platform
from berth.spec.reference import Reference, check_tag, parse_any, parse_reference

if TYPE_CHECKING:
    from berth.base.layout import Layout
    from berth.db.database import Database
    from berth.spec.api.images import ImageDeleteResponseItem, ImageHistoryResponseItem, ImageInspect, ImageSummary
    from berth.spec.shim import OverlayRootfs

Filters = Mapping[str, list[str]]
_THREADS = 4


class Users(Protocol):
    """Says which containers use an image: (container id, whether it runs)."""

    def __call__(self, image_id: str, /) -> list[tuple[str, bool]]: ...


class ImageService:
    def __init__(self, layout: Layout, db: Database, settings: ImageSettings, publish: Publish, users: Users) -> None:
        trash = Trash(layout.trash_images)
        leases = Leases(db)
        blobs = BlobStore(layout.content, db, leases, trash)
        snapshots = open_snapshots(layout.snapshots, db, trash, settings.storage_driver)
        images = ImageStore(db)
        self._db = db
        self._trash = trash
        self._users = users
        self._records: dict[str, ImageRecord] = {}
        self._records_version = -1
        self._collecting: asyncio.Future[None] | None = None
        threads = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="images")
        limits = Limits(settings.max_layer_bytes, settings.max_layer_entries)
        self._stores = Stores(
            settings, leases, blobs, snapshots, images,
            Collector(db, leases, blobs, snapshots, trash, lambda: Roots(images.blob_roots(), images.chain_roots())),
            RegistryClient(settings.registries), publish,
            threads, asyncio.Lock(), Unpacker(blobs, snapshots, limits, threads),
            LayerSync(snapshots), KeyedLocks(),
        )  # fmt: skip

    async def open(self) -> None:
        """Open the stores and put right what an earlier life left half-made. After: the database is open."""

        def start() -> None:
            self._trash.open()
            self._stores.leases.open()
            self._stores.blobs.open()
            self._stores.snapshots.open()
            self._stores.images.open()
            restore(self._stores.blobs, self._stores.snapshots, self._stores.images)

        await self._stores.call(start)
        self._stores.layer_sync.soon()

    def reload(self, settings: ImageSettings) -> None:
        """New settings, for what begins after this."""
        self._stores.registry.reload(settings.registries)
        self._stores = self._stores._replace(settings=settings)

    async def close(self) -> None:
        """End pulls under way and the threads; deferred deletion goes on at the next start."""
        await self._stores.registry.close()
        self._stores.unpacker.close()
        await self._stores.layer_sync.close()
        self._stores.threads.shutdown(wait=True)
        self._trash.close()

    async def drain(self) -> None:
        """Returns when deferred work (collecting, deleting what is in the trash) is done: for tests and prune."""
        await self._stores.collect()
        await self._stores.call(self._trash.drain)

    # --- for containers: memory only, no waiting

    def _find(self, ref: str) -> tuple[Image, Reference | None]:
        """The image, and the name that it was asked for by. Raises: NotFound, InvalidArgument."""
        images = self._stores.images
        if is_hex(ref.removeprefix("sha256:")):
            image_id = images.search(ref)
            named = images.find_name(parse_reference(ref)) if len(ref) < 64 and ":" not in ref else None
            chosen = images.find(named or image_id or "")
            if chosen is not None:
                return chosen, parse_reference(ref) if named else None
            if ref.startswith("sha256:") or len(ref) == 64:
                raise NotFound(messages.no_such_image(ref))
        parsed = parse_any(ref)
        if isinstance(parsed, str):
            raise NotFound(messages.no_such_image(ref))
        found = images.find(images.find_name(parsed) or "")
        if found is None:
            raise NotFound(messages.no_such_image(parsed.tagged().familiar))
        return found, parsed

    async def resolve(self, ref: str, platform: str | None = None) -> ImageRecord:
        """The image that ``ref`` (name, id, id prefix, name@digest) means. Under 50 µs.

        ``platform`` chooses between the images of a name that has it for several; one that it hasn't is the caller's to find
        out (the record says for what it is).

        Raises: NotFound (Docker's ``No such image: foo:latest``), InvalidArgument (``invalid reference format``).
        """
        if self._records_version != self._stores.images.version:
            self._records.clear()
            self._records_version = self._stores.images.version
        key = f"{ref} {platform}" if platform else ref
        record = self._records.get(key)
        if record is None:
            image, name = self._find(ref)
            if platform and name is not None:
                image = self._stores.images.find(self._variant(name, platform)) or image
            config = await self._stores.call(self._stores.read_config, image.id)
            tags, _ = render.tags_and_digests(self._stores, image.id)
            shown = name.tagged().familiar if name is not None else image.id
            record = ImageRecord(
                image.id, config.config, config.document, image.chain_id, tuple(tags), shown, describe(image)
            )
            self._records[key] = record
        return record

    def _variant(self, name: Reference, platform: str) -> str:
        return self._stores.images.find_name(name, parse_platform(platform)) or ""

    def lower_dirs(self, image: ImageRecord) -> list[str]:
        """The image's layers as directories, top first, with the layer of empty mount targets last."""
        return list(self._stores.snapshots.lower(image.chain_id))

    async def shifted_dirs(self, image_id: str, shift: Shift) -> list[str]:
        """As ``lower_dirs``, of copies whose owners went through ``shift``. Raises: NotFound, ResourceExhausted."""
        image, _ = self._find(image_id)
        return await self._stores.call(self._stores.snapshots.shifted_lower, image.chain_id, shift)

    def descendants(self, ref: str) -> list[str]:
        """Ids of the images that ``ref`` means or that are built on it. A name that means nothing has none."""
        try:
            image, _ = self._find(ref)
        except (NotFound, InvalidArgument):
            return []
        base = image.chain_id
        return [i.id for i in self._stores.images.all() if i.id == image.id or (base and base in i.chains())]

    def prepare_rootfs(
        self, container_id: str, image: ImageRecord, *, volatile: bool = False, size_bytes: int = 0
    ) -> PreparedRootfs:
        """Make a new container's writable layer over ``image``. Plain and fast (two mkdirs).

        The caller runs ``.row(connection)`` in the transaction that records the container; until then a restart of the
        daemon takes the directories away again.
        Raises: NotFound when the image was removed meanwhile.
        """
        prepare = self._stores.snapshots.prepare
        return PreparedRootfs(*prepare(container_id, image.chain_id, volatile=volatile, size_bytes=size_bytes))

    async def make_rootfs(
        self, container_id: str, image: ImageRecord, *, volatile: bool = False, size_bytes: int = 0
    ) -> PreparedRootfs:
        """As ``prepare_rootfs``; on a thread where the snapshotter copies, which takes a while."""
        if not self._stores.snapshots.flat:
            return self.prepare_rootfs(container_id, image, volatile=volatile, size_bytes=size_bytes)
        return await self._stores.call(
            lambda: self.prepare_rootfs(container_id, image, volatile=volatile, size_bytes=size_bytes)
        )

    @property
    def quotas(self) -> bool:
        """Whether ``size_bytes`` of a root filesystem can be kept."""
        return self._stores.snapshots.quotas

    def rootfs(self, container_id: str, *, volatile: bool = False) -> OverlayRootfs:
        """The root filesystem that was prepared before. Raises: NotFound."""
        return self._stores.snapshots.rootfs(container_id, volatile=volatile)

    async def wear(self, container_id: str, shift: Shift | None) -> None:
        """Files of a container that does not run get the ids of a map, or the image's; at once where they have them.

        Raises: NotFound, ResourceExhausted.
        """
        if shift is not None or self.worn(container_id) is not None:
            await self._stores.call(self._stores.snapshots.wear, container_id, shift)

    def worn(self, container_id: str) -> Shift | None:
        """The map through which the files on the disk got their ids. Raises: NotFound."""
        return self._stores.snapshots.worn(container_id)

    def changes(self, container_id: str) -> list[Change]:
        """What a container changed in its root filesystem, sorted by path (blocking). Raises: NotFound."""
        return self._stores.snapshots.changes(container_id)

    def remove_rootfs(self, container_id: str) -> Callable[[sqlite3.Connection], None]:
        """Take the container's writable layer away (renamed to the trash at once, deleted in the background).

        Returns what deletes its row, to be run in the caller's transaction. Nothing to remove is not an error.
        After: the overlay is unmounted.
        """
        chain = self._stores.snapshots.parent_of(container_id)
        forget = self._stores.snapshots.remove(container_id)
        if chain and not self._stores.images.has_chain(chain):  # its image went before it: now its layers may go
            self._collecting = asyncio.ensure_future(self._stores.collect())
        return forget

    def rootfs_ids(self) -> list[str]:
        """Containers that have a writable layer here (for reconcile: layers whose container is gone)."""
        return list(self._stores.snapshots.actives())

    async def rootfs_usage(self, container_id: str) -> tuple[int, int]:
        """Bytes in the writable layer, and bytes of it together with the image (SizeRw, SizeRootFs)."""
        chain = self._stores.snapshots.actives().get(container_id)
        if chain is None:
            return 0, 0
        own = await self._stores.call(self._stores.snapshots.usage, container_id)
        return own, own + sum(self._stores.snapshots.sizes(chain))

    def disk_of_containers(self) -> int:
        """Bytes that all writable layers take on the disk (blocking)."""
        snapshots = self._stores.snapshots
        total = 0
        for key in snapshots.actives():
            try:
                total += snapshots.disk_of_active(key)
            except NotFound:
                continue
        return total

    def paths(self) -> list[str]:
        """Every blob and every layer, containers' writable ones included: what ``disk_usage`` and they account for."""
        return [*self._stores.blobs.paths(), *self._stores.snapshots.paths()]

    def registries(self) -> RegistryService:
        """What registries are asked without an image coming or going."""
        return RegistryService(self._stores.registry)

    # --- the Protocol ``Images`` of api/services.py

    async def pull(self, ref: str, *, platform: str | None, auth: Mapping[str, str] | None, progress: Progress) -> None:
        try:
            await pull.pull(self._stores, ref, platform=platform, auth=auth, progress=progress)
        finally:
            await self._stores.call(give_back_free_memory)  # buffers of a gigabyte's way leave holes behind

    async def pull_all(
        self, name: str, *, platform: str | None, auth: Mapping[str, str] | None, progress: Progress
    ) -> None:
        await pull.pull_all(self._stores, name, platform=platform, auth=auth, progress=progress)

    async def push(
        self, name: str, tag: str, *, platform: str | None, auth: Mapping[str, str] | None, progress: Progress
    ) -> None:
        await push.push(self._stores, name, tag, platform=platform, auth=auth, progress=progress)

    async def import_(
        self, source: AsyncIterator[bytes], *, origin: str, repo: str | None, tag: str | None, message: str,
        changes: list[str], platform: str | None, progress: Progress,
    ) -> None:  # fmt: skip
        """``origin``: the URL to fetch, "-" for what the client sends."""
        if origin != "-":
            origin = normal_url(origin)
            progress({"status": f"Downloading from {origin}"})
            source = download(origin)
        await load.import_(
            self._stores, source, repo=repo, tag=tag, message=message or f"Imported from {origin}", changes=changes,
            platform=platform, progress=progress,
        )  # fmt: skip

    async def load(
        self, source: AsyncIterator[bytes], *, quiet: bool, platform: str | None, progress: Progress
    ) -> None:
        wanted = parse_platform(platform) if platform else None
        try:
            await load.load(self._stores, source, quiet=quiet, wanted=wanted, progress=progress)
        finally:
            await self._stores.call(give_back_free_memory)

    async def save(self, names: list[str], platform: str | None) -> AsyncIterator[bytes]:
        """The archive as a stream. Raises: NotFound before its first byte."""
        wanted = parse_platform(platform) if platform else None
        chosen = await save.plan(self._stores, names, self._find, wanted)
        return save.stream(self._stores, chosen)

    async def list_(
        self, *, all_: bool, digests: bool, filters: Filters, shared_size: bool = False, manifests: bool = False,
        containers: bool = False,
    ) -> list[ImageSummary]:  # fmt: skip
        """``all_``: with images that have no name and others built on them. ``containers``: count them; -1 else."""
        images = self._stores.images.all()
        chosen = render.choose(self._stores, filters, lambda ref: self._find(ref)[0], parse_moment_ns)
        shared = render.shared_bytes(self._stores, images) if shared_size else {}
        inner = set() if all_ else {image.parent for image in images}
        summaries = []
        for image, names in chosen:
            if not names and image.id in inner:
                continue
            summary = render.render_summary(
                self._stores, image, containers=len(self._users(image.id)) if containers or manifests else -1,
                shared_bytes=shared.get(image.id, -1), names=names,
            )  # fmt: skip
            if manifests:
                summary["Manifests"] = await self._stores.call(
                    render_manifests, self._stores, image, lambda i: [c for c, _ in self._users(i)]
                )
            summaries.append(summary)
        return summaries

    async def disk_usage(self) -> tuple[int, list[ImageSummary]]:
        """For ``system df``: bytes on the disk, and every image with its part of them."""
        total = await self._stores.call(self._stores.disk_bytes)
        summaries = await self.list_(all_=True, digests=True, filters={}, containers=True)
        sizes = await self._stores.call(render.disk_sizes, self._stores, self._stores.images.all())
        for summary in summaries:
            summary["Size"], summary["SharedSize"] = sizes.get(summary["Id"], (summary["Size"], 0))
        return total, summaries

    async def prune(self, filters: Filters) -> dict[str, Any]:
        removed, freed = await prune.prune(
            self._stores, filters, users=self._users, find=lambda ref: self._find(ref)[0], moment=parse_moment_ns
        )
        return {"ImagesDeleted": removed or None, "SpaceReclaimed": freed}

    def _find_for(self, ref: str, platform: str | None) -> Image:
        """As ``_find``; of a name for several platforms the one of ``platform``. Raises: NotFound where it has none."""
        image, name = self._find(ref)
        if not platform:
            return image
        wanted = parse_platform(platform)
        if name is None:
            found = image if image.platform == str(wanted) else None
        else:
            found = self._stores.images.find(self._stores.images.find_name(name, wanted) or "")
        if found is None:
            raise NotFound(messages.no_such_platform(name.tagged().familiar if name else ref, str(wanted)))
        return found

    async def inspect(self, ref: str, platform: str | None = None) -> ImageInspect:
        image = self._find_for(ref, platform)
        config = await self._stores.call(self._stores.read_config, image.id)
        return render.render_inspect(self._stores, image, config)

    async def history(self, ref: str, platform: str | None = None) -> list[ImageHistoryResponseItem]:
        image = self._find_for(ref, platform)
        config = await self._stores.call(self._stores.read_config, image.id)
        return render.render_history(self._stores, image, config)

    async def commit(self, container_id: str, image_id: str, made: Commit, name: Reference | None) -> str:
        """An image of a container's layer over the image that it was made from; its id."""
        parent = self._stores.images.find(image_id)
        if parent is None:
            raise NotFound(messages.no_such_image(image_id))
        return (await commit.commit(self._stores, container_id, parent, made, name)).id

    async def tag(self, ref: str, repo: str, tag: str) -> None:
        image, source = self._find(ref)
        name = parse_reference(repo)
        if name.digest is not None:
            raise InvalidArgument("refusing to create a tag with a digest reference")
        name = name.with_tag(check_tag(tag)) if tag else name.tagged()
        images = self._stores.images
        async with self._stores.change:
            named = images.find_named(source) if source is not None else None
            await self._stores.call(images.name, name, named or Named("", {image.platform: image.id}))
        self._stores.announce("tag", image, name.familiar)

    async def remove(
        self, ref: str, *, force: bool, prune: bool, platforms: Sequence[str] = ()
    ) -> list[ImageDeleteResponseItem]:
        """``platforms``: only those of the name's images go. Raises: NotFound, Conflict."""
        image, name = self._find(ref)
        if platforms:
            images = [self._find_for(ref, platform) for platform in platforms]
            return await remove.remove_platforms(self._stores, images, force=force, users=self._users)
        return await remove.remove(self._stores, image, name, ref, force=force, users=self._users)

    def storage(self) -> tuple[str, str]:
        """For ``info``: the driver's name, and why it is that one ("" for the usual)."""
        return self._stores.snapshots.driver, self._stores.snapshots.why

    def counts(self) -> dict[str, Any]:
        """For ``info``: ``{"images": n}``."""
        return {"images": len(self._stores.images.all())}
