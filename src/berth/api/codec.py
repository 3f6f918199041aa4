"""Text becomes typed here: bodies, query parameters, filters, times."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any, TypedDict

from berth.api import shapes
from berth.api.http.request import Request
from berth.base.errors import InvalidArgument
from berth.spec.api import containers as spec
from berth.spec.api import host_config as host
from berth.spec.moment import parse_moment_ns

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
    if value is None:
        return {}
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


def timestamp(text: str | None, name: str) -> int | None:
    """Unix seconds with a fraction, RFC 3339, or a duration ago → nanoseconds since the epoch; None for "" and 0.

    Raises: InvalidArgument.
    """
    if not text or text == "0":
        return None
    try:
        return parse_moment_ns(text)
    except InvalidArgument as err:
        raise InvalidArgument(f'invalid value for "{name}": {err.message}') from None


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
