"""``create``: check everything, merge with the image, reserve the name, make the filesystem, write the row.

Nothing is half made: the checks come first, and what is acquired is pushed on an undo stack.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, cast

from berth.base import failpoints
from berth.base.clock import now_ns
from berth.base.errors import AlreadyExists, InvalidArgument, NotFound, from_oserror
from berth.base.ids import new_id
from berth.base.undo import Undo
from berth.engine.containers import names
from berth.engine.containers.checks.endpoints import settle_mac
from berth.engine.containers.checks.modes import name_network_owner
from berth.engine.containers.deps import Deps, log, publish
from berth.engine.containers.endpoints import settle_networks
from berth.engine.containers.links import check_links, remember_links
from berth.engine.containers.mount_points import check_specs, plan_mounts
from berth.engine.containers.mounting import claim_volumes, inherited_mounts, make_mount
from berth.engine.containers.options import check_config, check_drivers, check_host_config, fill_defaults, storage_size
from berth.engine.containers.record import Container, ContainerRow, encode_row
from berth.engine.images.record import ImageRecord
from berth.spec import messages
from berth.spec.api.containers import ContainerCreateResponse


async def create(deps: Deps, body: dict[str, Any], name: str | None, platform: str | None) -> ContainerCreateResponse:
    """Make a container from a create body.

    Raises: InvalidArgument, NotFound (the image), AlreadyExists (the name), ResourceExhausted.
    """
    host_config: dict[str, Any] = dict(body.get("HostConfig") or {})
    endpoints: dict[str, Any] = dict((body.get("NetworkingConfig") or {}).get("EndpointsConfig") or {})
    config = {k: v for k, v in body.items() if k not in ("HostConfig", "NetworkingConfig")}
    image_ref = str(config.get("Image") or "")
    if not body:
        raise InvalidArgument(messages.config_empty())
    if not image_ref:
        raise InvalidArgument("no image specified: the create body's Image is empty")
    warnings = check_host_config(deps, config, host_config)
    check_specs(host_config)
    image = await deps.images.resolve(image_ref, platform)
    check_platform(image, image_ref, platform)
    merge_image(config, image.config)
    check_config(config)
    check_drivers(deps, host_config)
    path, args = command_of(config)
    fill_defaults(deps, config, host_config)
    name_network_owner(deps.containers.find, host_config)
    wishes = {} if config.get("NetworkDisabled") else settle_networks(deps, host_config, endpoints)
    settle_mac(config, host_config, wishes)
    check_links(deps, host_config)
    planned = plan_mounts(config, host_config, inherited_mounts(deps, host_config))

    container_id = new_id()
    with Undo(lambda what, err: log.error("undo of create: %s: %s", what, err)) as undo:
        chosen = _reserve_name(deps, name, container_id)
        undo.push("release name", deps.containers.release_name, chosen, container_id)
        undo.push("unclaim volumes", deps.volumes.unclaim, container_id)
        claim_volumes(deps, planned, container_id)
        row = ContainerRow(
            id=container_id, name=chosen, created_ns=now_ns(), image_id=image.id, image_ref=image_ref,
            chain_id=image.chain_id, platform=str(image.document.get("os") or "linux"), path=path, args=args,
            config=config, host_config=host_config, endpoints=wishes,
            manifest=cast("dict[str, Any] | None", image.manifest),
        )  # fmt: skip
        directory = deps.layout.container_dir(container_id)
        try:
            os.mkdir(directory, 0o710)
            undo.push("remove directory", os.rmdir, directory)
            failpoints.hit("create.directory")
            prepared = await deps.images.make_rootfs(container_id, image, size_bytes=storage_size(deps, host_config))
            undo.push("remove filesystem", deps.images.remove_rootfs, container_id)
            failpoints.hit("create.filesystem")
        except OSError as err:
            raise from_oserror(err, f"create the filesystem of container {chosen}") from err
        for item in planned:
            row.mounts.append(await make_mount(deps, item, image, row, undo))
        doc = encode_row(row).decode()

        def insert(conn: Any) -> None:
            prepared.row(conn)
            conn.execute("INSERT INTO containers VALUES (?, ?, ?, ?)", (row.id, row.name, row.created_ns, doc))

        await deps.db.write(insert, durable=not host_config.get("AutoRemove"))
        container = Container(row)
        deps.containers.add(container)
        deps.volumes.unclaim(container_id)
        remember_links(deps, container)
    publish(deps, container, "create")
    return {"Id": container_id, "Warnings": warnings}


def check_platform(image: ImageRecord, ref: str, platform: str | None) -> None:
    """Raises: NotFound when the image that is here is for another platform than the one asked for."""
    if not platform:
        return
    wanted = platform.split("/")
    have = [str(image.document.get("os") or ""), str(image.document.get("architecture") or "")]
    if wanted[0] != have[0] or (len(wanted) > 1 and wanted[1] != have[1]):
        raise NotFound(
            f"image with reference {ref} was found but its platform ({'/'.join(have)}) does not match the "
            f"specified platform ({platform})"
        )


def _reserve_name(deps: Deps, name: str | None, container_id: str) -> str:
    if name:
        clean = names.check(name)
        deps.containers.reserve_name(clean, container_id)
        return clean
    for attempt in range(50):
        candidate = names.generate(attempt)
        try:
            deps.containers.reserve_name(candidate, container_id)
        except AlreadyExists:
            continue
        return candidate
    raise AlreadyExists("could not find a free name for the container: give one with --name")


def merge_image(config: dict[str, Any], image: Mapping[str, Any]) -> None:
    """What the user left open comes from the image (in place)."""
    if not config.get("User"):
        config["User"] = image.get("User") or ""
    folder = config.get("WorkingDir") or image.get("WorkingDir") or ""
    config["WorkingDir"] = "/" + os.path.normpath(folder).lstrip("/") if folder else ""
    if not config.get("StopSignal") and image.get("StopSignal"):
        config["StopSignal"] = image["StopSignal"]
    if not config.get("Healthcheck") and image.get("Healthcheck"):
        config["Healthcheck"] = image["Healthcheck"]
    env = list(config.get("Env") or [])
    given = {entry.partition("=")[0] for entry in env}
    config["Env"] = env + [e for e in image.get("Env") or [] if e.partition("=")[0] not in given]
    for key in ("Labels", "ExposedPorts", "Volumes"):
        merged = {**(image.get(key) or {}), **(config.get(key) or {})}
        config[key] = merged or ({} if key == "Labels" else None)
    entrypoint = config.get("Entrypoint")
    if isinstance(entrypoint, str):
        entrypoint = [entrypoint]
    if isinstance(config.get("Cmd"), str):
        config["Cmd"] = [config["Cmd"]]
    if not entrypoint:
        if not config.get("Cmd"):
            config["Cmd"] = image.get("Cmd")
        if entrypoint is None:
            entrypoint = image.get("Entrypoint")
    config["Entrypoint"] = None if entrypoint == [""] else entrypoint


def command_of(config: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Path and arguments. Raises: InvalidArgument when neither image nor user names a command."""
    words = [*(config.get("Entrypoint") or []), *(config.get("Cmd") or [])]
    if not words:
        raise InvalidArgument("no command specified")
    return str(words[0]), [str(w) for w in words[1:]]
