"""``update ID``: other limits for a container, by flags or as OCI resources (``-r FILE``, "-" is standard input)."""

from __future__ import annotations

import json
import sys
from typing import Any

from berth.base.errors import Conflict, InvalidArgument
from berth.oci import bundle, record
from berth.oci.dispatch import Program
from berth.oci.flags import Flags, Options, exactly

_NUMBERS = {
    "cpu-period": ("cpu", "period"), "cpu-quota": ("cpu", "quota"), "cpu-burst": ("cpu", "burst"),
    "cpu-share": ("cpu", "shares"), "cpu-rt-period": ("cpu", "realtimePeriod"), "cpu-idle": ("cpu", "idle"),
    "cpu-rt-runtime": ("cpu", "realtimeRuntime"), "blkio-weight": ("blockIO", "weight"), "pids-limit": ("pids", "limit"),
}  # fmt: skip
_SIZES = {"memory": "limit", "memory-reservation": "reservation", "memory-swap": "swap"}
_TEXTS = {"cpuset-cpus": "cpus", "cpuset-mems": "mems"}
_REFUSED = ("l3-cache-schema", "mem-bw-schema")
FLAGS = Flags(("resources,r", *_NUMBERS, *_SIZES, *_TEXTS, *_REFUSED, "kernel-memory", "kernel-memory-tcp"))


def run(program: Program, options: Options) -> int:
    exactly(options, "update", 1)
    found = record.load(program.root, options.words[0])
    if found.status() not in ("created", "running", "paused"):
        raise Conflict("container not running")
    resources = _from_file(options.text("resources")) if options.text("resources") else _from_flags(program, options)
    group = found.group()
    known = found.spec["linux"].setdefault("resources", {})
    if resources.get("devices") is not None:
        group.apply_device_rules(resources["devices"])
    memory = dict(resources.get("memory") or {})
    if memory.get("limit") and not memory.get("swap") and (known.get("memory") or {}).get("swap"):
        resources = {
            **resources,
            "memory": {**memory, "swap": known["memory"]["swap"]},
        }  # memory may not pass memory+swap
    for warning in group.apply(resources):
        program.warn(warning)
    for key, value in resources.items():
        known[key] = {**(known.get(key) or {}), **value} if isinstance(value, dict) else value
    found.save()
    return 0


def _from_file(path: str) -> dict[str, Any]:
    try:
        if path == "-":
            resources = json.load(sys.stdin)
        else:
            with open(path, encoding="utf-8") as file:
                resources = json.load(file)
    except ValueError as err:
        raise InvalidArgument(f"{path}: the resources are not JSON: {err}") from err
    if not isinstance(resources, dict):
        raise InvalidArgument(f"{path}: the resources must be an object")
    bundle.check_types({"linux": {"resources": resources}}, bundle._TYPES, "")
    return resources


def _from_flags(program: Program, options: Options) -> dict[str, Any]:
    resources: dict[str, Any] = {}
    for flag, (section, key) in _NUMBERS.items():
        if options.text(flag):
            resources.setdefault(section, {})[key] = options.number(flag)
    for flag, key in _SIZES.items():
        if options.text(flag):
            resources.setdefault("memory", {})[key] = _bytes(options.text(flag), flag)
    for flag, key in _TEXTS.items():
        if options.text(flag):
            resources.setdefault("cpu", {})[key] = options.text(flag)
    for flag in _REFUSED:
        if options.text(flag):
            raise InvalidArgument("Intel RDT: l3 cache schema and memory bandwidth schema are not supported")
    if options.text("kernel-memory") or options.text("kernel-memory-tcp"):
        program.warn("Kernel memory settings are ignored and will be removed")
    return resources


def _bytes(text: str, flag: str) -> int:
    """ "512m" → bytes, -1 stays. Raises: InvalidArgument."""
    unit = text.strip().lower().removesuffix("b").removesuffix("i")
    factor = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}.get(unit[-1:], 1)
    try:
        return int(float(unit[:-1] if factor > 1 else unit) * factor)
    except ValueError:
        raise InvalidArgument(f"invalid value for {flag}: invalid size: '{text}'") from None
