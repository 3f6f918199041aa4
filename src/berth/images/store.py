"""``ImageStore``: which images there are, and what they are called.

The row's document (``images.doc``):

    {"manifests": [{"digest", "media_type", "size", "layers": [blob digest, ...]}, ...],   the one it came with last first;
                                                          "" for one that came without a manifest (a docker archive)
     "diff_ids": [...], "chain_id": "...", "size": bytes of all files, "tagged_ns": when somebody tagged it last,
     "created_s": the config's own time, "labels": {...}, "platform": "linux/amd64",
     "extra": [blob digest, ...],                         what is kept with it: attestations
     "parent": the image that it was made from here, "" for none}

A name means a document (``target``: an index or a manifest) and holds the images of it that are here, by platform. Where
several are here, the one for this machine is what the name stands for; a name that is resolved to another document loses
the images that it had.

All of it is kept in memory as well; the database is written first.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from berth.base.clock import now_ns
from berth.spec.digest import chain_ids, hex_of
from berth.spec.platform import Platform, acceptable, host_platform
from berth.spec.reference import Reference, parse_reference

if TYPE_CHECKING:
    from berth.db.database import Database


class StoredManifest(NamedTuple):
    """``layers``: blob digests, bottom first."""

    digest: str
    media_type: str
    size: int
    layers: tuple[str, ...]


class Image(NamedTuple):
    """Units: ``size`` bytes of files; ``*_ns`` since the epoch; ``created_s`` what its config says."""

    id: str
    created_ns: int
    manifests: tuple[StoredManifest, ...]
    diff_ids: tuple[str, ...]
    chain_id: str
    size: int
    tagged_ns: int
    created_s: int
    labels: dict[str, str]
    platform: str = ""
    extra: tuple[str, ...] = ()
    parent: str = ""

    def chains(self) -> list[str]:
        """The chain ids of all its layers, bottom first."""
        return chain_ids(list(self.diff_ids))

    def blobs(self) -> set[str]:
        """Every blob that it is made of."""
        found = {self.id, *self.extra}
        for manifest in self.manifests:
            found.update(manifest.layers)
            if manifest.digest:
                found.add(manifest.digest)
        return found


class Named(NamedTuple):
    """What a name means. ``variants``: platform → image id, in the order in which they came."""

    target: str
    variants: dict[str, str]

    def choose(self, wanted: Platform) -> str | None:
        """The image that suits ``wanted`` best; None where none does."""
        for platform in acceptable(wanted):
            if str(platform) in self.variants:
                return self.variants[str(platform)]
        return None

    def primary(self, host: Platform) -> str:
        """The image that the name stands for: this machine's, else the one that came last."""
        return self.choose(host) or list(self.variants.values())[-1]


