"""``search``: Docker Hub's old index API, which is the one that ``docker search`` speaks (and that registries imitate)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from berth.base.errors import BerthError, InvalidArgument, Unavailable
from berth.registry.hosts import origins
from berth.registry.login import domain_of
from berth.registry.tokens import credentials
from berth.registry.transport import Unreachable, read_bounded
from berth.spec.distribution import HUB_DOMAIN

if TYPE_CHECKING:
    from berth.registry.client import RegistryClient

HUB_INDEX = "https://index.docker.io"
MAX_RESULTS = 100
_MAX_ANSWER = 8 << 20
_SHOWN = {"name": str, "description": str, "star_count": int, "is_official": bool}


async def search(client: RegistryClient, term: str, limit: int, auth: Mapping[str, str] | None) -> list[dict[str, Any]]:
    """What an index knows about ``[host/]term``, in its order. Raises: InvalidArgument, Unavailable."""
    if "://" in term:
        raise InvalidArgument(f"invalid repository name: repository name ({term}) should not have a scheme")
    if not 0 <= limit <= MAX_RESULTS:
        raise InvalidArgument(f"limit {limit} is outside the range of [1, {MAX_RESULTS}]")
    domain, term = _split(term)
    query = urlencode({"q": term, "n": limit or 25})
    failure: BerthError | None = None
    for base in _bases(client, domain):
        try:
            return await _ask(client, f"{base}/v1/search?{query}", credentials(auth).basic)
        except Unreachable as err:
            failure = failure or err
    assert failure is not None
    raise failure


def _split(term: str) -> tuple[str, str]:
    head, slash, rest = term.partition("/")
    if slash and ("." in head or ":" in head or head == "localhost"):
        return domain_of(head), rest
    return HUB_DOMAIN, term.removeprefix("library/")


def _bases(client: RegistryClient, domain: str) -> list[str]:
    if domain == HUB_DOMAIN:
        return [HUB_INDEX]
    return [server.root.removesuffix("/v2") for server in origins(domain, client.settings)]


async def _ask(client: RegistryClient, url: str, secret: str | None) -> list[dict[str, Any]]:
    async with client.transport.exchange("GET", url, headers={"X-Docker-Token": "true"}, secret=secret) as response:
        if response.status != 200:
            raise Unavailable(f"Unexpected status code {response.status}")
        content = await read_bounded(response, _MAX_ANSWER)
    try:
        entries = json.loads(content)["results"]
    except (ValueError, KeyError, TypeError) as err:
        raise Unavailable("the index's answer to a search is no list") from err
    return [_shown(entry) for entry in entries if isinstance(entry, dict) and isinstance(entry.get("name"), str)]


def _shown(entry: Mapping[str, Any]) -> dict[str, Any]:
    """One result with every field of the right type: what others wrote goes to a terminal.

    Docker tells of no image that it is built automatically any more.
    """
    found: dict[str, Any] = {
        key: entry.get(key) if isinstance(entry.get(key), kind) else kind() for key, kind in _SHOWN.items()
    }
    found["is_automated"] = False
    found["description"] = "".join(char if char.isprintable() else " " for char in found["description"])
    return found
