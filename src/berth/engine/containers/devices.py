"""``--device``: nodes of the host's, looked up when a container starts, since their numbers may change between starts."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import Any

from berth.base.errors import InvalidArgument


def resolve_devices(spec: dict[str, Any]) -> None:
    """Give each device that was asked for its type and numbers, and allow it (in place).

    A folder stands for every node below it. Raises: InvalidArgument in Docker's words when it is no device.
    """
    for entries in (spec["linux"]["resources"].get("blockIO") or {}).values():
        if isinstance(entries, list):
            _number(entries)
    asked = spec["linux"].get("devices") or []
    found: list[dict[str, Any]] = []
    rules = spec["linux"]["resources"].setdefault("devices", []) if asked else []
    for device in asked:
        for host_path, path in _nodes(str(device["hostPath"]), str(device["path"])):
            info = os.stat(host_path)
            kind = "b" if stat.S_ISBLK(info.st_mode) else "c"
            major, minor = os.major(info.st_rdev), os.minor(info.st_rdev)
            found.append({
                "path": path, "type": kind, "major": major, "minor": minor, "fileMode": stat.S_IMODE(info.st_mode),
                "uid": info.st_uid, "gid": info.st_gid,
            })  # fmt: skip
            rules.append({"allow": True, "type": kind, "major": major, "minor": minor, "access": device["access"]})
    if asked:
        spec["linux"]["devices"] = found


def _number(entries: list[dict[str, Any]]) -> None:
    """The numbers of the block devices that limits name (in place)."""
    for entry in entries:
        path = str(entry.pop("path"))
        try:
            number = os.stat(path).st_rdev
        except OSError as err:
            raise InvalidArgument(f"stat {path}: {(err.strerror or str(err)).lower()}") from err
        entry["major"], entry["minor"] = os.major(number), os.minor(number)


def select_drivers(requests: list[dict[str, Any]]) -> None:
    """``--gpus`` and CDI names: no driver for either is here. Raises: InvalidArgument in Docker's words."""
    for request in requests:
        if request.get("Driver") == "cdi":
            names = ", ".join(request.get("DeviceIDs") or [])
            raise InvalidArgument(f"CDI device injection failed: unresolvable CDI devices {names}")
        capabilities = " ".join(f"[{' '.join(group)}]" for group in request.get("Capabilities") or [])
        raise InvalidArgument(
            f'could not select device driver "{request.get("Driver") or ""}" with capabilities: [{capabilities}]'
        )


def _nodes(host_path: str, path: str) -> Iterator[tuple[str, str]]:
    """Pairs of a node on the host and its place in the container."""
    try:
        mode = os.stat(host_path).st_mode
    except OSError as err:
        raise InvalidArgument(_refusal(host_path, (err.strerror or str(err)).lower())) from err
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        yield host_path, path
        return
    nodes = [os.path.join(folder, name) for folder, _, names in os.walk(host_path) for name in sorted(names)]
    nodes = [node for node in nodes if _is_node(node)]
    if not nodes:
        raise InvalidArgument(_refusal(host_path, "not a device node"))
    for node in nodes:
        yield node, os.path.join(path, os.path.relpath(node, host_path))


def _is_node(path: str) -> bool:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def _refusal(host_path: str, why: str) -> str:
    return f'error gathering device information while adding custom device "{host_path}": {why}'
