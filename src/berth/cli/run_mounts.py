"""``--mount`` as docker reads it: ``type=bind,source=/a,target=/b,readonly`` → a Mount of the create body."""

from __future__ import annotations

import os

from berth.base.errors import InvalidArgument
from berth.cli.run_values import csv_fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ALONE = frozenset({"readonly", "ro", "volume-nocopy", "bind-nonrecursive"})
"""Keys that may stand without a value."""
_RECURSIVE: dict[str, dict[str, Any]] = {
    "enabled": {}, "disabled": {"NonRecursive": True}, "writable": {"ReadOnlyNonRecursive": True},
    "readonly": {"ReadOnlyForceRecursive": True},
}  # fmt: skip


def parse_mount(text: str) -> dict[str, Any]:
    """Raises: InvalidArgument with what is wrong, in docker's words."""
    mount: dict[str, Any] = {"Type": "volume"}
    for field in csv_fields(text):
        key, eq, value = field.partition("=")
        key = key.strip().lower()
        if not eq and key not in _ALONE:
            raise InvalidArgument(f"invalid field '{field}' must be a key=value pair")
        _set(mount, key, value if eq else "true", field)
    if not mount.get("Type"):
        raise InvalidArgument("type is required")
    if not mount.get("Target"):
        raise InvalidArgument("target is required")
    for kind in ("Volume", "Bind", "Tmpfs", "Image"):
        if f"{kind}Options" in mount and mount["Type"] != kind.lower():
            raise InvalidArgument(f"cannot mix '{kind.lower()}-*' options with mount type '{mount['Type']}'")
    _check_recursive(mount)
    return mount


def _check_recursive(mount: dict[str, Any]) -> None:
    bind = mount.get("BindOptions", {})
    if (bind.get("ReadOnlyNonRecursive") or bind.get("ReadOnlyForceRecursive")) and not mount.get("ReadOnly"):
        word = "writable" if bind.get("ReadOnlyNonRecursive") else "readonly"
        raise InvalidArgument(f"option 'bind-recursive={word}' requires 'readonly' to be specified in conjunction")
    if bind.get("ReadOnlyForceRecursive") and bind.get("Propagation") != "rprivate":
        raise InvalidArgument(
            "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction"
        )


def _set(mount: dict[str, Any], key: str, value: str, field: str) -> None:
    if key == "type":
        mount["Type"] = value.lower()
    elif key in ("source", "src"):
        mount["Source"] = os.path.abspath(value) if value == "." or value.startswith(("./", "../")) else value
    elif key in ("target", "dst", "destination"):
        mount["Target"] = value
    elif key in ("readonly", "ro"):
        if _truth(key, value):
            mount["ReadOnly"] = True
    elif key == "consistency":
        mount["Consistency"] = value
    elif key.startswith("bind-"):
        _set_bind(mount, key, value, field)
    elif key.startswith("volume-"):
        _set_volume(mount, key, value, field)
    elif key == "image-subpath":
        mount.setdefault("ImageOptions", {})["Subpath"] = value
    elif key in ("tmpfs-size", "tmpfs-mode"):
        _set_tmpfs(mount, key, value)
    else:
        raise InvalidArgument(f"unexpected key '{key}' in '{field}'")


def _truth(key: str, value: str) -> bool:
    if value not in ("1", "t", "T", "true", "TRUE", "True", "0", "f", "F", "false", "FALSE", "False"):
        raise InvalidArgument(f"invalid value for {key}: {value}")
    return value[0] in "1tT"


def _set_bind(mount: dict[str, Any], key: str, value: str, field: str) -> None:
    options = mount.setdefault("BindOptions", {}) if value != "enabled" else {}
    if key == "bind-propagation":
        options["Propagation"] = value.lower()
    elif key == "bind-nonrecursive":
        options["NonRecursive"] = _truth(key, value)
    elif key == "bind-recursive":
        if value not in _RECURSIVE:
            raise InvalidArgument(
                f'invalid value for bind-recursive: {value} (must be "enabled", "disabled", "writable", or "readonly")'
            )
        options.update(_RECURSIVE[value])
    else:
        raise InvalidArgument(f"unexpected key '{key}' in '{field}'")


def _set_volume(mount: dict[str, Any], key: str, value: str, field: str) -> None:
    options = mount.setdefault("VolumeOptions", {"DriverConfig": {}})
    if key == "volume-nocopy":
        if _truth(key, value):
            options["NoCopy"] = True
    elif key == "volume-subpath":
        options["Subpath"] = value
    elif key == "volume-driver":
        options["DriverConfig"]["Name"] = value
    elif key in ("volume-label", "volume-opt"):
        name, _, setting = value.partition("=")
        home = options if key == "volume-label" else options["DriverConfig"]
        home.setdefault("Labels" if key == "volume-label" else "Options", {})[name] = setting
    else:
        raise InvalidArgument(f"unexpected key '{key}' in '{field}'")


def _set_tmpfs(mount: dict[str, Any], key: str, value: str) -> None:
    from berth.spec.units import parse_bytes

    options = mount.setdefault("TmpfsOptions", {})
    try:
        if key == "tmpfs-size":
            options["SizeBytes"] = parse_bytes(value, "")
        else:
            options["Mode"] = int(value, 8)
    except (InvalidArgument, ValueError):
        raise InvalidArgument(f"invalid value for {key}: {value}") from None
