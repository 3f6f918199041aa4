"""``commit``: an image of what a container has become. Volumes and what else is mounted are not part of it."""

from __future__ import annotations

from typing import Any

from berth.base.errors import Conflict
from berth.engine.containers import control
from berth.engine.containers.create import merge_image
from berth.engine.containers.deps import Deps, publish
from berth.engine.containers.record import Container
from berth.engine.images.commit import Commit
from berth.images.changes import apply_changes
from berth.spec.reference import check_tag, parse_reference
from berth.spec.streams import CommitRequest

_KEPT = (
    "User ExposedPorts Env Entrypoint Cmd Volumes WorkingDir Labels StopSignal Healthcheck OnBuild Shell"
).split()  # what of a container's config an image has


async def commit(deps: Deps, wanted: CommitRequest) -> str:
    """The image's id. The container's processes stand still meanwhile where ``pause`` asks for it.

    Raises: NotFound, Conflict (being removed), InvalidArgument (a name, a change), ResourceExhausted.
    """
    container = deps.containers.get(wanted.container)
    name = None
    if wanted.repo:
        name = parse_reference(wanted.repo)
        name = name.with_tag(check_tag(wanted.tag)) if wanted.tag else name.tagged()
    if container.row.phase in ("removing", "dead"):
        raise Conflict(f"You cannot commit container {container.id} which is being removed")
    made = Commit(
        _config(container, wanted), " ".join([container.row.path, *container.row.args]), wanted.author, wanted.comment
    )
    pausing = wanted.pause and container.row.phase == "running"
    if pausing:
        await control.pause(deps, container.id)
    try:
        image_id = await deps.images.commit(container.id, container.row.image_id, made, name)
        more = {"imageRef": name.familiar} if name is not None else {}
        publish(deps, container, "commit", comment=wanted.comment, imageID=image_id, **more)
    finally:
        if pausing and container.row.phase == "paused":
            await control.unpause(deps, container.id)
    return image_id


def _config(container: Container, wanted: CommitRequest) -> dict[str, Any]:
    """The container's, under what the request says, with the changes applied."""
    config = dict(wanted.config or container.row.config)
    apply_changes(config, wanted.changes)
    merge_image(config, container.row.config)
    return {key: config[key] for key in _KEPT if config.get(key)}
