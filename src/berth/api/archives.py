"""``/containers/{id}/archive``: what ``docker cp`` speaks. Its header says what the path is."""

from __future__ import annotations

import base64
import json
import stat
from datetime import UTC, datetime

from berth.api import codec
from berth.api.http.request import Request
from berth.api.services import Services
from berth.api.streams import pour
from berth.base.errors import InvalidArgument
from berth.spec.streams import PathStat

STAT_HEADER = "X-Docker-Container-Path-Stat"
_TAR = "application/x-tar"
_GO_KINDS = {
    stat.S_IFDIR: 1 << 31, stat.S_IFLNK: 1 << 27, stat.S_IFBLK: 1 << 26, stat.S_IFIFO: 1 << 25, stat.S_IFSOCK: 1 << 24,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
}  # fmt: skip
_GO_BITS = ((stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20))


async def head(services: Services, request: Request) -> None:
    found = await services.containers.stat_path(request.groups[0], _path(request))
    request.respond(200, b"", "", X_Docker_Container_Path_Stat=encode_stat(found))


async def get(services: Services, request: Request) -> None:
    found = await services.containers.read_path(request.groups[0], _path(request))
    try:
        await pour(request, found.chunks, _TAR, {STAT_HEADER: encode_stat(found.status)})
    finally:
        await found.close()


async def put(services: Services, request: Request) -> None:
    await services.containers.write_path(
        request.groups[0], _path(request), request.steady_chunks(),
        keep_kind=codec.boolean(request, "noOverwriteDirNonDir"), as_user=codec.boolean(request, "copyUIDGID"),
    )  # fmt: skip
    request.respond(200, b"", "")


def _path(request: Request) -> str:
    """Raises: InvalidArgument."""
    path = request.query.get("path", "")
    if not path:
        raise InvalidArgument("bad parameter: pathcannot be empty")
    if "\0" in path:
        raise InvalidArgument(f"bad parameter: path: {path!r} is no path")
    return path


def encode_stat(found: PathStat) -> str:
    """The header's value: base64 of JSON with Go's mode bits."""
    mode = stat.S_IMODE(found.mode) & 0o777 | _GO_KINDS.get(stat.S_IFMT(found.mode), 0)
    mode |= sum(go for bit, go in _GO_BITS if found.mode & bit)
    document = {
        "name": found.name, "size": found.size, "mode": mode, "mtime": _rfc3339_nano(found.mtime_ns),
        "linkTarget": found.link_target,
    }  # fmt: skip
    return base64.b64encode(json.dumps(document).encode()).decode()


def _rfc3339_nano(time_ns: int) -> str:
    seconds, fraction = divmod(time_ns, 1_000_000_000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    digits = f"{fraction:09d}".rstrip("0")
    return text + (f".{digits}" if digits else "") + "Z"


_PLACE = r"/containers/{1,2}([^/]+)/archive"
ROUTES = [("HEAD", _PLACE, head, False), ("GET", _PLACE, get, False), ("PUT", _PLACE, put, False)]
