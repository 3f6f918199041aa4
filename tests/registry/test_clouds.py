"""The logins and token flows of Docker Hub, ECR, Artifact Registry, GHCR, ACR and Harbor, by the stock CLI.

Each runs against a stand-in that behaves as theirs does, under their own names, through a proxy (``harness/clouds.py``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import cli
from harness.clouds import Acr, ArtifactRegistry, Cloud, Clouds, Ecr, Ghcr, Harbor, Hub
from harness.daemon import Daemon
from harness.images import OciImage
from harness.registry import layered

pytestmark = pytest.mark.root
ALL = [Hub(), Ecr(), ArtifactRegistry(), Ghcr(), Acr(), Harbor()]
BY_NAME = {type(cloud).__name__: cloud for cloud in ALL}


@pytest.fixture(scope="module")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clouds]:
    with Clouds(str(tmp_path_factory.mktemp("clouds")), *ALL) as world:
        yield world


@pytest.fixture(scope="module")
def daemon(clouds: Clouds) -> Iterator[Daemon]:
    with Daemon("--registry-certs", clouds.certs_dir, env=clouds.environ) as engine:
        yield engine


@pytest.fixture
def docker(daemon: Daemon, tmp_path: Path) -> Callable[..., object]:
    """The stock CLI with a configuration of the test's own."""
    return lambda *args, **how: daemon.docker(*args, env={"DOCKER_CONFIG": str(tmp_path)}, **how)


@pytest.fixture
def berth(daemon: Daemon, tmp_path: Path) -> Callable[..., object]:
    """Our own, with the same."""
    environ = cli.client_environ(daemon.host, {"DOCKER_CONFIG": str(tmp_path)})
    return lambda *args, **how: cli.run([*cli.berth_command(), *args], env=environ, **how)


def server(cloud: Cloud) -> list[str]:
    return [] if isinstance(cloud, Hub) else [cloud.registry]


def name_at(cloud: Cloud, name: str) -> str:
    return name if isinstance(cloud, Hub) else f"{cloud.registry}/{name}"


def seed(clouds: Clouds, name: str, salt: str) -> OciImage:
    image = layered(2, salt=salt)
    clouds.registry.add(name, "1", image)
    clouds.registry.forget()
    return image


