"""``_ping version info events auth``."""

from __future__ import annotations

from berth.api import codec, versions
from berth.api.http.request import Request
from berth.api.services import Services
from berth.api.streams import pour_json
from berth.base.errors import InvalidArgument


async def ping(services: Services, request: Request) -> None:
    request.respond(
        200, b"" if request.method == "HEAD" else b"OK", "text/plain; charset=utf-8", Builder_Version="1", Swarm="inactive",
        Cache_Control="no-cache, no-store, must-revalidate", Pragma="no-cache",
    )  # fmt: skip


async def version(services: Services, request: Request) -> None:
    request.respond_json(200, await services.system.version())


async def info(services: Services, request: Request) -> None:
    answer = dict(await services.system.info())
    versions.info(answer, request.version)
    request.respond_json(200, answer)


async def events(services: Services, request: Request) -> None:
    since, until = (_moment(request, name) for name in ("since", "until"))
    if since is not None and until and until < since:
        raise InvalidArgument(
            f"`since` time ({request.query['since']}) cannot be after `until` time ({request.query['until']})"
        )
    source = services.system.events(since_ns=since, until_ns=until, filters=codec.filters(request))
    await pour_json(request, source)


def _moment(request: Request, name: str) -> int | None:
    """0 is a moment here: events since then are all, and what was to end then ends at once."""
    text = request.query.get(name)
    return 0 if text == "0" else codec.timestamp(text, name)


async def disk_usage(services: Services, request: Request) -> None:
    types = [value for key, value in codec.pairs(request) if key == "type"]
    request.respond_json(200, await services.disk.report(types))


async def plugins(services: Services, request: Request) -> None:
    """There are none: drivers are part of the engine."""
    request.respond_json(200, [])


async def prune_build(services: Services, request: Request) -> None:
    """There is no build cache; ``docker system prune`` asks for it all the same."""
    request.respond_json(200, {"CachesDeleted": None, "SpaceReclaimed": 0})


ROUTES = [
    ("GET", "/plugins", plugins, False),
    ("POST", "/build/prune", prune_build, False),
    ("GET", "/system/df", disk_usage, False),
    ("GET", "/_ping", ping, False),
    ("HEAD", "/_ping", ping, False),
    ("GET", "/version", version, False),
    ("GET", "/info", info, False),
    ("GET", "/events", events, True),
]
