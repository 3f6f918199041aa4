"""``/networks``."""

from __future__ import annotations

from berth.api import codec
from berth.api.http.request import Request
from berth.api.services import Services
from berth.spec.api import networks as spec


async def list_(services: Services, request: Request) -> None:
    request.respond_json(200, await services.networks.list_(codec.filters(request)))


async def inspect(services: Services, request: Request) -> None:
    request.respond_json(200, await services.networks.inspect(request.groups[0]))


async def create(services: Services, request: Request) -> None:
    request.respond_json(201, await services.networks.create(await codec.json_body(request, spec.NetworkCreateRequest)))


async def remove(services: Services, request: Request) -> None:
    await services.networks.remove(request.groups[0])
    request.respond(204)


async def prune(services: Services, request: Request) -> None:
    request.respond_json(200, await services.networks.prune(codec.filters(request)))


async def connect(services: Services, request: Request) -> None:
    body = await codec.json_body(request, spec.NetworkConnectRequest)
    await services.networks.connect(request.groups[0], str(body.get("Container") or ""), body.get("EndpointConfig"))
    request.respond(200)


async def disconnect(services: Services, request: Request) -> None:
    body = await codec.json_body(request, spec.NetworkDisconnectRequest)
    await services.networks.disconnect(
        request.groups[0], str(body.get("Container") or ""), force=bool(body.get("Force"))
    )
    request.respond(200)


ROUTES = [
    ("GET", "/networks", list_, False),
    ("GET", r"/networks/([^/]+)", inspect, False),
    ("POST", "/networks/create", create, False),
    ("POST", "/networks/prune", prune, False),
    ("DELETE", r"/networks/([^/]+)", remove, False),
    ("POST", r"/networks/([^/]+)/connect", connect, False),
    ("POST", r"/networks/([^/]+)/disconnect", disconnect, False),
]
