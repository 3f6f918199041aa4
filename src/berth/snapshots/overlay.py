"""``Snapshots``: committed layers and containers' writable layers, as directories for overlayfs."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from berth.base import failpoints
from berth.base.errors import AlreadyExists, DataLoss, NotFound, from_oserror
from berth.kernel import project_quota
from berth.kernel.files import spread_below, syncfs
from berth.snapshots import rows
from berth.snapshots.changes import Change, find_changes
from berth.snapshots.init_layer import ensure_init_layer
from berth.snapshots.rows import Active, Layer
from berth.snapshots.shift import Shift
from berth.snapshots.shifted import Shifted, wear, worn
from berth.snapshots.tree import dress_implied
from berth.snapshots.usage import tree_usage

if TYPE_CHECKING:
    from berth.content.trash import Trash
    from berth.db.database import Database
    from berth.snapshots.apply import Applied
    from berth.spec.shim import OverlayRootfs

RowWriter = Callable[[sqlite3.Connection], None]


class Draft(NamedTuple):
    """A layer being made: ``path`` is its root. What it will stand on is said when it is committed."""

    number: int
    path: str


class RootOwner(NamedTuple):
    """Who owns a layer's root directory, and its mode: overlay shows the upper's, so the upper's must be alike."""

    mode: int
    uid: int
    gid: int


