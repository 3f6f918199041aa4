"""``--log-driver`` and ``--log-opt``."""

from __future__ import annotations

import re
from typing import Any

from berth.base.errors import InvalidArgument

DRIVERS = ("json-file", "none", "local")
_COMMON = frozenset({"mode", "max-buffer-size"})
_KNOWN = {
    "json-file": frozenset({"max-size", "max-file", "compress", "labels", "labels-regex", "env", "env-regex", "tag"}),
    "local": frozenset({"max-size", "max-file", "compress"}),
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kKmMgG]?)[iI]?[bB]?")
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def check_log_config(log_config: dict[str, Any]) -> None:
    """Raises: InvalidArgument for an unknown driver, option or mode.

    Values that only the driver reads (sizes, counts) are looked at when the container starts, as Docker does.
    """
    driver = str(log_config.get("Type") or "json-file")
    options = {str(k): str(v) for k, v in (log_config.get("Config") or {}).items()}
    if driver not in DRIVERS:
        raise InvalidArgument(f'error looking up logging plugin {driver}: plugin "{driver}" not found')
    _check_mode(options)
    if driver == "none":
        return
    for key in options:
        if key not in _KNOWN[driver] and key not in _COMMON:
            where = f"{driver} log driver" if driver == "json-file" else f"log driver {driver}"
            raise InvalidArgument(f"unknown log opt '{key}' for {where}")


def _check_mode(options: dict[str, str]) -> None:
    mode = options.get("mode", "")
    if mode not in ("", "blocking", "non-blocking"):
        raise InvalidArgument(f"logger: logging mode not supported: {mode}")
    if "max-buffer-size" in options:
        if mode != "non-blocking":
            raise InvalidArgument("logger: max-buffer-size option is only supported with 'mode=non-blocking'")
        if not _SIZE.fullmatch(options["max-buffer-size"].strip()):
            raise InvalidArgument(f"error parsing option max-buffer-size: invalid size: '{options['max-buffer-size']}'")


def log_limits(driver: str, options: dict[str, Any], max_size: int, max_file: int) -> tuple[int, int, bool]:
    """Bytes a file (-1: no bound), files, compressed or not. Raises: InvalidArgument in the driver's words."""
    size = _parse_size(str(options["max-size"]), driver) if "max-size" in options else max_size
    files = _parse_count(str(options["max-file"])) if "max-file" in options else max_file
    compress = str(options.get("compress") or ("true" if driver == "local" else "false"))
    if compress not in ("1", "t", "T", "true", "TRUE", "True", "0", "f", "F", "false", "FALSE", "False"):
        raise InvalidArgument(_refused(f'strconv.ParseBool: parsing "{compress}": invalid syntax'))
    return size, files, compress.lower() in ("1", "t", "true")


def _refused(why: str) -> str:
    return f"failed to initialize logging driver: {why}"


def _parse_size(text: str, driver: str) -> int:
    if text == "-1":
        return -1
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise InvalidArgument(_refused(f"invalid size: '{text}'"))
    return int(float(match[1]) * _UNITS[match[2].lower()])


def _parse_count(text: str) -> int:
    try:
        count = int(text)
    except ValueError:
        raise InvalidArgument(_refused(f'strconv.Atoi: parsing "{text}": invalid syntax')) from None
    if count < 1:
        raise InvalidArgument(_refused("max-file cannot be less than 1"))
    return count
