"""Volumes and missing bind sources come into being here, after every check of a create has passed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import Any

from berth.base.errors import InvalidArgument, NotFound, from_oserror
from berth.base.ids import new_id
from berth.base.undo import Undo
from berth.engine.containers.copy_up import copy_up
from berth.engine.containers.deps import Deps
from berth.engine.containers.mount_points import PlannedMount, inherit, parse_volumes_from
from berth.engine.containers.record import Container, ContainerRow, MountPoint
from berth.engine.containers.remapping import make_folders, shift_for
from berth.engine.images.record import ImageRecord
from berth.volumes.store import ANONYMOUS


def inherited_mounts(deps: Deps, hc: dict[str, Any]) -> list[MountPoint]:
    """What ``--volumes-from`` brings; of two mounts on one place the later container's. Raises: InvalidArgument."""
    found: dict[str, MountPoint] = {}
    for text in hc.get("VolumesFrom") or []:
        ref, mode = parse_volumes_from(str(text))
        try:
            other = deps.containers.get(ref)
        except NotFound as err:
            raise InvalidArgument(err.message) from err
        found |= {point.destination: point for point in inherit(other.row.mounts, mode)}
    return list(found.values())


async def make_mount(
    deps: Deps, planned: PlannedMount, image: ImageRecord, row: ContainerRow, undo: Undo
) -> MountPoint:
    """The mount of a container in the making, its source in place. Raises: NotFound (a driver, an image), ResourceExhausted."""
    point = planned.point
    if point.options.pop("inherited", False):
        return point
    if point.type == "volume":
        await _make_volume(deps, planned, image, row, undo)
    elif point.type == "image":
        found = await deps.images.resolve(point.name)
        point.options = {**point.options, "lower": deps.images.lower_dirs(found), "image": found.id}
        point.source = point.options["lower"][0]
    elif point.type == "bind" and planned.create_source and not os.path.lexists(point.source):
        try:
            make_folders(deps, row, point.source)
        except OSError as err:
            raise from_oserror(err, f"error while creating mount source path '{point.source}'") from err
    return point


def claim_volumes(deps: Deps, planned: Sequence[PlannedMount], container_id: str) -> None:
    """Nobody removes them from here on, until ``unclaim``; those without a name get one."""
    for item in planned:
        if item.point.type == "volume":
            item.point.name = item.point.name or new_id()
            deps.volumes.claim(item.point.name, container_id)


async def _make_volume(deps: Deps, planned: PlannedMount, image: ImageRecord, row: ContainerRow, undo: Undo) -> None:
    point = planned.point
    if point.driver != "local":
        raise NotFound(
            f'create {point.name}: error looking up volume plugin {point.driver}: plugin "{point.driver}" not found'
        )
    labels = {ANONYMOUS: ""} if point.anonymous else {}
    point.source, new = await deps.volumes.ensure(
        point.name, labels=labels | point.options.get("labels", {}), options=point.options.get("driver_options")
    )
    if new:
        deps.events.publish("volume", "create", point.name, {"driver": point.driver})
        if point.anonymous:
            undo.push("remove volume", _drop, deps, point.name)
    if deps.volumes.needs_mount(point.name):
        point.options = {**point.options, "now": True}
    if planned.copy_up:
        async with deps.locks.hold(("populate", point.name)):
            await copy_up(deps, image, point, row)


def volumes_of(container: Container) -> list[str]:
    return [point.name for point in container.row.mounts if point.type == "volume"]


async def take_volumes(deps: Deps, container: Container) -> None:
    """Volumes with options are mounted for it, the others' files get its ids.

    Raises: Internal, Unsupported, InvalidArgument, Unavailable, ResourceExhausted.
    """
    for name in volumes_of(container):
        await deps.volumes.take(name, container.id, shift_for(deps, container.row))


async def adopt_volumes(deps: Deps, container: Container) -> None:
    """It runs since before this daemon started. Raises: as ``take_volumes``."""
    for name in volumes_of(container):
        await deps.volumes.adopt(name, container.id)


async def give_volumes_back(deps: Deps, container: Container) -> None:
    """It has ended, or never ran."""
    for name in volumes_of(container):
        await deps.volumes.give_back(name, container.id)


def publish_mounts(deps: Deps, container: Container, action: str) -> None:
    """The events ``mount`` and ``unmount`` of a container's volumes."""
    for point in container.row.mounts:
        if point.type != "volume":
            continue
        more = {} if action == "unmount" else {
            "destination": point.destination, "propagation": point.propagation, "read/write": str(point.rw).lower(),
        }  # fmt: skip
        deps.events.publish("volume", action, point.name, {"container": container.id, "driver": point.driver, **more})


def _drop(deps: Deps, name: str) -> None:
    from berth.engine.containers.remove import users_of_volume

    work = deps.volumes.remove(name, partial(users_of_volume, deps, name))
    deps.tasks.start(work, f"remove volume {name[:12]}")
