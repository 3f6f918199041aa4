"""Text becomes typed here: bodies, query parameters, filters, times."""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
from calendar import timegm
from datetime import datetime
from typing import Any, TypedDict

from berth.api import shapes
from berth.api.http.request import Request
from berth.base.errors import InvalidArgument
from berth.spec.api import containers as spec
from berth.spec.api import host_config as host

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_FALSE = frozenset({"", "0", "no", "false", "none"})


class CreateBody(spec.ContainerConfig, total=False):
    """POST /containers/create."""

    HostConfig: host.HostConfig
    NetworkingConfig: spec.NetworkingConfig


class ExecCreateBody(TypedDict, total=False):
    """POST /containers/{id}/exec."""

    AttachStdin: bool
    AttachStdout: bool
    AttachStderr: bool
    ConsoleSize: list[int]
    DetachKeys: str
    Tty: bool
    Env: list[str]
    Cmd: list[str]
    Privileged: bool
    User: str
    WorkingDir: str


class ExecStartBody(TypedDict, total=False):
    """POST /exec/{id}/start."""

    Detach: bool
    Tty: bool
    ConsoleSize: list[int]


class UpdateBody(host.Resources, total=False):
    """POST /containers/{id}/update."""

    RestartPolicy: host.RestartPolicy
    PublishAdd: dict[str, list[spec.PortBinding] | None]  # Berth's own
    PublishRemove: dict[str, list[spec.PortBinding] | None]  # Berth's own


def boolean(request: Request, name: str, default: bool = False) -> bool:
    """A boolean query parameter, by Docker's rule: what is not a word for "no" is "yes"."""
    if name not in request.query:
        return default
    return request.query[name].lower() not in _FALSE


def integer(request: Request, name: str) -> int | None:
    """Raises: InvalidArgument."""
    text = request.query.get(name, "")
    if not text:
        return None
    if not _INTEGER.fullmatch(text):
        raise InvalidArgument(f'invalid value "{text}" for {name}: it must be a whole number')
    return int(text)


def pairs(request: Request) -> list[tuple[str, str]]:
    """Every query parameter, repeated ones too."""
    return request.query_pairs()


async def json_body(request: Request, shape: Any, *, required: bool = True) -> dict[str, Any]:
    """The JSON object of the body, its known keys checked against ``shape``.

    Raises: InvalidArgument naming the key, TooLarge.
    """
    raw = await request.body()
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if not raw:
        if required:
            raise InvalidArgument("invalid JSON: got EOF while reading request body")
        return {}
    if kind != "application/json":
        raise InvalidArgument(f"unsupported Content-Type header ({kind}): must be 'application/json'")
    return shapes.decode(raw, shape)


def check_console_size(body: dict[str, Any]) -> None:
    """``ConsoleSize`` is two numbers, rows and columns: what is missing is 0, what is too much is dropped, as in Go.

    Raises: InvalidArgument.
    """
    size = body.get("ConsoleSize")
    if size is None:
        return
    body["ConsoleSize"] = [*size, 0, 0][:2]
    if not all(0 <= number <= 0xFFFF for number in body["ConsoleSize"]):
        raise InvalidArgument(f"invalid JSON: ConsoleSize {size}: numbers from 0 to 65535 are possible")


def filters(request: Request) -> dict[str, list[str]]:
    """``filters``: ``{"label": ["a"]}`` or the legacy ``{"label": {"a": true}}``. Raises: InvalidArgument."""
    text = request.query.get("filters", "")
    if not text:
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as err:
        raise InvalidArgument(f"invalid filter: {err}") from err
    if not isinstance(value, dict):
        raise InvalidArgument("invalid filter: it must be a JSON object")
    result: dict[str, list[str]] = {}
    for name, given in value.items():
        if isinstance(given, dict):
            given = [key for key, on in given.items() if on]
        if not isinstance(given, list) or not all(isinstance(v, str) for v in given):
            raise InvalidArgument(f"invalid filter {name!r}: it must be a list of strings")
        result[name] = given
    return result


_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?(Z|[+-]\d\d:\d\d)?", re.IGNORECASE
)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNIT_NS = {"ns": 1, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9}


def timestamp(text: str | None, name: str) -> int | None:
    """Unix seconds with a fraction, RFC 3339, or a duration ago → nanoseconds since the epoch; None for "" and 0.

    Raises: InvalidArgument.
    """
    if not text or text == "0":
        return None
    if re.fullmatch(r"-?\d+(\.\d+)?", text):
        whole, _, fraction = text.partition(".")
        return int(whole) * 1_000_000_000 + int((fraction + "0" * 9)[:9])
    match = _RFC3339.fullmatch(text)
    if match:
        y, mo, d, h, mi, s, fraction, zone = match.groups()
        try:
            seconds = timegm(datetime(int(y), int(mo), int(d), int(h or 0), int(mi or 0), int(s or 0)).timetuple())
        except ValueError as err:
            raise InvalidArgument(f'invalid value for "{name}": "{text}": {err}') from None
        if zone and zone.upper() != "Z":
            offset = int(zone[1:3]) * 3600 + int(zone[4:6]) * 60
            seconds += -offset if zone[0] == "+" else offset
        return seconds * 1_000_000_000 + int(((fraction or "") + "0" * 9)[:9])
    parts = _DURATION.findall(text)
    if parts and "".join(n + u for n, u in parts) == text:
        return time.time_ns() - int(sum(float(n) * _UNIT_NS[u] for n, u in parts))
    raise InvalidArgument(f'invalid value for "{name}": failed to parse value as time or duration: "{text}"')


def push_platform(request: Request) -> str | None:
    """``platform`` of a push: a JSON object of OCI's, or words. Raises: InvalidArgument."""
    text = request.query.get("platform", "")
    if not text.startswith("{"):
        return text or None
    try:
        value = json.loads(text)
    except ValueError as err:
        raise InvalidArgument(f"invalid platform: {err}") from err
    return "/".join(str(value[key]) for key in ("os", "architecture", "variant") if value.get(key))


def registry_auth(request: Request) -> dict[str, str] | None:
    """``X-Registry-Auth``: base64url JSON. A header that is none counts as no credentials, as in Docker."""
    text = request.headers.get("x-registry-auth", "")
    if not text:
        return None
    try:
        value = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, binascii.Error):
        return None
    if not isinstance(value, dict):
        return None
    return {str(k): str(v) for k, v in value.items() if isinstance(v, str) and v} or None