@pytest.mark.parametrize("client", ["docker", "berth"])
@pytest.mark.parametrize("which", BY_NAME)
def test_login_pull_push_logout(
    which: str, client: str, clouds: Clouds, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    cloud, docker = BY_NAME[which], request.getfixturevalue(client)
    image = seed(clouds, "private/app", which + client)
    refused = docker("pull", name_at(cloud, "private/app:1"), check=False)
    assert refused.code == 1
    assert "pull access denied" in refused.err and "may require 'docker login'" in refused.err, refused.err

    wrong = docker("login", "-u", cloud.user, "--password-stdin", *server(cloud), stdin="wrong", check=False)
    assert wrong.code == 1 and "Login Succeeded" not in wrong.out, wrong.err
    assert "auths" not in _config(tmp_path)
    done = docker("login", "-u", cloud.user, "--password-stdin", *server(cloud), stdin=cloud.password)
    assert "Login Succeeded" in done.out

    assert f"Digest: {image.digest}" in docker("pull", name_at(cloud, "private/app:1")).out
    docker("tag", name_at(cloud, "private/app:1"), name_at(cloud, "private/copy:2"))
    assert f"2: digest: {image.digest}" in docker("push", name_at(cloud, "private/copy:2")).out
    assert clouds.registry.manifests[("private/copy", "2")][0] == image.manifest

    docker("logout", *server(cloud))
    assert not _config(tmp_path).get("auths")
    if cloud.store:
        fetched = clouds.seen_by(cloud.store)
        assert fetched and not any(seen.secret for seen in fetched), "an object store saw credentials"
    for seen in clouds.registry.seen:
        assert cloud.password not in seen.path, "a password in a URL"


def _config(folder: Path) -> dict[str, object]:
    path = folder / "config.json"
    return json.loads(path.read_text()) if path.exists() else {}  # type: ignore[no-any-return]


def test_what_is_public_needs_no_login(clouds: Clouds, docker) -> None:  # type: ignore[no-untyped-def]
    image = seed(clouds, "library/hello-public", "public")
    assert f"Digest: {image.digest}" in docker("pull", "hello-public:1").out
    asked = clouds.seen_by("auth.docker.io")
    assert asked and asked[0].query["scope"] == "repository:library/hello-public:pull"
    assert asked[0].query["service"] == "registry.docker.io" and not asked[0].secret
    assert "registry-1.docker.io:443" in clouds.tunnels


def test_the_hubs_quota_is_told_in_its_words(clouds: Clouds, docker) -> None:  # type: ignore[no-untyped-def]
    seed(clouds, "library/busy", "busy")
    hub = BY_NAME["Hub"]
    assert isinstance(hub, Hub)
    hub.quota = 0
    try:
        failed = docker("pull", "busy:1", check=False)
    finally:
        hub.quota = -1
    assert failed.code == 1
    assert "toomanyrequests: You have reached your unauthenticated pull rate limit." in failed.err
    manifests = [seen for seen in clouds.seen_by("registry-1.docker.io") if "/manifests/" in seen.path and seen.secret]
    assert len(manifests) == 1, "asking again costs another part of the quota"


def test_ecr_says_why(clouds: Clouds, docker) -> None:  # type: ignore[no-untyped-def]
    ecr = BY_NAME["Ecr"]
    assert isinstance(ecr, Ecr)
    seed(clouds, "private/app", "ecr why")
    docker("login", "-u", "AWS", "--password-stdin", ecr.registry, stdin=ecr.password)
    docker("pull", f"{ecr.registry}/private/app:1")
    docker("tag", f"{ecr.registry}/private/app:1", f"{ecr.registry}/absent/app:1")
    failed = docker("push", f"{ecr.registry}/absent/app:1", check=False)
    assert "name unknown: The repository with name 'absent/app' does not exist in the registry" in failed.err
    ecr.expired = True
    try:
        failed = docker("push", f"{ecr.registry}/private/app:1", check=False)
    finally:
        ecr.expired = False
    assert "denied: Your authorization token has expired. Reauthenticate and try again." in failed.err


def test_an_identity_token_takes_the_passwords_place(clouds: Clouds, docker, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    acr = BY_NAME["Acr"]
    seed(clouds, "private/app", "identity")
    docker("login", "-u", acr.user, "--password-stdin", acr.registry, stdin=acr.password)
    kept = _config(tmp_path)["auths"][acr.registry]  # type: ignore[index]
    assert kept["identitytoken"] == acr.identity
    assert acr.password not in (tmp_path / "config.json").read_text()
    clouds.registry.forget()
    docker("pull", f"{acr.registry}/private/app:1")
    exchanged = [seen for seen in clouds.seen_by(acr.registry) if seen.method == "POST"]
    assert exchanged and b"grant_type=refresh_token" in exchanged[0].body
    assert b"service=tests.azurecr.io" in exchanged[0].body


def test_search(clouds: Clouds, docker, daemon: Daemon) -> None:  # type: ignore[no-untyped-def]
    found = docker("search", "nginx").lines
    assert found[0].split() == ["NAME", "DESCRIPTION", "STARS", "OFFICIAL"]
    assert [line.split()[0] for line in found[1:]] == ["nginx", "bitnami/nginx"]
    assert "\x1b" not in docker("search", "nginx").out
    official = docker("search", "--filter", "is-official=true", "--format", "{{.Name}} {{.StarCount}}", "nginx").out
    assert official == "nginx 20000\n"
    assert len(docker("search", "--limit", "1", "nginx").lines) == 2
    assert daemon.berth("search", "--format", "{{.Name}}", "nginx").lines == ["nginx", "bitnami/nginx"]
    failed = docker("search", "--filter", "stars=many", "nginx", check=False)
    assert "invalid filter 'stars=many'" in failed.err
