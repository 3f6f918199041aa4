"""Is the image store what its database says? And putting it right, from what is here.

    blobs      every row has its file, of its size and digest; every file has its row
    layers     every row has its directory and its parent; every directory has its row; with ``deep`` also: what is in it is
               what its blob says, byte for byte
    images     config, manifests and layers are here; names lead to images

Repair throws away what nothing stands on, unpacks damaged layers again from their blobs, and lets go of what cannot be
mended: a damaged blob (the next pull fetches it again) and an image that cannot run any more. Plain code, without a daemon.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from typing import NamedTuple

from berth.base.errors import BerthError, DataLoss
from berth.base.layout import Layout
from berth.content.blobs import BlobStore
from berth.content.leases import Leases
from berth.content.trash import Trash
from berth.db.database import Database
from berth.images.documents import parse_config
from berth.images.store import Image, ImageStore
from berth.images.unpack import unpack_layer
from berth.snapshots.apply import Limits, apply_layer
from berth.snapshots.archive import write_layer
from berth.snapshots.choose import Snapshots, open_snapshots
from berth.snapshots.tree import dress_implied
from berth.spec.digest import hex_of
from berth.spec.image import MAX_MANIFEST

_CHUNK = 1 << 20


class Problem(NamedTuple):
    """``thing``: what it is about; ``harmless``: nothing stands on it (it only takes room)."""

    thing: str
    what: str
    harmless: bool = False

    def __str__(self) -> str:
        return f"{self.thing}: {self.what}"


def check(layout: Layout, *, deep: bool, exclusive: bool) -> Iterator[Problem]:
    """Every problem, as it is found; reads only. ``exclusive``: no daemon runs, so what has no row is nobody's."""
    if not os.path.exists(layout.db):
        return
    tables = _Tables(layout)
    yield from _check_blobs(tables, exclusive)
    yield from _check_layers(tables, exclusive)
    yield from _check_images(tables)
    if deep:
        yield from _check_contents(tables)


