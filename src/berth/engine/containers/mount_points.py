"""``-v``, ``--mount``, ``--tmpfs``, ``--volumes-from`` and the image's VOLUMEs → ``MountPoint``s, resolved once at create.

    volumes-from   what another container mounts, unless a place is named again
    Binds          -v                    a place twice is refused
    Mounts         --mount               (mount_specs.py)
    Tmpfs          --tmpfs
    Volumes        the image's and -v /place, for places that nobody named

Spec: Engine API, HostConfig.Binds and HostConfig.Mounts; order and sentences are Docker's.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import Any, NamedTuple

from berth.base.errors import InvalidArgument
from berth.engine.containers.record import MountPoint
from berth.spec import messages

_RW = ("ro", "rw")
_PROPAGATION = ("private", "rprivate", "shared", "rshared", "slave", "rslave")
_LABEL = ("z", "Z")
_CONSISTENCY = ("consistent", "cached", "delegated", "default")
_MODE_GROUPS = (_RW, _PROPAGATION, _LABEL, ("nocopy",), _CONSISTENCY)


class PlannedMount(NamedTuple):
    """A mount whose volume may not exist yet (``source`` is a volume name then, empty for an anonymous one)."""

    point: MountPoint
    create_source: bool  # Binds make a missing host directory, Mounts refuse it
    copy_up: bool


def plan_mounts(
    config: dict[str, Any], host_config: dict[str, Any], inherited: Sequence[MountPoint] = ()
) -> list[PlannedMount]:
    """``inherited``: what --volumes-from names. Raises: InvalidArgument in Docker's words; nothing was created."""
    from berth.engine.containers.mount_specs import plan_spec

    named: dict[str, PlannedMount] = {}
    driver = str(host_config.get("VolumeDriver") or "")
    tmpfs = {_tmpfs_place(place): str(options) for place, options in (host_config.get("Tmpfs") or {}).items()}
    for item in (
        *(plan_bind(str(bind), driver) for bind in host_config.get("Binds") or []),
        *(plan_spec(spec) for spec in host_config.get("Mounts") or []),
    ):
        if item.point.destination in named or item.point.destination in tmpfs:
            raise InvalidArgument(f"Duplicate mount point: {item.point.destination}")
        named[item.point.destination] = item
    for place, options in tmpfs.items():
        point = MountPoint(type="tmpfs", source="", destination=place, options={"tmpfs": options, "short": True})
        named[place] = PlannedMount(point, False, False)
    planned = {p.destination: PlannedMount(p, False, False) for p in inherited if p.destination not in named} | named
    for place in config.get("Volumes") or {}:
        clean = clean_place(place)
        if clean not in planned:
            point = MountPoint(type="volume", source="", destination=clean, driver="local", anonymous=True)
            planned[clean] = PlannedMount(point, False, True)
    return list(planned.values())


def check_specs(host_config: dict[str, Any]) -> None:
    """What is wrong in ``Mounts`` and ``Tmpfs`` by itself. Raises: InvalidArgument in Docker's words."""
    from berth.engine.containers.mount_specs import plan_spec

    for place in host_config.get("Tmpfs") or {}:
        _tmpfs_place(place)
    for spec in host_config.get("Mounts") or []:
        plan_spec(spec)


def plan_bind(text: str, driver: str = "") -> PlannedMount:
    """``source:destination[:mode]`` or ``destination`` alone."""
    parts = text.split(":")
    if len(parts) > 3 or not parts[0] or (len(parts) == 2 and valid_mode(parts[1])):
        raise InvalidArgument(f"invalid volume specification: '{text}'")
    mode = parts[2] if len(parts) == 3 else ""
    if not valid_mode(mode):
        raise InvalidArgument(f"invalid mode: {mode}")
    source, destination = (parts[0], parts[1]) if len(parts) > 1 else ("", parts[0])
    words = mode.split(",")
    propagation = next((w for w in words if w in _PROPAGATION), "")
    bind = posixpath.isabs(source)

    def bad(why: str) -> InvalidArgument:
        kind = "bind" if bind else "volume"
        return InvalidArgument(f"invalid volume specification: '{text}': {messages.invalid_mount(kind, why)}")

    if not posixpath.isabs(destination):
        raise bad(messages.mount_path_not_absolute(destination))
    destination = clean_place(destination)
    if destination == "/":
        raise bad(messages.mount_on_root())
    if bind and "nocopy" in words:
        raise bad("field VolumeOptions must not be specified")
    if not bind and propagation:
        raise bad("field BindOptions must not be specified")
    point = MountPoint(
        type="bind" if bind else "volume", source=posixpath.normpath(source) if bind else "",
        name="" if bind else source, destination=destination, rw="ro" not in words,
        driver="" if bind else driver or "local", mode=mode or ("" if bind else "z"),
        propagation=propagation or ("rprivate" if bind else ""), anonymous=not source,
    )  # fmt: skip
    return PlannedMount(point, create_source=bind, copy_up=not bind and "nocopy" not in words)


def valid_mode(mode: str) -> bool:
    """At most one word of each group."""
    if not mode:
        return True
    words = mode.split(",")
    known = {w for group in _MODE_GROUPS for w in group}
    return all(w in known for w in words) and all(sum(w in group for w in words) <= 1 for group in _MODE_GROUPS)


def parse_volumes_from(text: str) -> tuple[str, str]:
    """``container[:mode]`` → (container, ro, rw or nothing). Raises: InvalidArgument."""
    if not text:
        raise InvalidArgument("volumes-from specification cannot be an empty string")
    ref, colon, mode = text.partition(":")
    if colon and (not valid_mode(mode) or any(w in _PROPAGATION or w == "nocopy" for w in mode.split(","))):
        raise InvalidArgument(f"invalid mode: {mode}")
    if not ref:
        raise InvalidArgument('invalid name or ID supplied: ""')
    return ref, mode


def inherit(points: Sequence[MountPoint], mode: str) -> list[MountPoint]:
    """Another container's mounts, as --volumes-from gives them: what was read-only stays so."""
    words = mode.split(",") if mode else []
    found = []
    for point in points:
        if point.type == "tmpfs" or point.type == "image":
            continue
        found.append(MountPoint(
            type=point.type, source=point.source, destination=point.destination, rw=point.rw and "ro" not in words,
            name=point.name, driver=point.driver, mode=mode if mode else point.mode if point.type == "bind" else "",
            propagation=point.propagation, options={**point.options, "inherited": True},
        ))  # fmt: skip
    return found


def _tmpfs_place(path: str) -> str:
    if not posixpath.isabs(path):
        raise InvalidArgument(messages.mount_path_not_absolute(path))
    clean = clean_place(path)
    if clean == "/":
        raise InvalidArgument(messages.mount_on_root())
    return clean


def clean_place(path: str) -> str:
    """The place inside the container, absolute and without dots."""
    if not posixpath.isabs(path):
        raise InvalidArgument(messages.mount_path_not_absolute(path))
    return "/" + posixpath.normpath(path).lstrip("/")