class Snapshots:
    """All snapshots, in memory and in the database.

    Locks: ``_lock`` guards the maps; it is held for memory work and renames only.
    """

    def __init__(self, root: str, db: Database, trash: Trash) -> None:
        self._root = root
        self._init = os.path.join(root, "init")
        self._db = db
        self._trash = trash
        self._lock = threading.Lock()
        self._layers: dict[str, Layer] = {}
        self._actives: dict[str, Active] = {}
        self._lower_cache: dict[str, tuple[str, ...]] = {}
        self._owner_cache: dict[str, RootOwner] = {}
        self._last = 0
        self._shifted = Shifted(root)
        self._as_made: set[str] = set()  # keys of writable layers that never wore other ids than the image's
        self.quotas = False
        """Whether the filesystem below can limit a writable layer's size."""

    def open(self) -> None:
        """Read the table, take away directories that no row names, make the init layer (blocking)."""
        os.makedirs(self._root, mode=0o710, exist_ok=True)
        spread_below(self._root)
        self.quotas = project_quota.supported(self._root)
        ensure_init_layer(self._init)
        self._layers, self._actives = self._db.read_sync(rows.read_rows)
        numbers = {layer.number for layer in self._layers.values()}
        numbers |= {active.number for active in self._actives.values()}
        present = {int(name) for name in os.listdir(self._root) if name.isdecimal()}
        for number in present - numbers:
            self._trash.put(self._dir(number))
        self._drop_lost(present)
        for name in self._shifted.unused_inits(self._dir(number) for number in present & numbers):
            self._trash.put(name)
        self._last = max(numbers | present, default=0)

    def _drop_lost(self, present: set[int]) -> None:
        """Layers whose directory is gone (a sweep that a crash cut short), and the writable ones as well."""
        lost = [(key, entry.number) for key, entry in self._layers.items() if entry.number not in present]
        lost += [(key, entry.number) for key, entry in self._actives.items() if entry.number not in present]
        for key, _ in lost:
            self._layers.pop(key, None)
            self._actives.pop(key, None)
        if lost:
            self._db.write_sync(lambda conn: rows.delete(conn, lost))

    # --- committed layers

    driver = "overlay2"
    """What ``info`` and ``inspect`` call it."""
    flat = False
    """Whether a layer is made onto a copy of those below, and so after them."""
    why = ""
    """Why it was chosen, where it is not the usual one."""

    def describe(self, chain_id: str) -> dict[str, str]:
        """``GraphDriver.Data`` of an image. Raises: NotFound."""
        paths = self._layer_paths(chain_id)
        if not paths:
            return {}
        top = os.path.dirname(paths[0])
        data = {"MergedDir": f"{top}/merged", "UpperDir": paths[0], "WorkDir": f"{top}/work"}
        return {**data, **({"LowerDir": ":".join(paths[1:])} if len(paths) > 1 else {})}

    def find(self, chain_id: str) -> Layer | None:
        return self._layers.get(chain_id)

    def lower(self, chain_id: str) -> tuple[str, ...]:
        """The lower directories of a container over ``chain_id``, top first, the init layer last. Raises: NotFound."""
        found = self._lower_cache.get(chain_id)
        if found is None:
            found = (*self._layer_paths(chain_id), self._init)
            self._lower_cache[chain_id] = found
        return found

    def sizes(self, chain_id: str) -> list[int]:
        """Bytes of each layer of the chain, bottom first. Raises: NotFound."""
        return [layer.size for layer in reversed(self._chain(chain_id))]

    def draft(self, parent: str = "") -> Draft:
        """Begin a layer, to stand on ``parent`` where ``flat``. Raises: ResourceExhausted and other kinds of OSError."""
        number = self._next()
        path = os.path.join(self._dir(number), "fs")
        try:
            os.mkdir(self._dir(number), 0o700)
            os.mkdir(path, 0o755)
            os.chmod(path, 0o755)
        except OSError as err:
            self._trash.put(self._dir(number))
            raise from_oserror(err, "make a layer's directory") from err
        return Draft(number, path)

    def commit(self, draft: Draft, parent: str, chain_id: str, applied: Applied) -> None:
        """The draft becomes the layer ``chain_id`` over the chain ``parent`` ("" for none); blocking.

        Somebody else's layer of that name wins; the draft then goes. Raises: NotFound when the parent is gone.
        """
        try:
            lower = self._layer_paths(parent)
            if not applied.rooted:
                _give(draft.path, self._owner(parent))
            dress_implied(draft.path, applied.implied, lower)
        except OSError as err:
            self.abandon(draft)
            raise from_oserror(err, "finish a layer") from err
        except BaseException:
            self.abandon(draft)
            raise
        self._record(draft, chain_id, Layer(draft.number, parent, applied.size, boot=_boot_id()))

    def _record(self, draft: Draft, chain_id: str, layer: Layer) -> None:
        with self._lock:
            taken = chain_id in self._layers
            if not taken:
                self._layers[chain_id] = layer
        if taken:
            self.abandon(draft)
            return
        try:
            failpoints.hit("snapshots.before_row")
            self._db.write_sync(lambda conn: rows.insert_layer(conn, chain_id, layer))
        except BaseException:
            with self._lock:
                self._layers.pop(chain_id, None)
            self.abandon(draft)
            raise
        failpoints.hit("snapshots.after_row")

    def abandon(self, draft: Draft) -> None:
        """Take a draft away, however far it got."""
        self._trash.put(self._dir(draft.number))
        self._trash.empty()

    # --- whether what the rows name is on the disk

    def sync(self) -> int:
        """All layers that are here now are on the disk when this returns (blocking); how many were not known to be."""
        with self._lock:
            waiting = {chain_id: layer for chain_id, layer in self._layers.items() if layer.boot}
        if not waiting:
            return 0
        try:
            syncfs(self._root)
        except OSError as err:
            raise from_oserror(err, "sync layers") from err
        failpoints.hit("snapshots.synced")
        with self._lock:
            for chain_id, layer in waiting.items():
                now = self._layers.get(chain_id)
                if now is not None and now.number == layer.number:
                    self._layers[chain_id] = now._replace(boot="")
        gone = [(chain_id, layer.number) for chain_id, layer in waiting.items()]
        self._db.write_sync(lambda conn: rows.update_synced(conn, gone))
        return len(waiting)

    def doubtful(self) -> set[str]:
        """Chain ids of layers that an earlier boot of the machine wrote and nobody saw reach the disk."""
        boot = _boot_id()
        return {chain_id for chain_id, layer in self._layers.items() if layer.boot not in ("", boot)}

    def forget_layer(self, chain_id: str) -> None:
        """Let go of a damaged layer, to be made again. Nothing there is not an error."""
        with self._lock:
            layer = self._layers.pop(chain_id, None)
            self._lower_cache.clear()
            self._owner_cache.pop(chain_id, None)
        if layer is not None:
            gone = [(chain_id, layer.number)]
            self._trash.put(self._dir(layer.number))
            self._db.write_sync(lambda conn: rows.delete(conn, gone))

    def sweep(self, keep: Iterable[str]) -> list[tuple[str, int]]:
        """Rename the layers to the trash that neither ``keep`` nor a container stands on; returns (chain id, number).

        ``forget`` deletes their rows.
        """
        with self._lock:
            kept: set[str] = set()
            for chain_id in (*keep, *(active.parent for active in self._actives.values())):
                while chain_id in self._layers and chain_id not in kept:
                    kept.add(chain_id)
                    chain_id = self._layers[chain_id].parent
            gone = [(chain_id, layer.number) for chain_id, layer in self._layers.items() if chain_id not in kept]
            for chain_id, number in gone:
                del self._layers[chain_id]
                self._lower_cache.pop(chain_id, None)
                self._owner_cache.pop(chain_id, None)
                self._trash.put(self._dir(number))
        return gone

    @staticmethod
    def forget(conn: sqlite3.Connection, gone: list[tuple[str, int]]) -> None:
        rows.delete(conn, gone)

    # --- containers' writable layers

    def prepare(
        self, key: str, parent: str, *, volatile: bool = False, size_bytes: int = 0
    ) -> tuple[OverlayRootfs, RowWriter]:
        """Make a writable layer over the chain ``parent``; the second value writes its row in the caller's transaction.

        ``size_bytes``: the most that it may hold, where there are ``quotas``. Raises: NotFound when the chain is gone,
        AlreadyExists.
        """
        owner = self._owner(parent)
        with self._lock:
            if key in self._actives:
                raise AlreadyExists(f"snapshot {key}: already exists")
            self._last += 1
            active = Active(self._last, parent)
            self._actives[key] = active  # from here on a sweep keeps the chain
        directory = self._dir(active.number)
        try:
            rootfs = self._rootfs(active, volatile)
            os.mkdir(directory, 0o700)
            if size_bytes:
                project_quota.limit(directory, size_bytes)
            os.mkdir(rootfs["upper"], 0o755)
            os.mkdir(rootfs["work"], 0o700)
            if owner != _PLAIN:
                _give(rootfs["upper"], owner)
        except BaseException as err:
            with self._lock:
                del self._actives[key]
            self._trash.put(directory)
            if isinstance(err, OSError):
                raise from_oserror(err, "make a container's writable layer") from err
            raise
        self._as_made.add(key)
        return rootfs, lambda conn: rows.insert_active(conn, key, active)

    def rootfs(self, key: str, *, volatile: bool = False) -> OverlayRootfs:
        """A writable layer that was prepared before. Raises: NotFound, DataLoss when a layer below it is missing."""
        active = self._get_active(key)
        try:
            return self._rootfs(active, volatile)
        except NotFound as err:
            raise DataLoss(f"a layer that container {key} stands on is missing") from err

    def wear(self, key: str, shift: Shift | None) -> None:
        """Give a writable layer's files, and what it stands on, the ids that ``shift`` leads to; None: the image's (blocking).

        No container runs on it. Raises: NotFound, ResourceExhausted and other kinds of OSError.
        """
        active = self._get_active(key)
        if shift is not None and not self.flat:
            self._shift_chain(active.parent, shift)
        self._as_made.discard(key)
        wear(self._dir(active.number), shift)

    def worn(self, key: str) -> Shift | None:
        """What ``wear`` gave last. Raises: NotFound."""
        if key in self._as_made:
            return None
        return worn(self._dir(self._get_active(key).number))

    def shifted_lower(self, chain_id: str, shift: Shift) -> list[str]:
        """As ``lower``, of the copies with the host's ids, which are made where they lack (blocking).

        Raises: NotFound, ResourceExhausted and other kinds of OSError.
        """
        self._shift_chain(chain_id, shift)
        *layers, _ = self.lower(chain_id)
        return [*(self._shifted.copy_of(path, shift) for path in layers), self._shifted.init(shift)]

    def _shift_chain(self, chain_id: str, shift: Shift) -> None:
        try:
            self._shifted.ensure_init(shift)
            for layer in self._chain(chain_id)[: 1 if self.flat else None]:
                if self._shifted.ensure_copy(self._dir(layer.number) + "/fs", shift):
                    self._count_again(chain_id, layer)
                chain_id = layer.parent
        except OSError as err:
            raise from_oserror(err, "copy a layer for a user namespace") from err

    def _count_again(self, chain_id: str, layer: Layer) -> None:
        """It takes more of the disk than it did."""
        with self._lock:
            now = self._layers.get(chain_id)
            if now is None or now.number != layer.number:
                return
            uncounted = self._layers[chain_id] = now._replace(disk=-1)
        self._db.write_sync(lambda conn: rows.update_disk(conn, chain_id, uncounted))

    def remove(self, key: str) -> RowWriter:
        """Rename a writable layer to the trash; the result deletes its row. Nothing there is not an error."""
        with self._lock:
            active = self._actives.pop(key, None)
        self._as_made.discard(key)
        if active is None:
            return lambda conn: None
        if self.quotas:
            project_quota.release(self._dir(active.number))
        self._trash.put(self._dir(active.number))
        self._trash.empty_soon()
        gone = [(key, active.number)]
        return lambda conn: rows.delete(conn, gone)

    def parent_of(self, key: str) -> str:
        """The chain that a writable layer stands on; "" for none, or where there is no such layer."""
        active = self._actives.get(key)
        return active.parent if active is not None else ""

    def actives(self) -> dict[str, str]:
        """Every writable layer's key, and the chain that it stands on."""
        return {key: active.parent for key, active in list(self._actives.items())}

    def changes(self, key: str) -> list[Change]:
        """What a writable layer changed over what it stands on, sorted by path (blocking). Raises: NotFound."""
        rootfs = self._rootfs(self._get_active(key), volatile=False)
        return find_changes(rootfs["upper"], rootfs["lower"])

    def usage(self, key: str) -> int:
        """Bytes in the files of a writable layer, each inode once (blocking). Raises: NotFound."""
        return tree_usage(os.path.join(self._dir(self._get_active(key).number), "fs")).size

    def disk_of_active(self, key: str) -> int:
        """Bytes that a writable layer takes on the disk (blocking). Raises: NotFound."""
        return tree_usage(self._dir(self._get_active(key).number)).disk

    def disk_of_layers(self) -> int:
        """Bytes that all committed layers take on the disk (blocking)."""
        return sum(self.disk_of_layer(chain_id) for chain_id in list(self._layers))

    def disk_of_layer(self, chain_id: str) -> int:
        """Bytes that one layer takes on the disk; it is counted once in its life (blocking). 0 for none."""
        layer = self._layers.get(chain_id)
        if layer is not None and layer.disk < 0:
            self._count(chain_id, layer)
            layer = self._layers.get(chain_id)
        return layer.disk if layer is not None else 0

    def _count(self, chain_id: str, layer: Layer) -> None:
        counted = layer._replace(disk=tree_usage(self._dir(layer.number)).disk)
        with self._lock:
            if self._layers.get(chain_id) != layer:
                return  # swept meanwhile
            self._layers[chain_id] = counted
        self._db.write_sync(lambda conn: rows.update_disk(conn, chain_id, counted))

    def paths(self) -> list[str]:
        """The directories of all layers, the containers' included."""
        with self._lock:
            numbers = [layer.number for layer in self._layers.values()]
            numbers += [active.number for active in self._actives.values()]
        return [self._dir(number) for number in numbers]

    def ancestors(self, chains: Iterable[str]) -> set[str]:
        """The chains, and all that they stand on."""
        found: set[str] = set()
        for chain_id in chains:
            while chain_id in self._layers and chain_id not in found:
                found.add(chain_id)
                chain_id = self._layers[chain_id].parent
        return found

    # ---

    def _get_active(self, key: str) -> Active:
        active = self._actives.get(key)
        if active is None:
            raise NotFound(f"snapshot {key}: not found")
        return active

    def _rootfs(self, active: Active, volatile: bool) -> OverlayRootfs:
        directory = self._dir(active.number)
        lower, shift = list(self.lower(active.parent)), worn(directory)
        if shift is not None:
            lower = [self._shifted.copy_of(path, shift) for path in lower[:-1]] + [self._shifted.init(shift)]
        return {
            "lower": lower,
            "upper": directory + "/fs",
            "work": directory + "/work",
            "volatile": volatile,
            "shifted": shift is not None,
        }

    def _dir(self, number: int) -> str:
        return f"{self._root}/{number}"

    def _next(self) -> int:
        with self._lock:
            self._last += 1
            return self._last

    def _chain(self, chain_id: str) -> list[Layer]:
        chain: list[Layer] = []
        while chain_id:
            layer = self._layers.get(chain_id)
            if layer is None:
                raise NotFound(f"layer {chain_id}: not found")
            chain.append(layer)
            chain_id = layer.parent
        return chain

    def _layer_paths(self, chain_id: str) -> tuple[str, ...]:
        return tuple(self._dir(layer.number) + "/fs" for layer in self._chain(chain_id))

    def _owner(self, chain_id: str) -> RootOwner:
        """Mode and owner of the root directory that the chain's top layer has."""
        found = self._owner_cache.get(chain_id)
        if found is None:
            found = _PLAIN
            if chain_id:
                status = os.stat(self._layer_paths(chain_id)[0])
                found = RootOwner(stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
            self._owner_cache[chain_id] = found
        return found


_PLAIN = RootOwner(0o755, 0, 0)


def _boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def _give(path: str, owner: RootOwner) -> None:
    os.chown(path, owner.uid, owner.gid)
    os.chmod(path, owner.mode)