class _Tables:
    """The rows, read at once."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.blob_dir = os.path.join(layout.content, "blobs", "sha256")
        db = sqlite3.connect(f"file:{layout.db}?mode=ro", uri=True, timeout=10)
        try:
            db.execute("BEGIN")
            self.blobs = dict(db.execute("SELECT digest, size FROM blobs"))
            self.layers = {
                row[0]: row[1:]
                for row in db.execute("SELECT key, name, parent FROM snapshots WHERE kind = 'committed'")
            }
            self.actives = {
                row[0]: row[1:] for row in db.execute("SELECT key, name, parent FROM snapshots WHERE kind = 'active'")
            }
            self.images = [_image(*row) for row in db.execute("SELECT image_id, created_ns, doc FROM images")]
            self.variants = list(db.execute("SELECT name, image_id FROM image_variants"))
        finally:
            db.close()

    def blob_path(self, digest: str) -> str:
        return os.path.join(self.blob_dir, hex_of(digest))

    def layer_path(self, number: int) -> str:
        return os.path.join(self.layout.snapshots, str(number), "fs")

    def lower_paths(self, chain: str) -> tuple[str, ...]:
        paths: list[str] = []
        while chain in self.layers:
            number, parent = self.layers[chain]
            paths.append(self.layer_path(number))
            chain = parent or ""
        return tuple(paths)


def _image(image_id: str, created_ns: int, doc: str) -> Image:
    from berth.images.store import _from_row

    return _from_row(image_id, created_ns, doc)


def _check_blobs(tables: _Tables, exclusive: bool) -> Iterator[Problem]:
    for digest, size in tables.blobs.items():
        fault = _blob_fault(tables.blob_path(digest), digest, size)
        if fault:
            yield Problem(f"blob {digest}", fault)
    present = set(os.listdir(tables.blob_dir)) if os.path.isdir(tables.blob_dir) else set()
    for name in sorted(present - {hex_of(digest) for digest in tables.blobs}) if exclusive else ():
        yield Problem(f"blob sha256:{name}", "a file without a row", harmless=True)


def _blob_fault(path: str, digest: str, size: int) -> str:
    try:
        with open(path, "rb", buffering=0) as file:
            found = os.fstat(file.fileno()).st_size
            if found != size:
                return f"{found} bytes instead of {size}"
            hasher = hashlib.sha256()
            while piece := file.read(_CHUNK):
                hasher.update(piece)
    except FileNotFoundError:
        return "its file is missing"
    except OSError as err:
        return f"unreadable: {err.strerror}"
    return "" if hasher.hexdigest() == hex_of(digest) else "its bytes have another digest"


def _check_layers(tables: _Tables, exclusive: bool) -> Iterator[Problem]:
    for kind, rows in (("layer", tables.layers), ("container layer", tables.actives)):
        for key, (number, parent) in rows.items():
            if not os.path.isdir(tables.layer_path(number)):
                yield Problem(f"{kind} {key}", "its directory is missing")
            if parent and parent not in tables.layers:
                yield Problem(f"{kind} {key}", f"the layer {parent} below it is missing")
    numbers = {str(row[0]) for row in (*tables.layers.values(), *tables.actives.values())}
    folder = tables.layout.snapshots
    present = {name for name in os.listdir(folder) if name.isdecimal()} if os.path.isdir(folder) else set()
    for name in sorted(present - numbers) if exclusive else ():
        yield Problem(f"layer directory {name}", "no row names it", harmless=True)


def _check_images(tables: _Tables) -> Iterator[Problem]:
    known = {image.id for image in tables.images}
    for image in tables.images:
        for digest in sorted(image.blobs()):
            if digest not in tables.blobs:
                yield Problem(f"image {image.id}", f"blob {digest} is missing")
        for chain in image.chains():
            if chain not in tables.layers:
                yield Problem(f"image {image.id}", f"layer {chain} is missing")
        if image.id in tables.blobs:
            try:
                with open(tables.blob_path(image.id), "rb") as file:
                    if parse_config(file.read(MAX_MANIFEST)).diff_ids != image.diff_ids:
                        yield Problem(f"image {image.id}", "its row and its config name different layers")
            except (OSError, BerthError) as err:
                yield Problem(f"image {image.id}", f"its config: {err}")
    for name, image_id in tables.variants:
        if image_id not in known:
            yield Problem(f"name {name}", f"the image {image_id} that it means is missing")


def _check_contents(tables: _Tables) -> Iterator[Problem]:
    """Each layer unpacked again beside the one that is here; both must give the same tar."""
    seen: set[str] = set()
    for image in tables.images:
        parent = ""
        for chain, blob in zip(image.chains(), image.manifests[0].layers, strict=False):
            if chain not in seen and chain in tables.layers and blob in tables.blobs:
                seen.add(chain)
                fault = _content_fault(tables, chain, blob, parent)
                if fault:
                    yield Problem(f"layer {chain}", fault)
            parent = chain


def _content_fault(tables: _Tables, chain: str, blob: str, parent: str) -> str:
    scratch = os.path.join(tables.layout.tmp, f"verify-{os.getpid()}")
    os.makedirs(scratch, 0o700)
    fresh = os.path.join(scratch, "fs")
    try:
        os.mkdir(fresh, 0o755)
        with open(tables.blob_path(blob), "rb", buffering=0) as raw:
            applied = apply_layer(raw, fresh)
        dress_implied(fresh, applied.implied, tables.lower_paths(parent))
        implied = set(applied.implied)  # made by us, with a time of then
        same = _tar_digest(fresh, implied) == _tar_digest(tables.layer_path(tables.layers[chain][0]), implied)
        return "" if same else "its files are not what its blob says"
    except (OSError, BerthError) as err:
        return str(err)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _tar_digest(root: str, timeless: set[bytes]) -> str:
    for name in timeless:
        try:
            os.utime(os.path.join(os.fsencode(root), name), (0, 0), follow_symlinks=False)
        except OSError:
            continue
    hasher = hashlib.sha256()
    write_layer(root, hasher.update)
    return hasher.hexdigest()


# --- repair


def repair(layout: Layout, problems: list[Problem], tell: Callable[[str], None]) -> None:
    """Put right what ``check`` found; ``tell`` hears each step. After: no daemon runs."""
    bad_blobs = {p.thing.removeprefix("blob ") for p in problems if p.thing.startswith("blob ") and not p.harmless}
    bad_layers = {p.thing.removeprefix("layer ") for p in problems if p.thing.startswith("layer sha256:")}
    db = Database(layout.db)
    db.open()
    trash = Trash(layout.trash_images)
    trash.open()
    try:
        _drop_blobs(layout, db, bad_blobs, tell)
        leases = Leases(db)
        blobs = BlobStore(layout.content, db, leases, trash)
        images = ImageStore(db)
        snapshots = open_snapshots(layout.snapshots, db, trash)
        for store in (leases, blobs, images):
            store.open()
        snapshots.open()  # opening takes away what has no row, and rows that have no file
        for image in images.all():
            _mend(image, bad_layers, blobs, snapshots, images, tell)
        trash.drain()
    finally:
        trash.close()
        db.close()


def _drop_blobs(layout: Layout, db: Database, digests: set[str], tell: Callable[[str], None]) -> None:
    for digest in sorted(digests):
        path = os.path.join(layout.content, "blobs", "sha256", hex_of(digest))
        if os.path.exists(path):
            os.unlink(path)
        tell(f"blob {digest}: let go; the next pull fetches it again")
    rows = [(digest,) for digest in digests]
    db.write_sync(lambda conn: conn.executemany("DELETE FROM blobs WHERE digest = ?", rows))


def _mend(
    image: Image, bad_layers: set[str], blobs: BlobStore, snapshots: Snapshots, images: ImageStore, tell: Callable[[str], None]
) -> None:  # fmt: skip
    parent = ""
    try:
        if blobs.find(image.id) is None:
            raise DataLoss("its config is gone")
        for chain, diff_id, blob in zip(image.chains(), image.diff_ids, image.manifests[0].layers, strict=True):
            if chain in bad_layers and snapshots.find(chain) is not None:
                snapshots.forget_layer(chain)
            if snapshots.find(chain) is None:
                if blobs.find(blob) is None:
                    raise DataLoss(f"layer {chain} and its blob are gone")
                unpack_layer(blobs, snapshots, blob, parent, chain, diff_id, Limits())
                tell(f"layer {chain}: unpacked again from its blob")
            bad_layers.discard(chain)
            parent = chain
    except (BerthError, ValueError) as err:
        names = ", ".join(name.familiar for name in images.names_of(image.id)) or "no name"
        images.delete(image.id)
        tell(f"image {image.id} ({names}): let go, since {err}")
