"""``system df``: what lies on the disk, by owner; every byte of the data-root is somebody's."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from berth.base.errors import InvalidArgument
from berth.base.layout import Layout
from berth.snapshots.usage import disk_of, rest_usage, tree_usage

if TYPE_CHECKING:
    from berth.engine.containers.service import ContainerService
    from berth.engine.images.service import ImageService
    from berth.volumes.store import VolumeStore

TYPES = ("container", "image", "volume", "build-cache")


class DiskUsage:
    def __init__(
        self, layout: Layout, containers: ContainerService, images: ImageService, volumes: VolumeStore
    ) -> None:
        self._layout = layout
        self._containers = containers
        self._images = images
        self._volumes = volumes

    async def report(self, types: Iterable[str]) -> dict[str, Any]:
        """The answer of ``/system/df``; without ``types`` all of it. Raises: InvalidArgument for a type that there isn't.

        ``Berth`` is this engine's own addition: what the other keys have no room for, in bytes on the disk. ``LayersSize``,
        the volumes' sizes and all of ``Berth`` together are what ``du`` finds in the data-root.
        """
        wanted = set(types)
        for name in wanted - set(TYPES):
            raise InvalidArgument(f"unknown object type: {name}")
        found: dict[str, Any] = {
            "LayersSize": 0,
            "Images": None,
            "Containers": None,
            "Volumes": None,
            "BuildCache": None,
        }
        if not wanted or "image" in wanted:
            found["LayersSize"], found["Images"] = await self._images.disk_usage()
        if not wanted or "container" in wanted:
            found["Containers"] = await self._containers.list_(all_=True, limit=None, size=True, filters={})
        if not wanted or "volume" in wanted:
            found["Volumes"] = await self._all_volumes()
        if not wanted or "build-cache" in wanted:
            found["BuildCache"] = []
        if not wanted:
            found["Berth"] = await asyncio.to_thread(self._rest)
        return found

    async def _all_volumes(self) -> list[dict[str, Any]]:
        users: dict[str, int] = {}
        for container in await self._containers.list_(all_=True, limit=None, size=False, filters={}):
            for mount in container.get("Mounts") or ():
                if mount.get("Type") == "volume":
                    users[mount.get("Name", "")] = users.get(mount.get("Name", ""), 0) + 1
        names = [name for name in self._volumes.list_() if not self._volumes.options(name)]  # else not on this disk
        return [await asyncio.to_thread(self._volume, name, users.get(name, 0)) for name in names]

    def _volume(self, name: str, users: int) -> dict[str, Any]:
        row = self._volumes.get(name)
        path = self._volumes.path(name)
        return {
            "CreatedAt": row.get("created", ""), "Driver": "local", "Labels": row.get("labels") or None, "Mountpoint": path,
            "Name": name, "Options": None, "Scope": "local",
            "UsageData": {"RefCount": users, "Size": tree_usage(path).disk},
        }  # fmt: skip

    def _rest(self) -> dict[str, int]:
        layout = self._layout
        database = [layout.db, f"{layout.db}-wal", f"{layout.db}-shm"]
        trash = [layout.trash, layout.trash_images]
        downloads = os.path.join(layout.content, "ingest")
        volumes = [self._volumes.path(name) for name in self._volumes.list_()]
        known = {*database, *trash, *volumes, downloads, layout.containers, *self._images.paths()}
        return {
            "Database": sum(disk_of(path) for path in database),
            "Logs": tree_usage(layout.containers).disk,
            "Downloads": tree_usage(downloads).disk,
            "Trash": sum(tree_usage(path).disk for path in trash),
            "WritableLayers": self._images.disk_of_containers(),
            "Other": rest_usage(layout.data_root, known),
        }
