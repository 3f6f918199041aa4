"""The use cases of ``/volumes``: create, list, inspect, remove, prune. Who uses a volume is derived from the containers.

They run to their end even when the client hangs up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from berth.base.errors import Conflict, InvalidArgument, NotFound
from berth.base.ids import new_id
from berth.engine.containers.deps import Deps
from berth.engine.containers.filters import has_label
from berth.engine.containers.remove import users_of_volume
from berth.snapshots.usage import tree_usage
from berth.spec.api.volumes import Volume, VolumeListResponse
from berth.volumes.store import ANONYMOUS

Filters = Mapping[str, Sequence[str]]
_LIST = ("dangling", "driver", "label", "label!", "name")
_PRUNE = ("all", "label", "label!")
_YES, _NO = ("1", "true", "t"), ("0", "false", "f")


class VolumeVerbs:
    """The Protocol ``Volumes`` of the API's seam."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    def _render(self, name: str) -> Volume:
        row = self._deps.volumes.get(name)
        rendered: dict[str, Any] = {
            "CreatedAt": row["created"], "Driver": "local", "Labels": row["labels"] or None,
            "Mountpoint": self._deps.volumes.path(name), "Name": name,
            "Options": self._deps.volumes.options(name) or None, "Scope": "local",
        }  # fmt: skip
        return rendered  # type: ignore[return-value]

    async def list_(self, filters: Filters) -> VolumeListResponse:
        _check(filters, _LIST)
        for value in filters.get("dangling", ()):
            if value.lower() not in (*_YES, *_NO):
                raise InvalidArgument(f"invalid filter 'dangling=[{value}]'")
        chosen = [name for name in self._deps.volumes.list_() if self._fits(name, filters)]
        return {"Volumes": [self._render(name) for name in chosen], "Warnings": None}  # type: ignore[typeddict-item]

    def _fits(self, name: str, filters: Filters) -> bool:
        wanted = filters.get("dangling", ())
        used = bool(wanted) and bool(users_of_volume(self._deps, name))
        return (
            (not wanted or any(used != (value.lower() in _YES) for value in wanted))
            and ("driver" not in filters or "local" in filters["driver"])
            and ("name" not in filters or any(value in name for value in filters["name"]))
            and self._labels_fit(name, filters)
        )

    def _labels_fit(self, name: str, filters: Filters) -> bool:
        labels = self._deps.volumes.get(name)["labels"] or {}
        return all(has_label(labels, value) for value in filters.get("label", ())) and not any(
            has_label(labels, value) for value in filters.get("label!", ())
        )

    async def inspect(self, name: str) -> Volume:
        return self._render(name)

    async def create(self, body: Mapping[str, Any]) -> Volume:
        """Making one that there is already changes nothing."""
        return await self._deps.tasks.run(self._create(body), "volume create")  # type: ignore[no-any-return]

    async def _create(self, body: Mapping[str, Any]) -> Volume:
        name, driver = str(body.get("Name") or ""), str(body.get("Driver") or "local")
        labels, options = dict(body.get("Labels") or {}), dict(body.get("DriverOpts") or {})
        if not name:
            name = new_id()
            labels[ANONYMOUS] = ""
        _check_driver(name, driver)
        _, new = await self._deps.volumes.ensure(name, labels=labels, options=options)
        if new:
            self._tell("create", name)
        return self._render(name)

    async def remove(self, name: str, *, force: bool) -> None:
        await self._deps.tasks.run(self._remove(name, force), "volume remove")

    async def _remove(self, name: str, force: bool) -> None:
        try:
            self._deps.volumes.get(name)
        except NotFound:
            if force:
                return
            raise
        users = await self._deps.volumes.remove(name, partial(users_of_volume, self._deps, name))
        if users:
            raise Conflict(f"remove {name}: volume is in use - [{', '.join(users)}]")
        self._tell("destroy", name)

    async def prune(self, filters: Filters, *, named: bool) -> dict[str, Any]:
        """Remove what no container mounts; with names that somebody gave only when ``named`` or the filter ``all`` says so."""
        _check(filters, _PRUNE)
        for value in filters.get("all", ()):
            if value.lower() not in (*_YES, *_NO):
                raise InvalidArgument(f"invalid filter 'all': strconv.ParseBool: parsing \"{value}\": invalid syntax")
        named = named or any(value.lower() in _YES for value in filters.get("all", ()))
        return await self._deps.tasks.run(self._prune(filters, named), "volume prune")  # type: ignore[no-any-return]

    async def _prune(self, filters: Filters, named: bool) -> dict[str, Any]:
        removed, reclaimed = [], 0
        for name in self._deps.volumes.list_():
            if not named and ANONYMOUS not in (self._deps.volumes.get(name)["labels"] or {}):
                continue
            if self._deps.volumes.options(name):
                continue  # what is mounted there is somebody else's, as in Docker
            if users_of_volume(self._deps, name) or not self._labels_fit(name, filters):
                continue
            size = (await asyncio.to_thread(tree_usage, self._deps.volumes.path(name))).disk
            if await self._deps.volumes.remove(name, partial(users_of_volume, self._deps, name)):
                continue  # somebody took it meanwhile
            self._tell("destroy", name)
            removed.append(name)
            reclaimed += size
        self._deps.events.publish("volume", "prune", "", {"reclaimed": str(reclaimed)})
        return {"VolumesDeleted": removed or None, "SpaceReclaimed": reclaimed}

    def _tell(self, action: str, name: str) -> None:
        self._deps.events.publish("volume", action, name, {"driver": "local"})


def _check(filters: Filters, known: Sequence[str]) -> None:
    for name in filters:
        if name not in known:
            raise InvalidArgument(f"invalid filter '{name}'")


def _check_driver(name: str, driver: str) -> None:
    """Raises: NotFound (a driver that there isn't)."""
    if driver != "local":
        raise NotFound(f'create {name}: error looking up volume plugin {driver}: plugin "{driver}" not found')
