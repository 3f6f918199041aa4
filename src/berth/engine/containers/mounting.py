"""Volumes and missing bind sources come into being here, after every check of a create has passed."""

from __future__ import annotations

import os
from typing import Any

from berth.base.errors import InvalidArgument, NotFound, Unsupported, from_oserror
from berth.base.undo import Undo
from berth.engine.containers.copy_up import copy_up
from berth.engine.containers.deps import Deps
from berth.engine.containers.mount_points import PlannedMount, inherit, parse_volumes_from
from berth.engine.containers.record import Container, MountPoint
from berth.engine.images.record import ImageRecord


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


async def make_mount(deps: Deps, planned: PlannedMount, image: ImageRecord, undo: Undo) -> MountPoint:
    """The mount with its source in place. Raises: NotFound (a driver, an image), ResourceExhausted."""
    point = planned.point
    if point.options.pop("inherited", False):
        return point
    if point.type == "volume":
        await _make_volume(deps, planned, image, undo)
    elif point.type == "image":
        found = await deps.images.resolve(point.name)
        point.options = {**point.options, "lower": deps.images.lower_dirs(found), "image": found.id}
        point.source = point.options["lower"][0]
    elif point.type == "bind" and planned.create_source and not os.path.lexists(point.source):
        try:
            os.makedirs(point.source, 0o755, exist_ok=True)
        except OSError as err:
            raise from_oserror(err, f"error while creating mount source path '{point.source}'") from err
    return point


async def _make_volume(deps: Deps, planned: PlannedMount, image: ImageRecord, undo: Undo) -> None:
    point = planned.point
    if point.driver != "local":
        raise NotFound(
            f'create {point.name}: error looking up volume plugin {point.driver}: plugin "{point.driver}" not found'
        )
    if point.options.get("driver_options"):
        raise Unsupported(
            f"create {point.name}: options of the local volume driver are not supported: make the volume first"
        )
    if point.anonymous:
        point.name, point.source = await deps.volumes.ensure_anonymous()
        deps.events.publish("volume", "create", point.name, {"driver": point.driver})
        undo.push("remove volume", _drop, deps, point.name)
    else:
        point.source, new = await deps.volumes.ensure(point.name, labels=point.options.get("labels"))
        if new:
            deps.events.publish("volume", "create", point.name, {"driver": point.driver})
    if planned.copy_up:
        await copy_up(deps, image, point)


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
    deps.tasks.start(deps.volumes.remove(name), f"remove volume {name[:12]}")
