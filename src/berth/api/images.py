"""``/images``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from berth.api import codec, versions
from berth.api.http.request import ClientGone, Request, ResponseStream
from berth.api.services import ProgressSink, Services
from berth.base.errors import BerthError, InvalidArgument


async def _with_progress(
    request: Request, work: Callable[[ProgressSink], Awaitable[None]], *, stops: bool = False
) -> None:
    """Run ``work`` and stream its messages. An error before the first message is the answer's status, later a message.

    A client that hangs up stops the work where it ``stops``, as Docker documents it for pulls; else it goes on.
    """
    request.cancel_on_eof = stops
    queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    def progress(message: dict[str, Any]) -> None:
        queue.put_nowait(message)

    async def run() -> None:
        try:
            await work(progress)
        finally:
            queue.put_nowait(None)

    task = asyncio.ensure_future(run())
    task.add_done_callback(lambda t: t.cancelled() or t.exception())
    stream: ResponseStream | None = None
    try:
        ended = False
        while not ended:
            lines = [await queue.get()]
            while not queue.empty():
                lines.append(queue.get_nowait())
            ended = None in lines
            text = b"".join(json.dumps(line).encode() + b"\r\n" for line in lines if line is not None)
            if text:
                if stream is None:
                    stream = await request.stream()
                await stream.write(text)
        await task
    except BerthError as err:
        if stream is None:
            raise
        line = {"errorDetail": {"message": err.message}, "error": err.message}
        await stream.write(json.dumps(line).encode() + b"\r\n")
    except ClientGone:
        return
    finally:
        if stops and not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    if stream is None:
        stream = await request.stream()
    await stream.end()


async def create(services: Services, request: Request) -> None:
    query = request.query
    platform = query.get("platform") or None
    if query.get("fromSrc"):
        changes = [v for k, v in codec.pairs(request) if k == "changes"]
        await _with_progress(
            request,
            lambda progress: services.images.import_(
                request.chunks(), origin=query["fromSrc"], repo=query.get("repo") or None, tag=query.get("tag") or None,
                message=query.get("message", ""), changes=changes, platform=platform, progress=progress,
            ),
        )  # fmt: skip
        return
    ref, tag = query.get("fromImage", ""), query.get("tag", "")
    if tag:
        ref += ("@" if tag.startswith("sha256:") else ":") + tag
    auth = codec.registry_auth(request)
    names_one = tag or "@" in ref or ":" in ref.rpartition("/")[2]
    pull = services.images.pull if names_one else services.images.pull_all
    await _with_progress(
        request, lambda progress: pull(ref, platform=platform, auth=auth, progress=progress), stops=True
    )


async def push(services: Services, request: Request) -> None:
    auth, tag = codec.registry_auth(request), request.query.get("tag", "")
    platform = codec.push_platform(request)
    await _with_progress(
        request,
        lambda progress: services.images.push(request.groups[0], tag, platform=platform, auth=auth, progress=progress),
        stops=True,
    )


async def load(services: Services, request: Request) -> None:
    quiet = codec.boolean(request, "quiet")
    await _with_progress(
        request,
        lambda progress: services.images.load(
            request.chunks(), quiet=quiet, platform=_platform_of(request), progress=progress
        ),
    )


async def list_(services: Services, request: Request) -> None:
    found = await services.images.list_(
        all_=codec.boolean(request, "all"), digests=codec.boolean(request, "digests"), filters=codec.filters(request),
        shared_size=codec.boolean(request, "shared-size"), manifests=codec.boolean(request, "manifests"),
        containers=request.version >= (1, 51),
    )  # fmt: skip
    entries = [dict(image) for image in found]
    for entry in entries:
        versions.listed_image(entry, request.version)
    request.respond_json(200, entries)


async def save(services: Services, request: Request) -> None:
    names = [value for key, value in codec.pairs(request) if key == "names"] or list(request.groups)
    if not names:
        raise InvalidArgument("no images were named")
    chunks = await services.images.save(names, _platform_of(request))
    stream = await request.stream(200, "application/x-tar")
    async for chunk in chunks:
        await stream.write(chunk)
    await stream.end()


def _platform_of(request: Request) -> str | None:
    """``platform``: an OCI platform as JSON. Raises: InvalidArgument."""
    text = request.query.get("platform", "")
    return _parse_platform(text) if text else None


def _parse_platform(text: str) -> str:
    try:
        value = json.loads(text)
        parts = [value["os"], value["architecture"], value.get("variant")]
    except (ValueError, TypeError, KeyError) as err:
        raise InvalidArgument(f"failed to parse platform: {text[:200]}") from err
    return "/".join(str(part) for part in parts if part)


async def prune(services: Services, request: Request) -> None:
    request.respond_json(200, await services.images.prune(codec.filters(request)))


async def inspect(services: Services, request: Request) -> None:
    found = dict(await services.images.inspect(request.groups[0], _platform_of(request)))
    versions.inspected_image(found, request.version)
    request.respond_json(200, found)


async def history(services: Services, request: Request) -> None:
    request.respond_json(200, await services.images.history(request.groups[0], _platform_of(request)))


async def tag(services: Services, request: Request) -> None:
    await services.images.tag(request.groups[0], request.query.get("repo", ""), request.query.get("tag", ""))
    request.respond(201, b"", "")


async def remove(services: Services, request: Request) -> None:
    platforms = [_parse_platform(value) for key, value in codec.pairs(request) if key == "platforms"]
    removed = await services.images.remove(
        request.groups[0], force=codec.boolean(request, "force"), prune=not codec.boolean(request, "noprune"),
        platforms=platforms,
    )  # fmt: skip
    request.respond_json(200, removed)


_REF = r"/images/(.+)"
ROUTES = [
    ("POST", "/images/create", create, False),
    ("POST", "/images/load", load, False),
    ("GET", "/images/json", list_, False),
    ("GET", "/images/get", save, True),
    ("POST", "/images/prune", prune, False),
    ("GET", _REF + "/json", inspect, False),
    ("GET", _REF + "/history", history, False),
    ("GET", _REF + "/get", save, True),
    ("POST", _REF + "/tag", tag, False),
    ("POST", _REF + "/push", push, False),
    ("DELETE", _REF, remove, False),
]
