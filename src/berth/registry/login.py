"""Logging in: does the registry take these credentials, and what may be kept in the password's place?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from berth.base.errors import BerthError, Unauthorized
from berth.registry.challenge import parse_challenges
from berth.registry.hosts import Endpoint, origins
from berth.registry.tokens import Tokens, credentials
from berth.registry.transport import Unreachable
from berth.spec.distribution import HUB_DOMAIN

if TYPE_CHECKING:
    from berth.registry.client import RegistryClient

_HUB_NAMES = frozenset({"", "docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})


def domain_of(server_address: str) -> str:
    """The registry that a login's server address means: ``https://index.docker.io/v1/`` is docker.io."""
    host = server_address.removeprefix("https://").removeprefix("http://").partition("/")[0]
    return HUB_DOMAIN if host.lower() in _HUB_NAMES else host


async def login(client: RegistryClient, server_address: str, auth: Mapping[str, str]) -> str:
    """The identity token that the registry gives ("" for none) once it took the credentials.

    Raises: Unauthorized, Unreachable, InvalidArgument.
    """
    tokens = Tokens(client.transport, credentials(auth))
    failure: BerthError | None = None
    for server in origins(domain_of(server_address), client.settings):
        try:
            return await _login_at(client, server, tokens)
        except Unreachable as err:
            failure = failure or err
    assert failure is not None
    raise failure


async def _login_at(client: RegistryClient, server: Endpoint, tokens: Tokens) -> str:
    url = server.url("")
    async with client.transport.exchange("GET", url, headers={}) as response:
        if response.status == 200:
            return ""  # it asks nobody for anything
        challenges = parse_challenges(response.headers.getall("WWW-Authenticate", []))
    secret = await tokens.answer(server, challenges, (), offline=True)
    async with client.transport.exchange("GET", url, headers={}, secret=secret) as response:
        if response.status == 200:
            return tokens.identity_token
        raise Unauthorized(
            f"login attempt to {url} failed with status: {response.status} {response.reason}"
        )  # fmt: skip
