"""Values of run's options as text → what the create body says. Each function raises InvalidArgument with what is wrong, in
docker's words; ``checks.py`` tells it with the option and the value.
"""

from __future__ import annotations

from berth.base.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ULIMITS = frozenset(
    "core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack".split()
)
_SYSCTLS = frozenset(
    "kernel.msgmax kernel.msgmnb kernel.msgmni kernel.sem kernel.shmall kernel.shmmax kernel.shmmni "
    "kernel.shm_rmid_forced".split()
)


def _int(text: str) -> int:
    """A decimal number, as Go's ParseInt reads it."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not (digits.isascii() and digits.isdigit()):
        raise InvalidArgument(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return int(text)


def ulimit(text: str) -> dict[str, Any]:
    """``nofile=1024:2048``."""
    name, eq, limits = text.partition("=")
    if not eq:
        raise InvalidArgument(f"invalid ulimit argument: {text}")
    if name not in ULIMITS:
        raise InvalidArgument(f"invalid ulimit type: {name}")
    words = limits.split(":")
    if len(words) > 2:
        raise InvalidArgument(f"too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`")
    soft = _int(words[0])
    hard = _int(words[1]) if len(words) == 2 else soft
    if hard != -1 and (soft == -1 or soft > hard):
        raise InvalidArgument(f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")
    return {"Name": name, "Soft": soft, "Hard": hard}


def sysctl(text: str) -> None:
    """Whether a container may have it at all."""
    name, eq, _ = text.partition("=")
    if not eq or not (name in _SYSCTLS or name.startswith(("net.", "fs.mqueue."))):
        raise InvalidArgument(f"sysctl '{text}' is not allowed")


def label(text: str) -> None:
    if not text.partition("=")[0]:
        raise InvalidArgument(f"invalid label '{text}': empty name")


def environment(text: str) -> None:
    if not text.partition("=")[0]:
        raise InvalidArgument(f"invalid environment variable: {text}")


def extra_host(text: str) -> str:
    """``name:address`` or ``name=address`` → ``name:address``."""
    name, _, address = text.partition("=") if "=" in text else text.partition(":")
    if not name or not address:
        raise InvalidArgument(f'bad format for add-host: "{text}"')
    if address != "host-gateway":
        bare = address[1:-1] if address.startswith("[") and address.endswith("]") else address
        if not _is_address(bare):
            raise InvalidArgument(f'invalid IP address in add-host: "{address}"')
        address = bare
    return f"{name}:{address}"


def _is_address(text: str) -> bool:
    from ipaddress import ip_address

    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def address(text: str) -> None:
    if not _is_address(text.strip()):
        raise InvalidArgument(f"IP address is not correctly formatted: {text}")


def search_domain(text: str) -> None:
    import re

    if text.strip() != "." and not re.fullmatch(r"(?:[a-zA-Z0-9_](?:[a-zA-Z0-9_-]*[a-zA-Z0-9_])?\.?)+", text.strip()):
        raise InvalidArgument(f"{text} is not a valid domain")


def link(text: str) -> None:
    words = text.split(":")
    if not text:
        raise InvalidArgument("empty string specified for links")
    if len(words) > 2:
        raise InvalidArgument(f"bad format for links: {text}")


def stream(text: str) -> str:
    if text.lower() not in ("stdin", "stdout", "stderr"):
        raise InvalidArgument("valid streams are STDIN, STDOUT and STDERR")
    return text.lower()


def device_rule(text: str) -> None:
    import re

    if not re.fullmatch(r"[acb] ([0-9]+|\*):([0-9]+|\*) [rwm]{1,3}", text):
        raise InvalidArgument(f"invalid device cgroup format '{text}'")


def device(text: str) -> dict[str, str]:
    """``/dev/a[:/dev/b][:rwm]``; a CDI name is for ``DeviceRequests``."""
    parts = text.split(":")
    if not parts[0] or len(parts) > 3:
        raise InvalidArgument(f"bad format for path: {text}")
    inside, mode = parts[0], "rwm"
    if len(parts) == 3:
        inside, mode = parts[1] or parts[0], parts[2]
    elif len(parts) == 2:
        if parts[1] and set(parts[1]) <= set("rwm"):
            mode = parts[1]
        else:
            inside = parts[1]
    if not inside.startswith("/"):
        raise InvalidArgument(f"{inside} is not an absolute path")
    if not mode or set(mode) - set("rwm") or len(set(mode)) < len(mode):
        raise InvalidArgument(f"bad mode specified: {mode}")
    return {"PathOnHost": parts[0], "PathInContainer": inside, "CgroupPermissions": mode}


def _on_device(text: str) -> tuple[str, str]:
    path, colon, number = text.partition(":")
    if not colon:
        raise InvalidArgument(f"bad format: {text}")
    if not path.startswith("/dev/"):
        raise InvalidArgument(f"bad format for device path: {text}")
    return path, number


def device_weight(text: str) -> dict[str, Any]:
    """``/dev/sda:300``."""
    path, number = _on_device(text)
    if not number.isdigit() or not (int(number) == 0 or 10 <= int(number) <= 1000):
        raise InvalidArgument(f"invalid weight for device: {text}")
    return {"Path": path, "Weight": int(number)}


def device_bps(text: str) -> dict[str, Any]:
    """``/dev/sda:10mb``."""
    from berth.spec.units import parse_bytes

    path, number = _on_device(text)
    try:
        return {"Path": path, "Rate": parse_bytes(number, "")}
    except InvalidArgument:
        raise InvalidArgument(
            f"invalid rate for device: {text}. The correct format is <device-path>:<number>[<unit>]. Number must be a "
            "positive integer. Unit is optional and can be kb, mb, or gb"
        ) from None


def device_iops(text: str) -> dict[str, Any]:
    """``/dev/sda:100``."""
    path, number = _on_device(text)
    if not number.isdigit():
        raise InvalidArgument(
            f"invalid rate for device: {text}. The correct format is <device-path>:<number>. Number must be a positive integer"
        )
    return {"Path": path, "Rate": int(number)}


def gpus(text: str) -> dict[str, Any]:
    """``all``, ``2``, ``device=0``, ``"device=0,1",capabilities=utility``."""
    request: dict[str, Any] = {"Driver": "", "Count": 0, "DeviceIDs": None, "Capabilities": None, "Options": {}}
    seen: set[str] = set()
    for field in csv_fields(text):
        key, eq, value = field.partition("=")
        if key in seen:
            raise InvalidArgument(f"gpu request key '{key}' can be specified only once")
        seen.add(key)
        if not eq:
            seen.add("count")
            request["Count"] = _count(key)
        elif key == "driver":
            request["Driver"] = value
        elif key == "count":
            request["Count"] = _count(value)
        elif key == "device":
            request["DeviceIDs"] = value.split(",")
        elif key == "capabilities":
            request["Capabilities"] = [[*value.split(","), "gpu"]]
        elif key == "options":
            request["Options"] = dict(part.partition("=")[::2] for part in value.split(","))
        else:
            raise InvalidArgument(f"unexpected key '{key}' in '{field}'")
    if "count" not in seen and request["DeviceIDs"] is None:
        request["Count"] = 1
    request["Capabilities"] = request["Capabilities"] or [["gpu"]]
    return request


def _count(text: str) -> int:
    if text == "all":
        return -1
    try:
        return int(text)
    except ValueError:
        raise InvalidArgument(
            f'invalid count ({text}): value must be either "all" or an integer: invalid syntax'
        ) from None


def csv_fields(text: str) -> list[str]:
    """Fields between commas; quotes keep a comma in one. Raises: InvalidArgument."""
    if not text:
        raise InvalidArgument("EOF")
    if '"' not in text:
        return text.split(",")
    import csv

    return next(csv.reader([text], strict=True), [])


def cpus(text: str) -> int:
    """Nanoseconds of CPU time a second. ``1.5``, ``3/2``."""
    from fractions import Fraction

    try:
        value = Fraction(text) * 1_000_000_000
    except (ValueError, ZeroDivisionError):
        try:
            value = Fraction(int(text, 0)) * 1_000_000_000
        except ValueError:
            raise InvalidArgument(f"failed to parse {text} as a rational number") from None
    if value.denominator != 1:
        raise InvalidArgument("value is too precise")
    return int(value)


def restart(text: str) -> dict[str, Any]:
    """``on-failure:3``."""
    name, colon, count = text.partition(":")
    if colon and not name:
        raise InvalidArgument("invalid restart policy format: no policy provided before colon")
    if colon and not count.removeprefix("-").isdigit():
        raise InvalidArgument("invalid restart policy format: maximum retry count must be an integer")
    return {"Name": name or "no", "MaximumRetryCount": int(count or 0)}


def capabilities(given: list[str]) -> list[str] | None:
    """Each once, in order and with its prefix; ``ALL`` is all that is said. The engine judges the names."""
    names = {name if name == "ALL" or name.startswith("CAP_") else f"CAP_{name}" for name in map(str.upper, given)}
    return ["ALL"] if "ALL" in names else sorted(names) or None
