"""A bundle: its config.json read and checked before anything is made.

Unknown members are ignored, as the specification asks; a known one of the wrong type is refused with its place in the document.
Spec: OCI runtime-spec 1.2 bundle.md, config.md.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from berth.base.errors import InvalidArgument, NotFound, Unsupported

_OBJECT, _LIST, _TEXT, _NUMBER, _BOOL = dict, list, str, int, bool
_TYPES: dict[str, Any] = {
    "ociVersion": _TEXT, "hostname": _TEXT, "domainname": _TEXT, "annotations": {"*": _TEXT}, "hooks": _OBJECT,
    "root": {"path": _TEXT, "readonly": _BOOL},
    "mounts": [{"destination": _TEXT, "type": _TEXT, "source": _TEXT, "options": [_TEXT], "uidMappings": "ids",
                "gidMappings": "ids"}],
    "process": {
        "terminal": _BOOL, "args": [_TEXT], "env": [_TEXT], "cwd": _TEXT, "noNewPrivileges": _BOOL, "oomScoreAdj": _NUMBER,
        "apparmorProfile": _TEXT, "selinuxLabel": _TEXT, "scheduler": _OBJECT, "ioPriority": _OBJECT,
        "consoleSize": {"height": _NUMBER, "width": _NUMBER}, "execCPUAffinity": {"initial": _TEXT, "final": _TEXT},
        "user": {"uid": _NUMBER, "gid": _NUMBER, "umask": _NUMBER, "additionalGids": [_NUMBER]},
        "rlimits": [{"type": _TEXT, "soft": _NUMBER, "hard": _NUMBER}],
        "capabilities": {"bounding": [_TEXT], "effective": [_TEXT], "permitted": [_TEXT], "inheritable": [_TEXT],
                         "ambient": [_TEXT]},
    },
    "linux": {
        "namespaces": [{"type": _TEXT, "path": _TEXT}], "uidMappings": "ids", "gidMappings": "ids",
        "devices": [{"path": _TEXT, "type": _TEXT, "major": _NUMBER, "minor": _NUMBER, "fileMode": _NUMBER,
                     "uid": _NUMBER, "gid": _NUMBER}],
        "cgroupsPath": _TEXT, "sysctl": {"*": _TEXT}, "maskedPaths": [_TEXT], "readonlyPaths": [_TEXT],
        "mountLabel": _TEXT, "rootfsPropagation": _TEXT, "personality": _OBJECT, "timeOffsets": {"*": _OBJECT},
        "resources": {
            "memory": {"*": (_NUMBER, _BOOL)}, "cpu": {"*": (_NUMBER, _TEXT)}, "pids": {"limit": _NUMBER},
            "blockIO": _OBJECT, "hugepageLimits": [{"pageSize": _TEXT, "limit": _NUMBER}], "network": _OBJECT,
            "rdma": {"*": _OBJECT}, "unified": {"*": _TEXT},
            "devices": [{"allow": _BOOL, "type": _TEXT, "major": _NUMBER, "minor": _NUMBER, "access": _TEXT}],
        },
    },
}  # fmt: skip
_IDS = [{"containerID": _NUMBER, "hostID": _NUMBER, "size": _NUMBER}]
_NAMES = {dict: "an object", list: "an array", str: "a string", int: "a number", bool: "a boolean"}


def read_config(bundle: str) -> dict[str, Any]:
    """The config with its root, sources and paths made absolute. Raises: NotFound, InvalidArgument, Unsupported."""
    try:
        with open(os.path.join(bundle, "config.json"), encoding="utf-8") as file:
            spec = json.load(file)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound("JSON specification file config.json not found") from None
    except (ValueError, RecursionError) as err:
        raise InvalidArgument(f"config.json is not JSON: {err}") from err
    return check_config(spec, bundle)


def check_config(spec: Any, bundle: str) -> dict[str, Any]:
    """Raises: InvalidArgument naming the member, NotFound (rootfs), Unsupported."""
    if not isinstance(spec, dict):
        raise InvalidArgument("config.json: it must be an object")
    version = spec.get("ociVersion")
    if not isinstance(version, str) or not version:
        raise InvalidArgument("config.json: ociVersion is missing")
    if version.split(".")[0] != "1":
        raise InvalidArgument(f"config.json: ociVersion {version} is not supported, only 1.x is")
    check_types(spec, _TYPES, "")
    for key in ("process", "root", "linux"):
        if not isinstance(spec.get(key), dict):
            raise InvalidArgument(f"config.json: {key} is missing")
    check_process(spec["process"])
    _refuse(spec)
    _settle_paths(spec, bundle)
    if spec.get("hooks"):
        from berth.oci import hooks

        hooks.check(spec["hooks"])
    return spec


def check_types(value: Any, shape: Any, where: str) -> None:
    """A document against ``_TYPES``; null stands for what is not there."""
    if value is None:
        return
    if shape == "ids":
        shape = _IDS
    if isinstance(shape, dict):
        _is(value, dict, where)
        for key, below in shape.items():
            for name in value if key == "*" else (key,):
                check_types(value.get(name), below, f"{where}.{name}" if where else name)
    elif isinstance(shape, list):
        _is(value, list, where)
        for at, item in enumerate(value):
            check_types(item, shape[0], f"{where}[{at}]")
    elif isinstance(shape, tuple):
        if not isinstance(value, shape):
            raise InvalidArgument(f"config.json: {where} must be {' or '.join(_NAMES[t] for t in shape)}")
    else:
        _is(value, shape, where)


def _is(value: Any, kind: type, where: str) -> None:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise InvalidArgument(f"config.json: {where} must be {_NAMES[kind]}, not {json.dumps(value)[:60]}")


def check_process(process: Mapping[str, Any]) -> None:
    """Raises: InvalidArgument."""
    cwd, args = process.get("cwd"), process.get("args")
    if not cwd:
        raise InvalidArgument("Cwd property must not be empty")
    if not str(cwd).startswith("/"):
        raise InvalidArgument("Cwd must be an absolute path")
    if not args:
        raise InvalidArgument("args must not be empty")
    for text in (*args, *(process.get("env") or ()), str(cwd)):
        if "\0" in text:
            raise InvalidArgument("config.json: process: a NUL byte is in args, env or cwd")


def _refuse(spec: Mapping[str, Any]) -> None:
    linux = spec["linux"]
    if linux.get("intelRdt") is not None:
        raise Unsupported("config.json: linux.intelRdt: this runtime does not drive resctrl")
    names = {str(n.get("type")) for n in linux.get("namespaces") or ()}
    if (spec.get("hostname") or spec.get("domainname")) and "uts" not in names:
        raise InvalidArgument("unable to set hostname without a private UTS namespace")
    for name in ("maskedPaths", "readonlyPaths"):
        for path in linux.get(name) or ():
            if not path.startswith("/"):
                raise InvalidArgument(f"config.json: linux.{name}: {path!r} is not an absolute path")


def _settle_paths(spec: dict[str, Any], bundle: str) -> None:
    path = spec["root"].get("path")
    if not path:
        raise InvalidArgument("config.json: root.path is missing")
    rootfs = os.path.normpath(os.path.join(bundle, path))
    if not os.path.isdir(rootfs):
        raise NotFound(f"invalid rootfs: {rootfs} does not exist or is no directory")
    if os.path.realpath(rootfs) == "/":
        raise InvalidArgument("invalid rootfs: it is the host's own root")
    spec["root"]["path"] = rootfs
    for mount in spec.get("mounts") or ():
        options = mount.get("options") or ()
        source = mount.get("source")
        if source and (mount.get("type") == "bind" or "bind" in options or "rbind" in options):
            mount["source"] = os.path.normpath(os.path.join(bundle, source))
