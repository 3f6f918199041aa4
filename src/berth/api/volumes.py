"""``/volumes``."""

from __future__ import annotations

from berth.api import codec
from berth.api.http.request import Request
from berth.api.services import Services
from berth.spec.api import volumes as spec

_ONLY_ANONYMOUS = (1, 42)
"""From this version on a prune leaves volumes alone that somebody gave a name."""


async def list_(services: Services, request: Request) -> None:
    request.respond_json(200, await services.volumes.list_(codec.filters(request)))


async def inspect(services: Services, request: Request) -> None:
    request.respond_json(200, await services.volumes.inspect(request.groups[0]))


async def create(services: Services, request: Request) -> None:
    body = await codec.json_body(request, spec.VolumeCreateOptions)
    request.respond_json(201, await services.volumes.create(body))


async def remove(services: Services, request: Request) -> None:
    await services.volumes.remove(request.groups[0], force=codec.boolean(request, "force"))
    request.respond(204)


async def prune(services: Services, request: Request) -> None:
    named = request.version < _ONLY_ANONYMOUS
    request.respond_json(200, await services.volumes.prune(codec.filters(request), named=named))


ROUTES = [
    ("GET", "/volumes", list_, False),
    ("GET", r"/volumes/([^/]+)", inspect, False),
    ("POST", "/volumes/create", create, False),
    ("POST", "/volumes/prune", prune, False),
    ("DELETE", r"/volumes/([^/]+)", remove, False),
]
