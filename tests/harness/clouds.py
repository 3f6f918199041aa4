"""The registries of the big providers, as far as their logins, tokens and redirects go, behind a proxy of the tests' own.

    engine ──HTTPS_PROXY──▶ Proxy ──any host:443──▶ one TLS server with all their names ──▶ Cloud.answer by Host

So an engine speaks to ``registry-1.docker.io`` or ``….azurecr.io`` by its own name, over TLS that it verifies, and no byte
leaves the machine. Each ``Cloud`` says which user it knows, how it asks for credentials, and where its blobs lie; object stores
refuse a request that carries an Authorization header, as the real ones do.
"""

from __future__ import annotations

import base64
import os
import select
import socket
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from harness.certificates import Authority
from harness.images import to_json
from harness.registry import Reply, Seen, StandIn, refusal


class Cloud:
    """One provider. ``private``: repositories that need its user; others may be read by anybody."""

    registry = ""
    realm = ""
    service = ""
    store = ""
    user, password = "tester", "secret"
    identity = ""
    private: tuple[str, ...] = ("private/",)

    def hosts(self) -> list[str]:
        found = [self.registry, urlsplit(self.realm).hostname or "", self.store]
        return sorted({host for host in found if host})

    def answer(self, seen: Seen) -> Reply | None:
        """The provider's own answer; None: the registry's plain one."""
        host = seen.headers.get("host", "").partition(":")[0]
        path = urlsplit(seen.path).path
        if host == self.store:
            return self.blob_store(seen)
        if self.realm and (host, path) == (urlsplit(self.realm).hostname, urlsplit(self.realm).path):
            return self.token(seen)
        if host == self.registry:
            return self.check(seen)
        return Reply(404, {}, b"no such host here")

    # --- tokens

    def token(self, seen: Seen) -> Reply:
        form = dict(parse_qsl(seen.body.decode())) if seen.method == "POST" else {}
        query = parse_qsl(urlsplit(seen.path).query)
        scopes = form.get("scope", "").split() if form else [value for name, value in query if name == "scope"]
        known = self.knows(seen, form)
        if known is None:
            return Reply(401, {"Content-Type": "application/json"}, self.wrong_password())
        granted = [scope for scope in scopes if known or not self._is_private(scope)]
        granted = granted if known else [scope for scope in granted if "push" not in scope]
        bearer = "tok." + base64.urlsafe_b64encode(" ".join(granted).encode()).decode()
        answer: dict[str, Any] = {"expires_in": 300, "access_token" if form else "token": bearer}
        if dict(query).get("offline_token") == "true" and self.identity and known:
            answer["refresh_token"] = self.identity
        return Reply(200, {"Content-Type": "application/json"}, to_json(answer))

    def knows(self, seen: Seen, form: Mapping[str, str]) -> bool | None:
        """True for the user, False for nobody, None for somebody else."""
        if form.get("grant_type") == "refresh_token":
            return True if self.identity and form.get("refresh_token") == self.identity else None
        if form.get("grant_type") == "password":
            return True if (form.get("username"), form.get("password")) == (self.user, self.password) else None
        if not seen.secret:
            return False
        return True if seen.secret == basic(self.user, self.password) else None

    def wrong_password(self) -> bytes:
        return to_json({"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]})

    def _is_private(self, scope: str) -> bool:
        return scope.partition(":")[2].startswith(self.private)

    # --- the registry

    def check(self, seen: Seen) -> Reply | None:
        path = urlsplit(seen.path).path
        if path in ("/v2/", "/v2"):
            return None if seen.secret.startswith("Bearer tok.") else self.challenge("")
        name = path.removeprefix("/v2/").split("/manifests/")[0].split("/blobs/")[0].split("/tags/")[0]
        wanted = f"repository:{name}:{'pull' if seen.method in ('GET', 'HEAD') else 'pull,push'}"
        if not seen.secret.startswith("Bearer tok."):
            return self.challenge(wanted)
        granted = base64.urlsafe_b64decode(seen.secret.removeprefix("Bearer tok.")).decode().split()
        allowed = any(
            scope.startswith(f"repository:{name}:") and ("push" in scope or "push" not in wanted) for scope in granted
        )
        return None if allowed else self.challenge(wanted, error="insufficient_scope")

    def challenge(self, scope: str, error: str = "") -> Reply:
        parts = [f'realm="{self.realm}"', f'service="{self.service}"']
        parts += [f'scope="{scope}"'] if scope else []
        parts += [f'error="{error}"'] if error else []
        header = "Bearer " + ",".join(parts)
        return refusal(401, "UNAUTHORIZED", "authentication required", WWW_Authenticate=header)

    def blob_store(self, seen: Seen) -> Reply | None:
        """A signed URL's server: refuses a second way of proving who one is, as S3 and Azure do."""
        if seen.secret:
            return Reply(400, {}, b"<Code>InvalidArgument</Code><Message>Only one auth mechanism allowed</Message>")
        return None


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class Hub(Cloud):
    """Docker Hub: a token server of its own, personal access tokens, pull quotas, blobs at a CDN."""

    registry, service = "registry-1.docker.io", "registry.docker.io"
    realm = "https://auth.docker.io/token"
    store = "production.cloudflare.docker.com"
    quota = -1
    """Manifests that may still be read; below 0 there is no end."""

    def hosts(self) -> list[str]:
        return [*super().hosts(), "index.docker.io"]

    def wrong_password(self) -> bytes:
        return to_json({"details": "incorrect username or password"})

    def answer(self, seen: Seen) -> Reply | None:
        if seen.headers.get("host", "").startswith("index.docker.io"):
            return self.search(seen)
        return super().answer(seen)

    def search(self, seen: Seen) -> Reply:
        results = [
            {"name": "nginx", "description": "Official build of Nginx.", "star_count": 20000, "is_official": True,
             "is_automated": False},
            {"name": "bitnami/nginx", "description": "Bitnami's\x1b[31m nginx", "star_count": 200, "is_official": False,
             "is_automated": True},
        ]  # fmt: skip
        limit = int(seen.query.get("n", "25"))
        found = [entry for entry in results if seen.query.get("q", "") in entry["name"]][:limit]  # type: ignore[operator]
        return Reply(200, {"Content-Type": "application/json"}, to_json({"num_results": len(found), "results": found}))

    def check(self, seen: Seen) -> Reply | None:
        refused = super().check(seen)
        if refused is None and "/manifests/" in seen.path and seen.method == "GET" and self.quota >= 0:
            self.quota -= 1
            if self.quota < 0:
                return refusal(
                    429, "TOOMANYREQUESTS",
                    "You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit",
                    Docker_RateLimit_Source="192.0.2.1",
                )  # fmt: skip
        return refused


class Ecr(Cloud):
    """Amazon ECR: Basic only (user AWS, a password for twelve hours), blobs in S3, repositories must exist before a push."""

    registry = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
    store = "prod-eu-west-1-starport-layer-bucket.s3.eu-west-1.amazonaws.com"
    user, password = "AWS", "eyJwYXlsb2FkIjoi"
    expired = False

    def check(self, seen: Seen) -> Reply | None:
        if not seen.secret:
            header = f'Basic realm="https://{self.registry}/",service="ecr.amazonaws.com"'
            return Reply(401, {"WWW-Authenticate": header}, b"Not Authorized\n")
        if seen.secret != basic(self.user, self.password):
            return refusal(400, "DENIED", "Your Authorization Token is invalid.")
        if self.expired:
            return refusal(403, "DENIED", "Your authorization token has expired. Reauthenticate and try again.")
        name = urlsplit(seen.path).path.removeprefix("/v2/").partition("/blobs/")[0].partition("/manifests/")[0]
        if name.startswith("absent"):
            return refusal(
                404, "NAME_UNKNOWN",
                f"The repository with name '{name}' does not exist in the registry with id '123456789012'",
            )  # fmt: skip
        return None


class ArtifactRegistry(Cloud):
    """Google: an access token as the password of ``oauth2accesstoken``, the token server on the registry's own host."""

    registry = service = "europe-docker.pkg.dev"
    realm = "https://europe-docker.pkg.dev/v2/token"
    user, password = "oauth2accesstoken", "ya29.A0AfH6"


class Ghcr(Cloud):
    """GitHub: personal access tokens; blobs on a host of another domain."""

    registry = service = "ghcr.io"
    realm = "https://ghcr.io/token"
    store = "pkg-containers.githubusercontent.com"
    user, password = "octocat", "ghp_16C7e42F292c6912E7"


class Acr(Cloud):
    """Azure: an identity token, exchanged by OAuth 2 at the registry's own host; blobs in Azure's store."""

    registry = service = "tests.azurecr.io"
    realm = "https://tests.azurecr.io/oauth2/token"
    store = "weumanaged.blob.core.windows.net"
    user, password = "tests", "admin-password"
    identity = "eyJhbGciOiJSUzI1NiIsImtpZCI6"


class Harbor(Cloud):
    """Harbor: robot accounts (a dollar in the name), its token server under /service/token, words of its own for no."""

    registry = "harbor.example.com"
    service = "harbor-registry"
    realm = "https://harbor.example.com/service/token"
    user, password = "robot$ci", "b0HrqKzmRPHi5mSGCrp7"

    def challenge(self, scope: str, error: str = "") -> Reply:
        plain = super().challenge(scope, error)
        name = scope.split(":")[1] if scope else ""
        what = f"unauthorized to access repository: {name}, action: pull"
        message = f"{what}: {what}"
        body = to_json({"errors": [{"code": "UNAUTHORIZED", "message": message}]})
        return Reply(401, plain.headers, body)


class Clouds:
    """All of them behind one proxy. ``certs_dir`` and ``environ`` are for the engine."""

    def __init__(self, root: str, *clouds: Cloud, more_hosts: tuple[str, ...] = ()) -> None:
        self._clouds = {host: cloud for cloud in clouds for host in cloud.hosts()}
        hosts = [*self._clouds, *more_hosts]
        authority = Authority(f"{root}/ca")
        self.certs_dir = f"{root}/certs.d"
        for host in hosts:
            os.makedirs(f"{self.certs_dir}/{host}")
            os.link(authority.certificate, f"{self.certs_dir}/{host}/ca.crt")
        self.registry = StandIn(tls=authority.issue("clouds", hosts), guard=self._answer)
        self._proxy = Proxy(self.registry.port)
        self.environ = {"HTTPS_PROXY": self._proxy.url, "HTTP_PROXY": "", "NO_PROXY": ""}

    @property
    def tunnels(self) -> list[str]:
        """host:port of every CONNECT."""
        return self._proxy.asked

    def __enter__(self) -> Clouds:
        self.registry.__enter__()
        self._proxy.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._proxy.close()
        self.registry.close()

    def _answer(self, seen: Seen) -> Reply | None:
        cloud = self._clouds.get(seen.headers.get("host", "").partition(":")[0])
        if cloud is None:
            return None
        reply = cloud.answer(seen)
        if reply is None and cloud.store and seen.headers["host"].startswith(cloud.store):
            digest = urlsplit(seen.path).path.lstrip("/")
            return Reply(200, {"Content-Type": "application/octet-stream"}, self.registry.blobs[digest])
        if reply is None and cloud.store and seen.method == "GET" and "/blobs/sha256:" in seen.path:
            digest = urlsplit(seen.path).path.rpartition("/")[2]
            return Reply(307, {"Location": f"https://{cloud.store}/{digest}?X-Amz-Signature=abc"})
        return reply

    def seen_by(self, host: str) -> list[Seen]:
        return [seen for seen in self.registry.seen if seen.headers.get("host", "").partition(":")[0] == host]


class Proxy:
    """An HTTP proxy that knows CONNECT, and leads every one of them to ``port`` on loopback."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.asked: list[str] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._tunnel, args=(client,), daemon=True).start()

    def _tunnel(self, client: socket.socket) -> None:
        with client:
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
            self.asked.append(target)
            if method != "CONNECT":
                client.sendall(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
                return
            with socket.create_connection(("127.0.0.1", self._target)) as server:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                _pump(client, server)


def _pump(one: socket.socket, other: socket.socket) -> None:
    pairs = {one: other, other: one}
    while True:
        for ready in select.select(list(pairs), [], [])[0]:
            try:
                chunk = ready.recv(65536)
                if not chunk:
                    return
                pairs[ready].sendall(chunk)
            except OSError:
                return
