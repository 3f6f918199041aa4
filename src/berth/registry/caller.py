"""``Caller``: requests of one user to the servers of one repository, with challenges answered and stumbles retried."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from berth.base.errors import BerthError, Unauthorized
from berth.registry.challenge import parse_challenges, same_origin
from berth.registry.refusals import refusal
from berth.registry.tokens import Tokens
from berth.registry.transport import Body, Transport

if TYPE_CHECKING:
    import aiohttp

    from berth.registry.hosts import Endpoint
    from berth.spec.reference import Reference

_TRIES = 4
_BASE_S = 0.25
_MAX_WAIT_S = 10.0
_OK = frozenset((200, 201, 202, 204, 206))


class Caller:
    """Raises (``request``): the kinds of ``refusals``, Unreachable, Unauthorized of a token server."""

    def __init__(self, transport: Transport, tokens: Tokens, ref: Reference) -> None:
        self._transport = transport
        self.tokens = tokens
        self._ref = ref

    @asynccontextmanager
    async def request(
        self, server: Endpoint, method: str, url: str, scopes: Sequence[str], *, headers: Mapping[str, str] | None = None,
        body: Body | None = None, accept: frozenset[int] = _OK,
    ) -> AsyncIterator[aiohttp.ClientResponse]:  # fmt: skip
        """A response whose status is in ``accept``: answers one challenge, tries again a few times where the server stumbled."""
        challenged = False
        for attempt in range(1, _TRIES + 1):
            secret = self.tokens.find(server, scopes) if _is_own(server, url) else None
            async with self._transport.exchange(
                method, url, headers=headers or {}, secret=secret, body=body
            ) as response:
                if response.status in accept:
                    yield response
                    return
                if response.status == 401 and not challenged and _is_own(server, url):
                    challenged = True
                    await self._answer(response, server, scopes)
                    if self.tokens.find(server, scopes) is not None:
                        continue
                wait_s = _patience(response, attempt)
                if wait_s is None or attempt == _TRIES:
                    raise await self._refusal(response, method)
            await asyncio.sleep(wait_s)
        raise Unauthorized(f"{self._ref.familiar_name}: authentication required")

    async def _answer(self, response: aiohttp.ClientResponse, server: Endpoint, scopes: Sequence[str]) -> None:
        self.tokens.forget(server, scopes)
        challenges = parse_challenges(response.headers.getall("WWW-Authenticate", []))
        await self.tokens.answer(server, challenges, scopes)

    async def _refusal(self, response: aiohttp.ClientResponse, method: str) -> BerthError:
        writing = method not in ("GET", "HEAD")
        if response.status == 401 and writing and self.tokens.anonymous:
            challenges = parse_challenges(response.headers.getall("WWW-Authenticate", []))
            if any(challenge.scheme == "basic" for challenge in challenges):
                return Unauthorized("no basic auth credentials")
        return await refusal(response, self._ref, writing=writing)


def _is_own(server: Endpoint, url: str) -> bool:
    """False for a place that the server sent us to (an upload's Location) on another host: no credentials there."""
    return same_origin(server.root, url)


def _patience(response: aiohttp.ClientResponse, attempt: int) -> float | None:
    """Seconds to wait before asking again; None where asking again is no use.

    Jittered, so that many clients that stumbled together don't come back together. A server that asks for more patience
    than a waiting person has is taken at its word: the error says when.
    """
    if response.status != 429 and not (response.status >= 500 and response.status not in (501, 505)):
        return None
    asked_s = _retry_after_s(response.headers.get("Retry-After", ""))
    if response.status == 429 and asked_s is None:
        return None  # a quota: asking again costs another part of it
    wait_s = max(asked_s or 0.0, _BASE_S * 2 ** (attempt - 1))
    return None if wait_s > _MAX_WAIT_S else wait_s * random.uniform(1.0, 1.5)


def _retry_after_s(text: str) -> float | None:
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
