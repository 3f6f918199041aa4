"""``/auth``, ``/distribution`` and ``/images/search``: what is asked of registries.

``/distribution/{name}/manifest``, ``/tags``, ``/referrers`` and ``/registries/{host}/catalog`` are Berth's own: Docker's CLI
asks registries itself for these; ours has the engine ask, which knows the mirrors, certificates and proxies.
"""

from __future__ import annotations

from typing import TypedDict

from berth.api import codec
from berth.api.http.request import Request
from berth.api.services import Services
from berth.spec.api.images import ManifestListRequest


class AuthBody(TypedDict, total=False):
    """POST /auth."""

    username: str
    password: str
    email: str
    serveraddress: str
    identitytoken: str
    registrytoken: str
    auth: str


async def auth(services: Services, request: Request) -> None:
    body = await codec.json_body(request, AuthBody)
    request.respond_json(200, await services.registries.login(body))


async def search(services: Services, request: Request) -> None:
    found = await services.registries.search(
        request.query.get("term", ""), codec.integer(request, "limit") or 0, codec.filters(request),
        codec.registry_auth(request),
    )  # fmt: skip
    request.respond_json(200, found)


async def distribution(services: Services, request: Request) -> None:
    request.respond_json(200, await services.registries.distribution(request.groups[0], codec.registry_auth(request)))


async def manifest(services: Services, request: Request) -> None:
    request.respond_json(200, await services.registries.manifest(request.groups[0], codec.registry_auth(request)))


async def put_manifest(services: Services, request: Request) -> None:
    body = await codec.json_body(request, ManifestListRequest)
    made = await services.registries.put_list(
        request.groups[0], body.get("Raw") or "", body.get("Sources") or [], codec.registry_auth(request)
    )
    request.respond_json(201, made)


async def tags(services: Services, request: Request) -> None:
    request.respond_json(200, await services.registries.tags(request.groups[0], codec.registry_auth(request)))


async def referrers(services: Services, request: Request) -> None:
    request.respond_json(200, await services.registries.referrers(request.groups[0], codec.registry_auth(request)))


async def catalog(services: Services, request: Request) -> None:
    request.respond_json(200, await services.registries.catalog(request.groups[0], codec.registry_auth(request)))


_REF = r"/distribution/(.+)"
ROUTES = [
    ("POST", "/auth", auth, False),
    ("GET", "/images/search", search, False),
    ("GET", _REF + "/json", distribution, False),
    ("GET", _REF + "/manifest", manifest, False),
    ("PUT", _REF + "/manifest", put_manifest, False),
    ("GET", _REF + "/tags", tags, False),
    ("GET", _REF + "/referrers", referrers, False),
    ("GET", r"/registries/([^/]+)/catalog", catalog, False),
]
