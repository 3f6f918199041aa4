"""``HostConfig.Mounts``: one ``--mount`` → a ``PlannedMount``; what does not belong together is refused in Docker's words.

Spec: Engine API v1.51, definition Mount.
"""

from __future__ import annotations

import os
import posixpath
from typing import Any

from berth.base.errors import InvalidArgument
from berth.engine.containers.mount_points import PlannedMount, clean_place
from berth.engine.containers.record import MountPoint
from berth.spec import messages

_OPTIONS_OF = {"bind": "BindOptions", "volume": "VolumeOptions", "tmpfs": "TmpfsOptions", "image": "ImageOptions"}
_PROPAGATION = ("private", "rprivate", "shared", "rshared", "slave", "rslave")
_TMPFS_WORDS = frozenset(
    "exec noexec suid nosuid dev nodev size mode uid gid nr_inodes nr_blocks mpol relatime norelatime strictatime "
    "nostrictatime noatime atime diratime nodiratime ro rw sync async dirsync".split()
)


def plan_spec(spec: dict[str, Any]) -> PlannedMount:
    """Raises: InvalidArgument."""
    kind, target, source = (str(spec.get(k) or "") for k in ("Type", "Target", "Source"))

    def bad(why: str) -> InvalidArgument:
        return InvalidArgument(messages.invalid_mount(kind, why))

    if not target:
        raise bad("field Target must not be empty")
    if kind not in _OPTIONS_OF:
        raise bad("mount type unknown")
    if not posixpath.isabs(target):
        raise bad(messages.mount_path_not_absolute(target))
    target = clean_place(target)
    if target == "/":
        raise bad(messages.mount_on_root())
    for other, key in _OPTIONS_OF.items():
        if other != kind and spec.get(key) is not None:
            raise InvalidArgument(f'{key} must not be specified on mount type "{kind}"')
    options = spec.get(_OPTIONS_OF[kind]) or {}
    try:
        return _PLANS[kind](source, target, not spec.get("ReadOnly"), options)
    except _Refused as err:
        raise bad(str(err)) from None


class _Refused(Exception):
    """Why a mount is refused, without its type."""


def _plan_bind(source: str, target: str, rw: bool, options: dict[str, Any]) -> PlannedMount:
    if not source:
        raise _Refused("field Source must not be empty")
    propagation = str(options.get("Propagation") or "")
    if propagation and propagation not in _PROPAGATION:
        raise _Refused(f"invalid propagation mode: {propagation}")
    if not posixpath.isabs(source):
        raise _Refused(messages.mount_path_not_absolute(source))
    create = bool(options.get("CreateMountpoint"))
    if not create and not os.path.lexists(source):
        raise _Refused(f"bind source path does not exist: {source}")
    kept: dict[str, Any] = {"bind": "bind" if options.get("NonRecursive") else "rbind"}
    if options.get("ReadOnlyNonRecursive"):
        kept["readonly"] = "top"
    elif options.get("ReadOnlyForceRecursive"):
        kept["readonly"] = "recursive"
    point = MountPoint(
        type="bind", source=posixpath.normpath(source), destination=target, rw=rw,
        propagation=propagation or "rprivate", options=kept,
    )  # fmt: skip
    return PlannedMount(point, create, False)


def _plan_volume(source: str, target: str, rw: bool, options: dict[str, Any]) -> PlannedMount:
    subpath = _subpath(options)
    if subpath and not source:
        raise _Refused("must not set Subpath when using anonymous volumes")
    config = options.get("DriverConfig") or {}
    kept: dict[str, Any] = {"labels": options.get("Labels") or {}, "driver_options": config.get("Options") or {}}
    if subpath:
        kept["subpath"] = subpath
    point = MountPoint(
        type="volume", source="", name=source, destination=target, rw=rw, driver=str(config.get("Name") or "local"),
        mode="z", anonymous=not source, options=kept,
    )  # fmt: skip
    return PlannedMount(point, False, not options.get("NoCopy"))


def _plan_tmpfs(source: str, target: str, rw: bool, options: dict[str, Any]) -> PlannedMount:
    if source:
        raise _Refused("field Source must not be specified")
    words = [] if rw else ["ro"]
    if int(options.get("SizeBytes") or 0) > 0:
        words.append(f"size={int(options['SizeBytes'])}")
    if options.get("Mode"):
        words.append(f"mode={int(options['Mode']):o}")
    for option in options.get("Options") or []:
        if not 1 <= len(option) <= 2:
            raise _Refused("invalid option array length")
        if option[0] not in _TMPFS_WORDS:
            raise _Refused(f"invalid option: {option[0]}")
        words.append("=".join(option))
    point = MountPoint(type="tmpfs", source="", destination=target, rw=rw, options={"tmpfs": ",".join(words)})
    return PlannedMount(point, False, False)


def _plan_image(source: str, target: str, rw: bool, options: dict[str, Any]) -> PlannedMount:
    """Always read-only; the image is looked up by ``create``."""
    if not source:
        raise _Refused("field Source must not be empty")
    subpath = _subpath(options)
    point = MountPoint(
        type="image", source="", name=source, destination=target, rw=False, propagation="rprivate",
        options={"subpath": subpath} if subpath else {},
    )  # fmt: skip
    return PlannedMount(point, False, False)


def _subpath(options: dict[str, Any]) -> str:
    subpath = str(options.get("Subpath") or "")
    if subpath and (posixpath.isabs(subpath) or posixpath.normpath(subpath).split("/")[0] == ".."):
        raise _Refused("subpath must be a relative path within the volume")
    return posixpath.normpath(subpath) if subpath else ""


_PLANS = {"bind": _plan_bind, "volume": _plan_volume, "tmpfs": _plan_tmpfs, "image": _plan_image}
