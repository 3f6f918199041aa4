"""``/exec`` and ``/containers/{id}/exec``."""

from __future__ import annotations

from berth.api import codec, versions
from berth.api.containers import hand_over, size_of
from berth.api.http.request import Request
from berth.api.services import Services


async def create(services: Services, request: Request) -> None:
    body = await codec.json_body(request, codec.ExecCreateBody)
    codec.check_console_size(body)
    versions.exec_body(body, request.version)
    request.respond_json(201, {"Id": await services.containers.exec_create(request.groups[0], body)})


async def start(services: Services, request: Request) -> None:
    body = await codec.json_body(request, codec.ExecStartBody, required=False)
    codec.check_console_size(body)
    versions.exec_body(body, request.version)
    session = await services.containers.exec_start(request.groups[0], body)
    if session is None:
        request.respond(200, b"", "")
        return
    await hand_over(request, session)


async def resize(services: Services, request: Request) -> None:
    rows, cols = size_of(request)
    await services.containers.exec_resize(request.groups[0], rows=rows, cols=cols)
    request.respond(200, b"", "")


async def kill(services: Services, request: Request) -> None:
    await services.containers.exec_kill(request.groups[0], signal=request.query.get("signal") or None)
    request.respond(204)


async def inspect(services: Services, request: Request) -> None:
    request.respond_json(200, await services.containers.exec_inspect(request.groups[0]))


ROUTES = [
    ("POST", r"/containers/([^/]+)/exec", create, False),
    ("POST", r"/exec/([^/]+)/start", start, False),
    ("POST", r"/exec/([^/]+)/resize", resize, False),
    ("POST", r"/exec/([^/]+)/kill", kill, False),
    ("GET", r"/exec/([^/]+)/json", inspect, False),
]
