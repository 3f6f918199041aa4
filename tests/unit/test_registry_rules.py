"""What the distribution client decides without asking anybody: proxies, challenges, servers, who may see credentials."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from berth.base.errors import InvalidArgument, Unauthorized
from berth.registry.caller import _retry_after_s
from berth.registry.challenge import Challenge, may_see_credentials, parse_challenges, same_origin
from berth.registry.hosts import Endpoint, endpoints, is_insecure, is_loopback, origins
from berth.registry.login import domain_of
from berth.registry.proxies import find_proxy
from berth.registry.settings import RegistrySettings, parse_registries
from berth.registry.tokens import Credentials, Tokens, credentials

# --- proxies

PROXY = {"HTTPS_PROXY": "http://secure:1", "http_proxy": "plain:2"}


@pytest.mark.parametrize(
    ("url", "no_proxy", "proxy"),
    [
        ("https://ghcr.io/v2/", "", "http://secure:1"),
        ("http://ghcr.io/v2/", "", "http://plain:2"),
        ("https://localhost:5000/v2/", "", None),
        ("http://127.3.4.5/v2/", "", None),
        ("http://[::1]:5000/v2/", "", None),
        ("https://ghcr.io/", "*", None),
        ("https://ghcr.io/", "ghcr.io", None),
        ("https://ghcr.io/", "quay.io, GHCR.io", None),
        ("https://pkg.ghcr.io/", "ghcr.io", None),
        ("https://ghcr.io/", ".ghcr.io", "http://secure:1"),
        ("https://pkg.ghcr.io/", ".ghcr.io", None),
        ("https://pkg.ghcr.io/", "*.ghcr.io", None),
        ("https://myghcr.io/", "ghcr.io", "http://secure:1"),
        ("https://ghcr.io/", "ghcr.io:5000", "http://secure:1"),
        ("https://ghcr.io:5000/", "ghcr.io:5000", None),
        ("https://ghcr.io/", "ghcr.io:443", None),
        ("https://10.1.2.3/", "10.0.0.0/8", None),
        ("https://11.1.2.3/", "10.0.0.0/8", "http://secure:1"),
        ("https://[fd00::1]/", "fd00::/8", None),
        ("https://[fd00::1]:5000/", "[fd00::1]:5000", None),
        ("https://10.1.2.3/", "10.1.2.3", None),
        ("https://ghcr.io/", "nonsense/8,,", "http://secure:1"),
    ],
)
def test_proxies_by_gos_rules(url: str, no_proxy: str, proxy: str | None) -> None:
    assert find_proxy(url, {**PROXY, "NO_PROXY": no_proxy}) == proxy


def test_upper_case_comes_first() -> None:
    assert find_proxy("https://a.b/", {"HTTPS_PROXY": "http://upper", "https_proxy": "http://lower"}) == "http://upper"
    assert find_proxy("https://a.b/", {"HTTPS_PROXY": "", "https_proxy": "http://lower"}) == "http://lower"
    assert find_proxy("https://a.b/", {}) is None


# --- challenges


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ('Bearer realm="https://a/token",service="a",scope="repository:x:pull,push"',
         Challenge("bearer", "https://a/token", "a", "repository:x:pull,push")),
        ('BEARER Realm = "https://a/token" , service=a', Challenge("bearer", "https://a/token", "a")),
        ('Basic realm="Registry \\"Realm\\""', Challenge("basic", 'Registry "Realm"')),
        ("Basic", Challenge("basic")),
        ('Bearer realm="https://a/token",error="invalid_token"', Challenge("bearer", "https://a/token")),
        ('Bearer realm="unfinished', Challenge("bearer")),
    ],
)  # fmt: skip
def test_challenges(header: str, found: Challenge) -> None:
    assert parse_challenges([header]) == [found]


def test_what_is_no_challenge_is_none() -> None:
    assert parse_challenges(["", "   ", '="x"', ","]) == []
    assert len(parse_challenges(["Basic realm=a", "Bearer realm=b"])) == 2
    assert parse_challenges(["Bearer " + 'a="b",' * 100_000])  # bounded, and at once


@pytest.mark.parametrize(
    ("registry", "realm", "may"),
    [
        ("https://registry-1.docker.io/v2", "https://auth.docker.io/token", True),
        ("https://ghcr.io/v2", "https://ghcr.io/token", True),
        ("https://harbor.corp.example/v2", "https://harbor.corp.example:8443/service/token", True),
        ("https://registry.corp.co.uk/v2", "https://auth.corp.co.uk/token", True),
        ("https://registry.corp.co.uk/v2", "https://auth.evil.co.uk/token", False),
        ("https://ghcr.io/v2", "https://evil.example/token", False),
        ("https://ghcr.io/v2", "http://ghcr.io/token", False),
        ("https://ghcr.io/v2", "https://ghcr.io@evil.example/token", False),
        ("https://ghcr.io/v2", "file:///etc/passwd", False),
        ("https://ghcr.io/v2", "https://notghcr.io/token", False),
        ("https://one.azurecr.io/v2", "https://two.azurecr.io/oauth2/token", False),
        ("https://one.azurecr.io/v2", "https://one.azurecr.io/oauth2/token", True),
        ("https://eu-docker.pkg.dev/v2", "https://us-docker.pkg.dev/v2/token", False),
        ("http://127.0.0.1:5000/v2", "http://127.0.0.1:5001/token", True),
        ("http://127.0.0.1:5000/v2", "http://127.0.0.2:5001/token", False),
        ("http://10.0.0.1/v2", "http://11.0.0.1/token", False),
    ],
)
def test_who_may_see_credentials(registry: str, realm: str, may: bool) -> None:
    assert may_see_credentials(registry, realm) is may


def test_a_realm_that_the_settings_allow() -> None:
    assert may_see_credentials("https://a.example/v2", "https://b.test/token", ["b.test"])
    assert not may_see_credentials("https://a.example/v2", "http://b.test/token", ["b.test"])


def test_origins_of_urls() -> None:
    assert same_origin("https://a/x", "https://a:443/y")
    assert not same_origin("https://a/x", "http://a/x")
    assert not same_origin("https://a/x", "https://a:444/x")
    assert not same_origin("https://a/x", "https://a.b/x")


# --- servers


@pytest.mark.parametrize("host", ["localhost", "a.localhost", "127.0.0.1", "127.255.1.2", "::1", "[::1]"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["localhost.example", "128.0.0.1", "::2", "10.0.0.1", "127.0.0.1.example", ""])
def test_what_is_no_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("netloc", "entries", "insecure"),
    [
        ("registry.lan:5000", ("registry.lan:5000",), True),
        ("registry.lan:5001", ("registry.lan:5000",), False),
        ("registry.lan:5001", ("registry.lan",), True),
        ("REGISTRY.lan", ("http://registry.LAN/",), True),
        ("10.1.2.3:5000", ("10.0.0.0/8",), True),
        ("11.1.2.3:5000", ("10.0.0.0/8",), False),
        ("[fd00::1]:5000", ("fd00::/8",), True),
        ("ten.lan", ("10.0.0.0/8",), False),
        ("[::1]:5000", (), True),
        ("ghcr.io", (), False),
    ],
)
def test_insecure_registries(netloc: str, entries: tuple[str, ...], insecure: bool) -> None:
    assert is_insecure(netloc, RegistrySettings(insecure=entries)) is insecure
    schemes = [server.root.partition(":")[0] for server in origins(netloc, RegistrySettings(insecure=entries))]
    assert schemes == (["https", "http"] if insecure else ["https"])


def test_servers_in_order() -> None:
    settings = RegistrySettings(
        hub_mirrors=("http://hub.mirror",),
        registries=parse_registries(
            {"quay.io": "https://quay.mirror/v2/proxy", "*": {"mirrors": ["https://all.mirror"]}}
        ),
    )
    assert [e.root for e in endpoints("docker.io", settings)] == [
        "http://hub.mirror/v2", "https://all.mirror/v2", "https://registry-1.docker.io/v2",
    ]  # fmt: skip
    quay = endpoints("quay.io", settings)
    assert [e.root for e in quay] == ["https://quay.mirror/v2/proxy", "https://quay.io/v2"]
    assert quay[0].url("a/manifests/1") == "https://quay.mirror/v2/proxy/a/manifests/1?ns=quay.io"
    assert quay[1].url("a/manifests/1") == "https://quay.io/v2/a/manifests/1"
    assert next(e.root for e in endpoints("ghcr.io", settings)) == "https://all.mirror/v2"
    assert [e.root for e in origins("quay.io", settings)] == ["https://quay.io/v2"], "mirrors are not written to"


@pytest.mark.parametrize(
    "name", ["", "docker.io", "https://index.docker.io/v1/", "registry-1.docker.io", "INDEX.docker.io"]
)
def test_names_of_the_hub(name: str) -> None:
    assert domain_of(name) == "docker.io"


def test_other_server_addresses() -> None:
    assert domain_of("https://ghcr.io/v2/") == "ghcr.io"
    assert domain_of("http://localhost:5000") == "localhost:5000"


# --- credentials and tokens


def test_credentials_of_a_header() -> None:
    packed = base64.b64encode(b"ann:pass:word").decode()
    assert credentials({"auth": packed}) == Credentials("ann", "pass:word")
    assert credentials({"auth": "%%%"}) == Credentials()
    assert credentials({"username": "ann", "password": "x", "auth": packed}).password == "x"
    with pytest.raises(InvalidArgument):
        credentials({"username": "ann\r\nX-Evil: 1", "password": "x"})


class Exchanges:
    """A transport that answers from a list and remembers what it was asked."""

    def __init__(self, *answers: tuple[int, Any]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, str | None, bytes]] = []

    @asynccontextmanager
    async def exchange(
        self, method: str, url: str, *, headers: Any, secret: str | None = None, body: bytes = b""
    ) -> AsyncIterator[Any]:
        self.asked.append((method, url, secret, body))
        status, document = self.answers.pop(0)
        yield _Response(status, json.dumps(document).encode())


class _Response:
    reason, method, url = "Why", "GET", None

    def __init__(self, status: int, content: bytes) -> None:
        self.status = status
        self.content = self
        self._content = content

    async def iter_any(self) -> AsyncIterator[bytes]:
        yield self._content


def answer(tokens: Tokens, server: Endpoint, challenges: Sequence[Challenge], scopes: Sequence[str]) -> str | None:
    return asyncio.run(tokens.answer(server, challenges, scopes))


@pytest.fixture(autouse=True)
def _urls(monkeypatch: pytest.MonkeyPatch) -> None:
    async def bounded(response: Any, limit: int) -> bytes:
        return b"".join([piece async for piece in response.iter_any()])

    monkeypatch.setattr("berth.registry.tokens.read_bounded", bounded)


SERVER = Endpoint("https://registry.corp.example/v2")
BEARER = [Challenge("bearer", "https://auth.corp.example/token", "registry.example", "repository:a:pull")]


def test_a_token_is_kept_by_server_and_scopes() -> None:
    line = Exchanges((200, {"token": "T", "expires_in": 300}))
    tokens = Tokens(line, Credentials("ann", "secret"))  # type: ignore[arg-type]
    assert answer(tokens, SERVER, BEARER, ["repository:a:pull"]) == "Bearer T"
    assert tokens.find(SERVER, ["repository:a:pull"]) == "Bearer T"
    assert tokens.find(SERVER, ["repository:b:pull"]) is None
    assert tokens.find(Endpoint("https://other.example/v2"), ["repository:a:pull"]) is None
    assert tokens.find(Endpoint("http://registry.example/v2"), ["repository:a:pull"]) is None
    [(method, url, secret, _)] = line.asked
    assert method == "GET" and "service=registry.example" in url and "account=ann" in url
    assert url.count("scope=") == 1 and secret == Credentials("ann", "secret").basic
    tokens.forget(SERVER, ["repository:a:pull"])
    assert tokens.find(SERVER, ["repository:a:pull"]) is None


def test_a_token_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = Tokens(Exchanges((200, {"token": "T", "expires_in": 300})), Credentials())  # type: ignore[arg-type]
    now = [1000.0]
    monkeypatch.setattr("berth.registry.tokens.time.monotonic", lambda: now[0])
    answer(tokens, SERVER, BEARER, [])
    now[0] += 280
    assert tokens.find(SERVER, []) == "Bearer T"
    now[0] += 15
    assert tokens.find(SERVER, []) is None, "a little before the server forgets it"


@pytest.mark.parametrize("life", [None, 1, -5, "60", True])
def test_a_token_without_a_sensible_life_lasts_a_minute(life: object, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = Tokens(Exchanges((200, {"access_token": "T", "expires_in": life})), Credentials())  # type: ignore[arg-type]
    now = [0.0]
    monkeypatch.setattr("berth.registry.tokens.time.monotonic", lambda: now[0])
    answer(tokens, SERVER, BEARER, [])
    now[0] = 49
    assert tokens.find(SERVER, []) == "Bearer T"
    now[0] = 51
    assert tokens.find(SERVER, []) is None


def test_an_identity_token_is_posted_and_the_password_where_nobody_answers_get() -> None:
    line = Exchanges((200, {"access_token": "T"}), (405, {}), (200, {"access_token": "U"}))
    answer(Tokens(line, Credentials(identity_token="I")), SERVER, BEARER, [])  # type: ignore[arg-type]
    assert line.asked[0][0] == "POST" and b"grant_type=refresh_token&refresh_token=I" in line.asked[0][3]
    assert line.asked[0][2] is None
    answer(Tokens(line, Credentials("ann", "secret")), SERVER, BEARER, [])  # type: ignore[arg-type]
    assert [entry[0] for entry in line.asked] == ["POST", "GET", "POST"]
    assert b"grant_type=password&username=ann&password=secret" in line.asked[2][3]


def test_a_foreign_token_server_and_a_mirror_see_nothing() -> None:
    line = Exchanges((200, {"token": "T"}), (200, {"token": "T"}))
    known = Credentials("ann", "secret")
    foreign = [Challenge("bearer", "https://evil.test/token")]
    assert answer(Tokens(line, known), SERVER, foreign, []) == "Bearer T"  # type: ignore[arg-type]
    mirror = Endpoint("https://registry.corp.example/v2", is_mirror=True)
    assert answer(Tokens(line, known), mirror, BEARER, []) == "Bearer T"  # type: ignore[arg-type]
    assert all(secret is None and "ann" not in url for _, url, secret, _ in line.asked)
    assert answer(Tokens(line, known), mirror, [Challenge("basic")], []) is None  # type: ignore[arg-type]


def test_a_token_server_that_refuses_says_why() -> None:
    line = Exchanges(
        (401, {"details": "incorrect username or password"}), (200, {"nothing": 1}), (200, {"token": "a\nb"})
    )
    tokens = Tokens(line, Credentials("ann", "x"))  # type: ignore[arg-type]
    for sentence in ("incorrect username or password", "did not include a token", "did not include a token"):
        with pytest.raises(Unauthorized, match=sentence):
            answer(tokens, SERVER, BEARER, [])


# --- patience


def test_retry_after() -> None:
    assert _retry_after_s("7") == 7
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 25 < (_retry_after_s(soon) or 0) <= 30
    assert _retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert _retry_after_s("") is None and _retry_after_s("soon") is None
