"""Credentials and bearer tokens.

    challenge Bearer realm,service,scope
        identity token     POST realm  grant_type=refresh_token        (ACR, Docker Hub after a login in the browser)
        user and password  GET realm?service&scope&account  Basic      (Hub, GHCR, Artifact Registry, Harbor, GitLab)
                           POST realm  grant_type=password             where the server knows no GET
        nobody             GET realm?service&scope
    challenge Basic        user and password with every request        (ECR, htpasswd)

Credentials go to the registry's origin and its own token server only: ``challenge.may_see_credentials``.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode, urlsplit

from berth.base.errors import InvalidArgument, Unauthorized, Unavailable
from berth.registry.challenge import Challenge, may_see_credentials
from berth.registry.transport import Transport, read_bounded

if TYPE_CHECKING:
    from berth.registry.hosts import Endpoint

_MAX_ANSWER = 1 << 20
_DEFAULT_LIFE_S = 60
_MARGIN_S = 10
_BASIC_LIFE_S = 3600
_CLIENT_ID = "berth"
_NO_GET = frozenset((404, 405))


class Credentials(NamedTuple):
    """What ``X-Registry-Auth`` gives: a user and password, an identity (refresh) token, or a ready registry token."""

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""

    @property
    def basic(self) -> str | None:
        """The Authorization header, None without a user."""
        if not self.username:
            return None
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


class Token(NamedTuple):
    """``identity_token``: what the server gave to be used instead of the password from now on ("" for none)."""

    bearer: str
    life_s: float
    identity_token: str = ""


def credentials(auth: Mapping[str, str] | None) -> Credentials:
    """From the decoded ``X-Registry-Auth``. Raises: InvalidArgument for values that would break a header."""
    auth = auth or {}
    values = [str(auth.get(key) or "") for key in ("username", "password", "identitytoken", "registrytoken")]
    if not values[0] and auth.get("auth"):
        values[:2] = _split_auth(str(auth["auth"]))
    if any("\r" in value or "\n" in value or "\0" in value for value in values):
        raise InvalidArgument("registry credentials with a control character")
    return Credentials(*values)


def _split_auth(text: str) -> list[str]:
    """``auth`` of a config.json: base64 of ``user:password``. Nonsense is nobody."""
    try:
        user, _, password = base64.b64decode(text, validate=True).decode().partition(":")
    except ValueError:
        return ["", ""]
    return [user, password.strip("\0")]


class Tokens:
    """What one user shows to one registry: by server and scopes."""

    def __init__(self, transport: Transport, creds: Credentials) -> None:
        self._transport = transport
        self._creds = creds
        self._kept: dict[tuple[str, frozenset[str]], tuple[str, float]] = {}
        self.identity_token = ""
        """What the last token server offered in the password's place (asked for by ``offline``)."""

    @property
    def anonymous(self) -> bool:
        return self._creds == Credentials()

    def find(self, endpoint: Endpoint, scopes: Sequence[str]) -> str | None:
        """The Authorization header kept for these scopes, while it lasts."""
        kept = self._kept.get((_netloc(endpoint), frozenset(scopes)))
        if kept is None or kept[1] < time.monotonic():
            return None
        return kept[0]

    def forget(self, endpoint: Endpoint, scopes: Sequence[str]) -> None:
        self._kept.pop((_netloc(endpoint), frozenset(scopes)), None)

    async def answer(
        self, endpoint: Endpoint, challenges: Sequence[Challenge], scopes: Sequence[str], *, offline: bool = False
    ) -> str | None:
        """The Authorization header that satisfies a challenge; None where there is nothing to offer.

        Raises: Unauthorized when the token server says so, Unreachable.
        """
        creds = Credentials() if endpoint.is_mirror else self._creds  # they are the registry's, not the mirror's
        for challenge in challenges:
            if challenge.scheme == "bearer" and challenge.realm:
                if creds.registry_token:
                    return self._keep(endpoint, scopes, f"Bearer {creds.registry_token}", _BASIC_LIFE_S)
                token = await self._fetch(endpoint, challenge, scopes, creds, offline=offline)
                self.identity_token = token.identity_token
                return self._keep(endpoint, scopes, f"Bearer {token.bearer}", token.life_s)
        if any(challenge.scheme == "basic" for challenge in challenges) and creds.basic is not None:
            return self._keep(endpoint, scopes, creds.basic, _BASIC_LIFE_S)
        return None

    def _keep(self, endpoint: Endpoint, scopes: Sequence[str], header: str, life_s: float) -> str:
        self._kept[(_netloc(endpoint), frozenset(scopes))] = (header, time.monotonic() + life_s)
        return header

    async def _fetch(
        self, endpoint: Endpoint, challenge: Challenge, scopes: Sequence[str], creds: Credentials, *, offline: bool
    ) -> Token:
        if not may_see_credentials(endpoint.root, challenge.realm, endpoint.realms):
            creds = Credentials()
        wanted = list(dict.fromkeys([*challenge.scope.split(), *scopes]))
        if creds.identity_token:
            secret = [("grant_type", "refresh_token"), ("refresh_token", creds.identity_token)]
            return await self._post(challenge, wanted, secret)
        fields = [("service", challenge.service), *(("scope", scope) for scope in wanted)]
        if creds.username:
            fields.append(("account", creds.username))
        if offline:
            fields += [("offline_token", "true"), ("client_id", _CLIENT_ID)]
        url = challenge.realm + ("&" if "?" in challenge.realm else "?") + urlencode([f for f in fields if f[1]])
        async with self._transport.exchange(
            "GET", url, headers={"Accept": "application/json"}, secret=creds.basic
        ) as response:
            status, reason = response.status, response.reason or ""
            content = await read_bounded(response, _MAX_ANSWER)
        if status in _NO_GET and creds.username:
            secret = [("grant_type", "password"), ("username", creds.username), ("password", creds.password)]
            return await self._post(challenge, wanted, secret)
        return _parse("GET", challenge.realm, status, reason, content)

    async def _post(self, challenge: Challenge, scopes: Sequence[str], secret: Sequence[tuple[str, str]]) -> Token:
        """OAuth 2, as the Docker registry's token specification has it."""
        fields = [*secret, ("service", challenge.service), ("client_id", _CLIENT_ID)]
        if scopes:
            fields.append(("scope", " ".join(scopes)))
        headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        async with self._transport.exchange(
            "POST", challenge.realm, headers=headers, body=urlencode(fields).encode()
        ) as response:
            content = await read_bounded(response, _MAX_ANSWER)
            return _parse("POST", challenge.realm, response.status, response.reason or "", content)