class ImageStore:
    """Reading is memory only; what changes something blocks until it is on the disk (``durable``).

    One change at a time: the caller sees to it.
    """

    def __init__(self, db: Database, host: Platform | None = None) -> None:
        self._db = db
        self._host = host or host_platform()
        self._images: dict[str, Image] = {}
        self._names: dict[str, Named] = {}
        self._by_image: dict[str, set[str]] = {}
        self.version = 0
        """Grows with every change: what was derived from an older one is stale."""

    def open(self) -> None:
        def load(conn: sqlite3.Connection) -> tuple[list[Any], list[Any]]:
            images = conn.execute("SELECT image_id, created_ns, doc FROM images").fetchall()
            variants = "SELECT name, platform, image_id, target FROM image_variants ORDER BY name, platform"
            return images, conn.execute(variants).fetchall()

        images, variants = self._db.read_sync(load)
        self._images = {row[0]: _from_row(*row) for row in images}
        self._names = {}
        self._by_image = {}
        for name, platform, image_id, target in variants:
            if image_id in self._images:
                known = self._names.get(name, Named(target, {}))
                self._remember_name(name, Named(target, {**known.variants, platform: image_id}))

    # --- reading

    def find(self, image_id: str) -> Image | None:
        return self._images.get(image_id)

    def all(self) -> list[Image]:
        return list(self._images.values())

    def find_named(self, ref: Reference) -> Named | None:
        """All that a name means; ``latest`` where it has no tag."""
        return self._names.get(str(ref.tagged()))

    def find_name(self, ref: Reference, wanted: Platform | None = None) -> str | None:
        """The image that a name means, on this machine or on ``wanted``; ``latest`` where it has no tag."""
        named = self.find_named(ref)
        if named is None:
            return None
        return named.primary(self._host) if wanted is None else named.choose(wanted)

    def names_of(self, image_id: str) -> list[Reference]:
        """Every name that has it as one of its images, tags before digests, each sorted."""
        names = [parse_reference(name) for name in self._by_image.get(image_id, ())]
        return sorted(names, key=lambda ref: (ref.digest is not None, str(ref)))

    def stands_for(self, image_id: str) -> list[Reference]:
        """The names that mean it on this machine."""
        return [name for name in self.names_of(image_id) if self.find_name(name) == image_id]

    def names_in(self, repository: str) -> list[Reference]:
        """Every tag of a repository (``docker.io/library/busybox``)."""
        found = [parse_reference(name) for name in self._names if name.startswith(repository + ":")]
        return sorted((ref for ref in found if ref.name == repository and ref.digest is None), key=str)

    def search(self, prefix: str) -> str | None:
        """The one image whose id starts with ``prefix`` (with or without ``sha256:``)."""
        prefix = prefix.removeprefix("sha256:")
        found = [image_id for image_id in self._images if hex_of(image_id).startswith(prefix)] if prefix else []
        return found[0] if len(found) == 1 else None

    def blob_roots(self) -> set[str]:
        """Every blob that an image or a name refers to."""
        roots: set[str] = set()
        for image in list(self._images.values()):
            roots |= image.blobs()
        for name, named in list(self._names.items()):
            _, at, digest = name.rpartition("@")
            if at:
                roots.add(digest)  # an index that was pulled: kept, although only one of its images is here
            if named.target:
                roots.add(named.target)
        return roots

    def chain_roots(self) -> set[str]:
        return {image.chain_id for image in list(self._images.values()) if image.chain_id}

    def has_chain(self, chain_id: str) -> bool:
        """Whether an image's top layer is this."""
        return any(image.chain_id == chain_id for image in self._images.values())

    # --- changing

    def put(self, image: Image, names: Iterable[Reference], target: str = "") -> None:
        """Record an image (again), under these names, as one that the document ``target`` offers.

        A name that meant another document means this one only; without ``target`` it means this image only.
        """
        known = self._images.get(image.id)
        if known is not None and image.manifests != known.manifests:
            others = [old for old in known.manifests if old.digest != image.manifests[0].digest]
            image = image._replace(manifests=(*image.manifests, *others))
        if known is not None:
            image = image._replace(
                created_ns=known.created_ns, extra=tuple(dict.fromkeys((*image.extra, *known.extra)))
            )
            image = image._replace(tagged_ns=image.tagged_ns or known.tagged_ns)
        changed = {str(name): self._with_variant(str(name), image, target) for name in names}

        def write(conn: sqlite3.Connection) -> None:
            conn.execute("INSERT OR REPLACE INTO images VALUES (?,?,?)", (image.id, image.created_ns, _to_doc(image)))
            for text, named in changed.items():
                self._write_name(conn, text, named)

        self._db.write_sync(write, durable=True)
        self._images[image.id] = image
        for text, named in changed.items():
            self._remember_name(text, named)
        self.version += 1

    def _with_variant(self, text: str, image: Image, target: str) -> Named:
        known = self._names.get(text)
        kept = known.variants if known is not None and target and known.target == target else {}
        return Named(target, {**{p: i for p, i in kept.items() if p != image.platform}, image.platform: image.id})

    def name(self, name: Reference, named: Named) -> None:
        """``name`` means what another name means. After: its images are here."""
        text = str(name)
        images = [self._images[image_id]._replace(tagged_ns=now_ns()) for image_id in named.variants.values()]

        def write(conn: sqlite3.Connection) -> None:
            for image in images:
                conn.execute("UPDATE images SET doc = ? WHERE image_id = ?", (_to_doc(image), image.id))
            self._write_name(conn, text, named)

        self._db.write_sync(write, durable=True)
        for image in images:
            self._images[image.id] = image
        self._remember_name(text, named)
        self.version += 1

    def _write_name(self, conn: sqlite3.Connection, text: str, named: Named) -> None:
        conn.execute("INSERT OR REPLACE INTO image_names VALUES (?,?,?)", (text, named.primary(self._host), now_ns()))
        conn.execute("DELETE FROM image_variants WHERE name = ?", (text,))
        conn.executemany(
            "INSERT INTO image_variants VALUES (?,?,?,?)",
            [(text, platform, image_id, named.target) for platform, image_id in named.variants.items()],
        )

    def untag(self, names: Iterable[Reference]) -> None:
        """Forget names; those that don't exist are not an error."""
        texts = [str(name) for name in names]
        rows = [(text,) for text in texts]

        def write(conn: sqlite3.Connection) -> None:
            conn.executemany("DELETE FROM image_names WHERE name = ?", rows)
            conn.executemany("DELETE FROM image_variants WHERE name = ?", rows)

        self._db.write_sync(write, durable=True)
        for text in texts:
            self._forget_name(text)
        self.version += 1

    def delete(self, image_id: str) -> None:
        """Forget an image, and its part in every name. The collector takes what it was made of."""
        left: dict[str, Named] = {}
        gone: list[str] = []
        for text in self._by_image.get(image_id, ()):
            named = self._names[text]
            variants = {platform: other for platform, other in named.variants.items() if other != image_id}
            if variants:
                left[text] = named._replace(variants=variants)
            else:
                gone.append(text)

        def write(conn: sqlite3.Connection) -> None:
            conn.execute("DELETE FROM images WHERE image_id = ?", (image_id,))
            conn.executemany("DELETE FROM image_names WHERE name = ?", [(text,) for text in gone])
            conn.executemany("DELETE FROM image_variants WHERE name = ?", [(text,) for text in gone])
            for text, named in left.items():
                self._write_name(conn, text, named)

        self._db.write_sync(write, durable=True)
        for text in gone:
            self._forget_name(text)
        for text, named in left.items():
            self._remember_name(text, named)
        self._images.pop(image_id, None)
        self.version += 1

    def _remember_name(self, text: str, named: Named) -> None:
        self._forget_name(text)
        self._names[text] = named
        for image_id in named.variants.values():
            self._by_image.setdefault(image_id, set()).add(text)

    def _forget_name(self, text: str) -> None:
        named = self._names.pop(text, None)
        for image_id in named.variants.values() if named is not None else ():
            self._by_image[image_id].discard(text)


def _to_doc(image: Image) -> str:
    return json.dumps(
        {
            "manifests": [manifest._asdict() for manifest in image.manifests],
            "diff_ids": image.diff_ids,
            "chain_id": image.chain_id,
            "size": image.size,
            "tagged_ns": image.tagged_ns,
            "created_s": image.created_s,
            "labels": image.labels,
            "platform": image.platform,
            "extra": image.extra,
            "parent": image.parent,
        },
        separators=(",", ":"),
    )


def _from_row(image_id: str, created_ns: int, text: str) -> Image:
    doc = json.loads(text)
    manifests = tuple(
        StoredManifest(entry["digest"], entry["media_type"], entry["size"], tuple(entry["layers"]))
        for entry in doc["manifests"]
    )
    return Image(
        image_id, created_ns, manifests, tuple(doc["diff_ids"]), doc["chain_id"], doc["size"], doc["tagged_ns"],
        doc["created_s"], doc["labels"], doc["platform"], tuple(doc["extra"]),
        doc.get("parent", ""),
    )  # fmt: skip
