"""``/containers``."""

from __future__ import annotations

import json

from berth.api import codec, versions
from berth.api.http.request import Request
from berth.api.http.websocket import Frames
from berth.api.services import AttachPlan, CommitRequest, LogQuery, Services, Session
from berth.api.streams import MULTIPLEXED, RAW, pour, pour_json
from berth.base.errors import InvalidArgument, Unsupported
from berth.spec import messages
from berth.spec.api import containers as spec
from berth.spec.streams import parse_detach_keys


def stream_type(request: Request, tty: bool) -> str:
    """Since API 1.42 the content type says whether the stream is framed."""
    return MULTIPLEXED if not tty and request.version >= (1, 42) else RAW


async def hand_over(request: Request, session: Session) -> None:
    """Hijack the connection and give it to the engine."""
    try:
        sock, early = await request.hijack(stream_type(request, session.tty))
    except BaseException:
        session.abandon()
        raise
    await session.connect(sock, early)


async def list_(services: Services, request: Request) -> None:
    wanted = codec.filters(request)
    all_, limit = codec.boolean(request, "all"), codec.integer(request, "limit")
    size = codec.boolean(request, "size")
    if not size and request.version >= (1, 48):
        request.respond(200, await services.containers.list_encoded(all_=all_, limit=limit, filters=wanted) + b"\n")
        return
    found = await services.containers.list_(all_=all_, limit=limit, size=size, filters=wanted)
    entries = json.loads(json.dumps(found))  # a copy: parts of it belong to the engine
    for entry in entries:
        versions.listed_container(entry, request.version)
    request.respond_json(200, entries)


async def create(services: Services, request: Request) -> None:
    body = await codec.json_body(request, codec.CreateBody)
    if not body:
        raise InvalidArgument(messages.config_empty())
    codec.check_console_size(body.get("HostConfig") or {})
    warnings = versions.create_body(body, request.version)
    platform = request.query.get("platform") if request.version >= (1, 41) else None
    answer = await services.containers.create(body, request.query.get("name") or None, platform or None)
    request.respond_json(201, {**answer, "Warnings": [*(answer.get("Warnings") or []), *warnings]})


async def inspect(services: Services, request: Request) -> None:
    found = dict(await services.containers.inspect(request.groups[0], size=codec.boolean(request, "size")))
    if request.version < (1, 48):
        found = json.loads(json.dumps(found))  # a copy: parts of it belong to the engine
        versions.inspected_container(found, request.version)
    request.respond_json(200, found)


async def start(services: Services, request: Request) -> None:
    if request.length is None or request.length > 7:  # a JSON object that says something is longer
        raise InvalidArgument(
            "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24"
        )
    await services.containers.start(request.groups[0], detach_keys=request.query.get("detachKeys"))
    request.respond(204)


def _stop_signal(request: Request) -> str | None:
    """Since API 1.42."""
    return request.query.get("signal") or None if request.version >= (1, 42) else None


async def stop(services: Services, request: Request) -> None:
    await services.containers.stop(
        request.groups[0], timeout_s=codec.integer(request, "t"), signal=_stop_signal(request)
    )
    request.respond(204)


async def restart(services: Services, request: Request) -> None:
    await services.containers.restart(
        request.groups[0], timeout_s=codec.integer(request, "t"), signal=_stop_signal(request)
    )
    request.respond(204)


async def kill(services: Services, request: Request) -> None:
    await services.containers.kill(request.groups[0], signal=request.query.get("signal") or None)
    request.respond(204)


async def pause(services: Services, request: Request) -> None:
    await services.containers.pause(request.groups[0])
    request.respond(204)


async def unpause(services: Services, request: Request) -> None:
    await services.containers.unpause(request.groups[0])
    request.respond(204)


async def rename(services: Services, request: Request) -> None:
    await services.containers.rename(request.groups[0], request.query.get("name", ""))
    request.respond(204)


async def update(services: Services, request: Request) -> None:
    body = await codec.json_body(request, codec.UpdateBody)
    versions.update_body(body, request.version)
    request.respond_json(200, await services.containers.update(request.groups[0], body))


async def top(services: Services, request: Request) -> None:
    request.respond_json(200, await services.containers.top(request.groups[0], request.query.get("ps_args", "")))


async def wait(services: Services, request: Request) -> None:
    """Before API 1.30 there was one condition, and the headers came with the answer."""
    waiter = await services.containers.wait(
        request.groups[0], request.query.get("condition", "") if request.version >= (1, 30) else ""
    )
    try:
        stream = await request.stream() if request.version >= (1, 30) else None
        result = await waiter.result()
        answer: dict[str, object] = {"StatusCode": result.code}
        if result.error is not None:
            answer["Error"] = {"Message": result.error}
        if stream is None:
            request.respond_json(200, answer)
        else:
            await stream.write(json.dumps(answer).encode() + b"\n")
            await stream.end()
    finally:
        waiter.cancel()


async def attach(services: Services, request: Request) -> None:
    plan = AttachPlan(
        stdin=codec.boolean(request, "stdin"), stdout=codec.boolean(request, "stdout"),
        stderr=codec.boolean(request, "stderr"), stream=codec.boolean(request, "stream"),
        logs=codec.boolean(request, "logs"), detach_keys=parse_detach_keys(request.query.get("detachKeys")),
    )  # fmt: skip
    session = await services.containers.attach(request.groups[0], plan)
    await hand_over(request, session)