def _netloc(endpoint: Endpoint) -> str:
    parts = urlsplit(endpoint.root)
    return f"{parts.scheme}://{parts.netloc}"


def _plain(content: bytes) -> str:
    return "".join(char for char in content[:300].decode(errors="replace").strip() if char.isprintable())


def _detail(content: bytes) -> str:
    """Why a token server refuses: its error's message, or Hub's ``details``."""
    try:
        answer = json.loads(content)
        found = answer.get("details") or answer["errors"][0]["message"]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        found = ""
    return _plain(found.encode()) if isinstance(found, str) and found else "authentication required"


def _parse(method: str, realm: str, status: int, reason: str, content: bytes) -> Token:
    if status in (401, 403):
        raise Unauthorized(f"{'unauthorized' if status == 401 else 'denied'}: {_detail(content)}")
    if status == 429 or status >= 500:
        raise Unavailable(f"{'toomanyrequests' if status == 429 else 'unavailable'}: {realm}: {status} {reason}")
    if status != 200:
        detail = _plain(content)
        raise Unauthorized(
            f"failed to authorize: failed to fetch oauth token: unexpected status from {method} request to {realm}: "
            f"{status} {reason}: {detail}"
        )
    try:
        answer = json.loads(content)
    except ValueError:
        answer = None
    token = (answer.get("token") or answer.get("access_token")) if isinstance(answer, dict) else None
    if not isinstance(token, str) or not token.isprintable():
        raise Unauthorized("authorization server did not include a token in the response")
    life_s = answer.get("expires_in")
    if not isinstance(life_s, int | float) or isinstance(life_s, bool) or life_s < _DEFAULT_LIFE_S:
        life_s = _DEFAULT_LIFE_S
    refresh = answer.get("refresh_token")
    return Token(token, float(life_s) - _MARGIN_S, refresh if isinstance(refresh, str) else "")
