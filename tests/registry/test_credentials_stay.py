"""Credentials go to the registry that they were given for, and to nobody else.

CVE-2020-15157 (a layer's foreign URL), CVE-2026-33540 (a realm on another domain), CVE-2019-10214 (plain HTTP after TLS),
CVE-2024-3727 (digests that are paths), CVE-2021-41092 (a helper that is missing); mirrors and redirects. A capture server plays
each part: it must never see an Authorization header, nor the secret anywhere else.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.clouds import basic
from harness.daemon import Daemon
from harness.images import OCI_MANIFEST, OciImage, digest, to_json
from harness.registry import Reply, Seen, StandIn, layered, refusal

pytestmark = pytest.mark.root
USER, PASSWORD = "canary-user", "canary-s3cret"
AUTH = {
    "X-Registry-Auth": base64.urlsafe_b64encode(json.dumps({"username": USER, "password": PASSWORD}).encode()).decode()
}


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon() as engine:
        yield engine


def asks_basic(seen: Seen) -> Reply | None:
    if seen.secret == basic(USER, PASSWORD):
        return None
    return refusal(401, "UNAUTHORIZED", "authentication required", WWW_Authenticate='Basic realm="tests"')


def pull(daemon: Daemon, name: str) -> str:
    answer = daemon.api("POST", f"/images/create?fromImage={name}", headers=AUTH)
    return json.dumps(answer.body) if not isinstance(answer.body, str) else answer.body


def assert_saw_nothing(capture: StandIn, *, asked: bool = True) -> None:
    assert bool(capture.seen) is asked, capture.seen
    for seen in capture.seen:
        assert seen.secret in ("", "Bearer of-the-mirror"), seen
        told = f"{seen.path} {seen.headers} {seen.body!r}"
        assert PASSWORD not in told and base64.b64encode(PASSWORD.encode()).decode() not in told, seen


def test_a_redirect_of_blobs(daemon: Daemon, make_stand_in: Callable[..., StandIn]) -> None:
    capture = make_stand_in(address="127.0.0.2")
    registry = make_stand_in(guard=asks_basic)
    image = layered(1, salt="redirect")
    registry.add("app", "1", image)
    registry.blobs_at = f"{capture.url}/v2/app/blobs"
    capture.add("app", "1", image)
    assert "Downloaded newer image" in pull(daemon, f"{registry.host}/app:1")
    assert_saw_nothing(capture)


def test_a_redirect_to_another_port_of_the_same_host(daemon: Daemon, make_stand_in: Callable[..., StandIn]) -> None:
    capture = make_stand_in()
    registry = make_stand_in(guard=asks_basic)
    image = layered(1, salt="port")
    registry.add("app", "1", image)
    registry.blobs_at = f"{capture.url}/v2/app/blobs"
    capture.add("app", "1", image)
    assert "Downloaded newer image" in pull(daemon, f"{registry.host}/app:1")
    assert_saw_nothing(capture)


def test_a_redirect_of_a_manifest(daemon: Daemon, make_stand_in: Callable[..., StandIn]) -> None:
    capture = make_stand_in(address="127.0.0.2", guard=asks_basic)
    capture.add("app", "1", layered(1, salt="manifest"))

    def guard(seen: Seen) -> Reply | None:
        return asks_basic(seen) or Reply(307, {"Location": f"{capture.url}{seen.path}"})

    registry = make_stand_in(guard=guard)
    assert "pull access denied" in pull(daemon, f"{registry.host}/app:1")  # it asks for them, and does not get them
    assert_saw_nothing(capture)


def test_a_token_server_of_somebody_else(daemon: Daemon, make_stand_in: Callable[..., StandIn]) -> None:
    capture = make_stand_in(
        address="127.0.0.2",
        guard=lambda seen: Reply(200, {"Content-Type": "application/json"}, b'{"token":"anonymous"}'),
    )
    realm = f'Bearer realm="{capture.url}/token",service="x"'
    registry = make_stand_in(
        guard=lambda seen: None if seen.secret else refusal(401, "UNAUTHORIZED", "no", WWW_Authenticate=realm)
    )
    registry.add("app", "1", layered(1, salt="realm"))
    assert "Downloaded newer image" in pull(daemon, f"{registry.host}/app:1")  # by the anonymous token
    assert_saw_nothing(capture)
    assert "account" not in capture.seen[0].query


def test_an_identity_token_and_a_foreign_realm(daemon: Daemon, make_stand_in: Callable[..., StandIn]) -> None:
    capture = make_stand_in(
        address="127.0.0.2",
        guard=lambda seen: Reply(200, {"Content-Type": "application/json"}, b'{"token":"anonymous"}'),
    )
    realm = f'Bearer realm="{capture.url}/token",service="x"'
    registry = make_stand_in(guard=lambda seen: refusal(401, "UNAUTHORIZED", "no", WWW_Authenticate=realm))
    auth = base64.urlsafe_b64encode(json.dumps({"identitytoken": PASSWORD}).encode()).decode()
    daemon.api("POST", f"/images/create?fromImage={registry.host}/app:1", headers={"X-Registry-Auth": auth})
    assert_saw_nothing(capture)
    assert all(seen.method == "GET" for seen in capture.seen)


def test_a_layers_foreign_url(daemon: Daemon, make_stand_in: Callable[..., StandIn]) -> None:
    capture = make_stand_in(address="127.0.0.2", guard=asks_basic)
    registry = make_stand_in(guard=asks_basic)
    image = layered(1, salt="foreign")
    document = json.loads(image.manifest)
    document["layers"][0] |= {
        "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "urls": [f"{capture.url}/layer"],
    }
    registry.add("app", "1", OciImage(to_json(document), OCI_MANIFEST, image.blobs, image.config_digest))
    assert "fetched from elsewhere" in pull(daemon, f"{registry.host}/app:1")
    assert_saw_nothing(capture, asked=False)


def test_an_upload_sent_elsewhere(daemon: Daemon, make_stand_in: Callable[..., StandIn]) -> None:
    capture = make_stand_in(address="127.0.0.2")
    registry = make_stand_in(guard=asks_basic)
    image = layered(1, salt="upload")
    registry.add("app", "1", image)
    pull(daemon, f"{registry.host}/app:1")

    def guard(seen: Seen) -> Reply | None:
        if seen.method == "POST":
            with capture.lock:
                capture.uploads["7"] = bytearray()
            return Reply(202, {"Location": f"{capture.url}/v2/app/blobs/uploads/7"})
        return asks_basic(seen)

    registry.guard = guard
    registry.blobs.clear()
    daemon.api("POST", f"/images/{registry.host}/app/push?tag=1", headers=AUTH)
    assert_saw_nothing(capture)


def test_a_list_that_goes_on_elsewhere(daemon: Daemon, make_stand_in: Callable[..., StandIn]) -> None:
    capture = make_stand_in(address="127.0.0.2")
    link = f'<{capture.url}/v2/app/tags/list?last=a>; rel="next"'
    registry = make_stand_in(guard=lambda seen: asks_basic(seen) or Reply(200, {"Link": link}, b'{"tags":["a"]}'))
    answer = daemon.api("GET", f"/distribution/{registry.host}/app/tags", headers=AUTH)
    assert answer.status == 400 and "another host" in answer.body["message"]
    assert_saw_nothing(capture, asked=False)


@pytest.mark.parametrize("tags", ["hub", "other"])
def test_a_mirror(tags: str, make_daemon: Callable[..., Daemon], make_stand_in: Callable[..., StandIn]) -> None:
    """It asks for credentials by every means, also through a token server of its own."""
    capture = make_stand_in(address="127.0.0.2")

    def asks_everything(seen: Seen) -> Reply | None:
        if seen.path.startswith("/token"):
            return Reply(200, {"Content-Type": "application/json"}, b'{"token":"of-the-mirror"}')
        realm = f'Bearer realm="{capture.url}/token",service="x"'
        return refusal(401, "UNAUTHORIZED", "no", WWW_Authenticate=f'{realm}, Basic realm="x"')

    capture.guard = asks_everything
    registry = make_stand_in(guard=asks_basic)
    registry.add("app", "1", layered(1, salt=f"mirror {tags}"))
    if tags == "hub":
        daemon = make_daemon("--registry-mirror", capture.url, busybox=False, env={"HTTPS_PROXY": "http://127.0.0.1:9"})
        pull(daemon, "app:1")
    else:
        daemon = make_daemon("--registries", f"{registry.host}={capture.url}", busybox=False)
        assert "Downloaded newer image" in pull(daemon, f"{registry.host}/app:1")
    assert_saw_nothing(capture)


@pytest.mark.parametrize("name", ["../../etc/passwd", "sha256:../../x", "sha256:" + "0" * 63 + "/", "md5:" + "0" * 32])
def test_a_digest_that_is_none(name: str, daemon: Daemon, stand_in: StandIn) -> None:
    image = layered(1, salt=name)
    document = json.loads(image.manifest)
    document["layers"][0]["digest"] = name
    stand_in.add("app", "1", OciImage(to_json(document), OCI_MANIFEST, image.blobs, image.config_digest))
    text = pull(daemon, f"{stand_in.host}/app:1")
    assert "digest" in text and "error" in text, text
    assert not stand_in.asked("GET", "/blobs/")
    assert not [seen for seen in stand_in.seen if ".." in seen.path]


# --- our own client and its helpers


def helper(folder: Path, name: str, script: str) -> None:
    path = folder / f"docker-credential-{name}"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def berth(daemon: Daemon, folder: Path, *args: str, stdin: str | None = None, check: bool = True):  # type: ignore[no-untyped-def]
    from harness import cli

    path = f"{folder}:{os.environ['PATH']}"
    env = cli.client_environ(daemon.host, {"DOCKER_CONFIG": str(folder), "PATH": path})
    return cli.run([*cli.berth_command(), *args], env=env, stdin=stdin, check=check)


def test_a_helper_that_is_missing_is_an_error(daemon: Daemon, stand_in: StandIn, tmp_path: Path) -> None:
    hub = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    settings = {"credHelpers": {stand_in.host: "absent"}, "auths": {"https://index.docker.io/v1/": {"auth": hub}}}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    failed = berth(daemon, tmp_path, "pull", f"{stand_in.host}/app:1", check=False)
    assert failed.code == 1
    assert 'exec: "docker-credential-absent": executable file not found in $PATH' in failed.err
    assert not stand_in.seen


def test_a_helpers_credentials_are_for_its_registry(
    daemon: Daemon, make_stand_in: Callable[..., StandIn], tmp_path: Path
) -> None:
    registry, other = make_stand_in(guard=asks_basic), make_stand_in(guard=asks_basic)
    secret = json.dumps({"ServerURL": registry.host, "Username": USER, "Secret": PASSWORD})
    found = f"[ \"$1 $server\" = 'get {registry.host}' ] && echo '{secret}' && exit 0"
    script = f'read server\n{found}\necho "credentials not found in native keychain"\nexit 1'
    helper(tmp_path, "mine", script)
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": "mine"}))
    registry.add("app", "1", layered(1, salt="helper"))
    berth(daemon, tmp_path, "pull", "-q", f"{registry.host}/app:1")
    failed = berth(daemon, tmp_path, "pull", f"{other.host}/app:1", check=False)
    assert "pull access denied" in failed.err
    assert not any(seen.secret for seen in other.seen)


def test_login_by_our_own_client(daemon: Daemon, make_stand_in: Callable[..., StandIn], tmp_path: Path) -> None:
    registry = make_stand_in(guard=asks_basic)
    registry.add("app", "1", layered(1, salt="own login"))
    wrong = berth(daemon, tmp_path, "login", "-u", USER, "--password-stdin", registry.host, stdin="x", check=False)
    assert wrong.code == 1 and "401 Unauthorized" in wrong.err
    done = berth(daemon, tmp_path, "login", "-u", USER, "--password-stdin", registry.host, stdin=PASSWORD + "\n")
    assert done.out == "Login Succeeded\n" and "stored unencrypted" in done.err
    assert (tmp_path / "config.json").stat().st_mode & 0o777 == 0o600
    berth(daemon, tmp_path, "pull", "-q", f"{registry.host}/app:1")
    stock = daemon.docker("pull", "-q", f"{registry.host}/app:1", env={"DOCKER_CONFIG": str(tmp_path)})
    assert stock.out == f"{registry.host}/app:1\n"
    again = berth(daemon, tmp_path, "login", registry.host)
    assert again.lines == [f"Authenticating with existing credentials... [Username: {USER}]", "Login Succeeded"]
    assert berth(daemon, tmp_path, "logout", registry.host).out == f"Removing login credentials for {registry.host}\n"
    assert json.loads((tmp_path / "config.json").read_text())["auths"] == {}
    assert berth(daemon, tmp_path, "pull", f"{registry.host}/app:1", check=False).code == 1


def test_login_keeps_its_secret_with_a_helper(
    daemon: Daemon, make_stand_in: Callable[..., StandIn], tmp_path: Path
) -> None:
    registry = make_stand_in(guard=asks_basic)
    helper(tmp_path, "store", f'cat >> {tmp_path}/said-$1; [ "$1" != get ] || exit 1')
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": "store"}))
    berth(daemon, tmp_path, "login", "-u", USER, "--password-stdin", registry.host, stdin=PASSWORD)
    assert json.loads((tmp_path / "said-store").read_text()) == {
        "ServerURL": registry.host, "Username": USER, "Secret": PASSWORD
    }  # fmt: skip
    assert PASSWORD not in (tmp_path / "config.json").read_text()
    berth(daemon, tmp_path, "logout", registry.host)
    assert (tmp_path / "said-erase").read_text() == registry.host


def test_secrets_are_in_no_log(daemon: Daemon) -> None:
    assert digest(b"")  # the daemon's log of all tests above
    with open(daemon.log_path, encoding="utf-8") as file:
        text = file.read()
    assert PASSWORD not in text and base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode() not in text