async def logs(services: Services, request: Request) -> None:
    tail_text = request.query.get("tail", "")
    tail = int(tail_text) if tail_text.isdecimal() and len(tail_text) < 19 else None
    query = LogQuery(
        stdout=codec.boolean(request, "stdout"), stderr=codec.boolean(request, "stderr"),
        follow=codec.boolean(request, "follow"), since_ns=codec.timestamp(request.query.get("since"), "since"),
        until_ns=codec.timestamp(request.query.get("until"), "until"),
        timestamps=codec.boolean(request, "timestamps"), tail=tail, details=codec.boolean(request, "details"),
    )  # fmt: skip
    found = await services.containers.logs(request.groups[0], query)
    await pour(request, found.chunks, stream_type(request, found.tty))


async def attach_ws(services: Services, request: Request) -> None:
    """``attach`` over a websocket. Before API 1.42 every stream is attached, before 1.28 its frames are text."""
    every = request.version < (1, 42)
    plan = AttachPlan(
        stdin=every or codec.boolean(request, "stdin"), stdout=every or codec.boolean(request, "stdout"),
        stderr=every or codec.boolean(request, "stderr"), stream=codec.boolean(request, "stream"),
        logs=codec.boolean(request, "logs"), detach_keys=parse_detach_keys(request.query.get("detachKeys")),
    )  # fmt: skip
    session = await services.containers.attach(request.groups[0], plan)
    try:
        frames = Frames(framed=not session.tty, binary=request.version >= (1, 28))
        sock, early = await request.websocket(frames)
    except BaseException:
        session.abandon()
        raise
    await session.connect(sock, early)


async def stats(services: Services, request: Request) -> None:
    stream, one_shot = codec.boolean(request, "stream", True), codec.boolean(request, "one-shot")
    if stream and one_shot:
        raise InvalidArgument("cannot have stream=true and one-shot=true")
    source = await services.containers.stats(
        request.groups[0], stream=stream, one_shot=one_shot and request.version >= (1, 41)
    )
    await pour_json(request, source)


async def changes(services: Services, request: Request) -> None:
    request.respond_json(200, await services.containers.changes(request.groups[0]))


async def export(services: Services, request: Request) -> None:
    await pour(request, await services.containers.export(request.groups[0]), "application/x-tar")


async def commit(services: Services, request: Request) -> None:
    query = request.query
    wanted = CommitRequest(
        container=query.get("container", ""), repo=query.get("repo", ""), tag=query.get("tag", ""),
        comment=query.get("comment", ""), author=query.get("author", ""), pause=codec.boolean(request, "pause", True),
        changes=[line for name, text in codec.pairs(request) if name == "changes" for line in text.splitlines()],
        config=await codec.json_body(request, spec.ContainerConfig, required=False) or None,
    )  # fmt: skip
    if not wanted.container:
        raise InvalidArgument('invalid name or ID supplied: ""')
    request.respond_json(201, {"Id": await services.containers.commit(wanted)})


async def resize(services: Services, request: Request) -> None:
    rows, cols = size_of(request)
    await services.containers.resize(request.groups[0], rows=rows, cols=cols)
    request.respond(200, b"", "")


def size_of(request: Request) -> tuple[int, int]:
    """``h`` and ``w``. Raises: InvalidArgument."""
    return _size(request, "h", "height"), _size(request, "w", "width")


def _size(request: Request, name: str, what: str) -> int:
    text = request.query.get(name, "")
    if not (text.isascii() and text.isdecimal()):
        raise InvalidArgument(f'invalid resize {what} "{text}": invalid syntax')
    if len(text) > 5 or int(text) > 0xFFFF:
        raise InvalidArgument(f'invalid resize {what} "{text}": value out of range')
    return int(text)


async def remove(services: Services, request: Request) -> None:
    await services.containers.remove(
        request.groups[0], force=codec.boolean(request, "force"), volumes=codec.boolean(request, "v"),
        link=codec.boolean(request, "link"),
    )  # fmt: skip
    request.respond(204)


async def prune(services: Services, request: Request) -> None:
    request.respond_json(200, await services.containers.prune(codec.filters(request)))


_REF = r"/containers/{1,2}([^/]+)"  # some clients send the name with its slash


async def checkpoints(services: Services, request: Request) -> None:
    raise Unsupported(messages.checkpoints_not_supported())


ROUTES = [
    ("POST", "/commit", commit, False),
    ("GET", "/containers/json", list_, False),
    ("POST", "/containers/create", create, False),
    ("POST", "/containers/prune", prune, False),
    *((method, _REF + "/checkpoints(?:/.*)?", checkpoints, False) for method in ("GET", "POST", "DELETE")),
    ("GET", _REF + "/json", inspect, False),
    ("POST", _REF + "/start", start, False),
    ("POST", _REF + "/stop", stop, False),
    ("POST", _REF + "/restart", restart, False),
    ("POST", _REF + "/kill", kill, False),
    ("POST", _REF + "/pause", pause, False),
    ("POST", _REF + "/unpause", unpause, False),
    ("POST", _REF + "/rename", rename, False),
    ("POST", _REF + "/update", update, False),
    ("GET", _REF + "/top", top, False),
    ("POST", _REF + "/wait", wait, True),
    ("POST", _REF + "/attach", attach, False),
    ("GET", _REF + "/attach/ws", attach_ws, False),
    ("GET", _REF + "/stats", stats, True),
    ("GET", _REF + "/changes", changes, True),
    ("GET", _REF + "/export", export, True),
    ("GET", _REF + "/logs", logs, True),
    ("POST", _REF + "/resize", resize, False),
    ("DELETE", _REF, remove, False),
]
