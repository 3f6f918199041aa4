"""``rmi``: take a name away, or the image with its last name.

    by name, others left            untag (a digest goes with the last tag of its repository)
    by name, the last one           untag and delete; a container that uses it is a conflict, --force only untags where one runs
    by id, names of one repository  untag all and delete
    by id, several                  a conflict; --force deletes

A conflict is hard (a container runs) or soft (--force passes over it). The rules and sentences are Docker's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from berth.base import failpoints
from berth.base.errors import Conflict
from berth.base.ids import short_id
from berth.engine.images.stores import Stores
from berth.images.store import Image
from berth.spec.api.images import ImageDeleteResponseItem
from berth.spec.reference import Reference

Users = Callable[[str], list[tuple[str, bool]]]
Records = list[ImageDeleteResponseItem]


class Obstacle(NamedTuple):
    """Why an image stays. ``hard``: whatever the force; ``used``: a container is why."""

    hard: bool
    used: bool
    reason: str

    def conflict(self, image_id: str) -> Conflict:
        how = "cannot be forced" if self.hard else "must be forced"
        return Conflict(f"conflict: unable to delete {short_id(image_id)} ({how}) - {self.reason}")


class Removal:
    """One ``rmi`` under way; ``records`` is what it did. Locks: the caller holds ``stores.change``."""

    def __init__(self, stores: Stores, users: Users) -> None:
        self._stores = stores
        self._users = users
        self.records: Records = []

    async def by_name(self, image: Image, name: Reference, shown: str, *, force: bool) -> None:
        """Raises: Conflict."""
        images = self._stores.images
        names = images.names_of(image.id)
        using = self._users(image.id)
        if not force and using and is_single(names):
            raise Conflict(
                f'conflict: unable to remove repository reference "{shown}" (must force) - container '
                f"{short_id(using[0][0])} is using its referenced image {short_id(image.id)}"
            )
        named = images.find_named(name)
        variants = list(named.variants.values()) if named is not None else [image.id]
        gone = [name.tagged()]
        left = [n for n in names if n != gone[0]]
        if name.digest is None and not any(n.digest is None and n.name == name.name for n in left):
            gone += [n for n in left if n.digest is not None and n.name == name.name]
        await self._untag(image, gone)
        for variant in variants:
            found = images.find(variant)
            if found is not None and not images.names_of(variant):
                await self._delete(found, force=force, quiet=True)

    async def by_id(self, image: Image, *, force: bool) -> None:
        """Raises: Conflict."""
        names = self._stores.images.names_of(image.id)
        if is_single(names):
            obstacle = self._container_obstacle(image.id, stopped=not force)
            if obstacle is not None:
                raise obstacle.conflict(image.id)
            await self._untag(image, names)
        await self._delete(image, force=force, quiet=False)

    async def _delete(self, image: Image, *, force: bool, quiet: bool) -> None:
        """``quiet``: a name went already, which is success enough where a container keeps the image."""
        images = self._stores.images
        obstacle = self._container_obstacle(image.id, stopped=False) or self._soft_obstacle(image.id, force)
        if obstacle is not None:
            if quiet and (obstacle.used or images.names_of(image.id)):
                return
            raise obstacle.conflict(image.id)
        await self._untag(image, images.names_of(image.id))
        await self._forget(image)

    async def platform(self, image: Image, *, force: bool) -> None:
        """One of the images of a name; the name stays with the others, and goes with the last. Raises: Conflict."""
        obstacle = self._container_obstacle(image.id, stopped=not force)
        if obstacle is not None:
            raise obstacle.conflict(image.id)
        await self._forget(image)

    async def _forget(self, image: Image) -> None:
        images = self._stores.images
        await self._stores.call(images.delete, image.id)
        failpoints.hit("images.deleted")
        self._stores.publish("image", "delete", image.id, {"name": image.id})
        self.records.append({"Deleted": image.id})
        kept = images.chain_roots() | set(self._stores.snapshots.actives().values())
        standing = self._stores.snapshots.ancestors(kept)
        self.records += [{"Deleted": chain} for chain in reversed(image.chains()) if chain not in standing]

    def _container_obstacle(self, image_id: str, *, stopped: bool) -> Obstacle | None:
        using = self._users(image_id)
        running = [container for container, is_running in using if is_running]
        if running:
            return Obstacle(True, True, f"image is being used by running container {short_id(running[0])}")
        if using and stopped:
            return Obstacle(False, True, f"image is being used by stopped container {short_id(using[0][0])}")
        return None

    def _soft_obstacle(self, image_id: str, force: bool) -> Obstacle | None:
        if force:
            return None
        if self._stores.images.names_of(image_id):
            return Obstacle(False, False, "image is referenced in multiple repositories")
        return self._container_obstacle(image_id, stopped=True)

    async def _untag(self, image: Image, gone: list[Reference]) -> None:
        await self._stores.call(self._stores.images.untag, gone)
        failpoints.hit("images.untagged")
        for name in gone:
            self._stores.announce("untag", image)
            self.records.append({"Untagged": name.familiar})


def is_single(names: list[Reference]) -> bool:
    """One tag at most, and digests of its repository only."""
    if len(names) <= 1:
        return True
    tags = [name for name in names if name.digest is None]
    digests = {name.name for name in names if name.digest is not None}
    return len(tags) <= 1 and digests == {(tags or names)[0].name}


async def remove(
    stores: Stores, image: Image, name: Reference | None, shown: str, *, force: bool, users: Users
) -> Records:
    """``name``: the name that was given, None when it was an id. Raises: Conflict in Docker's words."""
    removal = Removal(stores, users)
    async with stores.change:
        if name is not None:
            await removal.by_name(image, name, shown, force=force)
        else:
            await removal.by_id(image, force=force)
    await stores.collect()
    return removal.records


async def remove_platforms(stores: Stores, images: list[Image], *, force: bool, users: Users) -> Records:
    """Raises: Conflict."""
    removal = Removal(stores, users)
    async with stores.change:
        for image in images:
            await removal.platform(image, force=force)
    await stores.collect()
    return removal.records
