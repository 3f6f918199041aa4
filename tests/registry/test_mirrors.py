"""Mirrors of any registry: used first, passed over when they are down, stale or lying; insecure registries; certificates."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from harness.certificates import Authority
from harness.daemon import Daemon
from harness.eventually import eventually
from harness.images import OciImage
from harness.registry import StandIn, layered

pytestmark = pytest.mark.root
MakeDaemon = Callable[..., Daemon]
MakeStandIn = Callable[..., StandIn]
Configure = Callable[..., Daemon]


@pytest.fixture(scope="module")
def reloading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon for all these settings: it takes them over while it runs."""
    path = tmp_path_factory.mktemp("mirrors") / "daemon.json"
    path.write_text("{}")
    with Daemon("--config-file", str(path)) as engine:
        yield engine


@pytest.fixture
def configure(reloading: Daemon) -> Configure:
    def configure(registries: object, **more: object) -> Daemon:
        before = reloads(reloading)
        Path(reloading.flags[1]).write_text(json.dumps({"registries": registries, **more}))
        os.kill(reloading.pid, signal.SIGHUP)
        eventually(lambda: reloads(reloading) > before, 10, why="the daemon took the settings over")
        return reloading

    return configure


def reloads(daemon: Daemon) -> int:
    filters = quote(json.dumps({"type": ["daemon"], "event": ["reload"]}))
    answer = daemon.api("GET", f"/events?since=1&until={time.time():.6f}&filters={filters}", timeout_s=5)
    return len(str(answer.body).split("\n")) if answer.body else 0


def pulled(daemon: Daemon, name: str) -> str:
    return daemon.docker("pull", name).out


def test_a_mirror_comes_first(configure: Configure, make_stand_in: MakeStandIn) -> None:
    registry, mirror = make_stand_in(), make_stand_in()
    image = layered(2, salt="first")
    registry.add("app", "1", image)
    mirror.add("app", "1", image)
    daemon = configure({registry.host: {"mirrors": [mirror.url]}})
    assert image.digest in pulled(daemon, f"{registry.host}/app:1")
    assert not registry.seen
    assert mirror.seen[0].query["ns"] == registry.host


def test_one_mirror_for_all(configure: Configure, make_stand_in: MakeStandIn) -> None:
    """Also for names of a registry that cannot be reached at all."""
    mirror = make_stand_in()
    image = layered(1, salt="all")
    mirror.add("team/app", "1", image)
    daemon = configure({"*": {"mirrors": [mirror.url]}})
    assert image.digest in pulled(daemon, "registry.invalid/team/app:1")
    assert mirror.seen[0].query["ns"] == "registry.invalid"
    names = daemon.docker(
        "images", "--filter", "reference=registry.invalid/*/*", "--format", "{{.Repository}}:{{.Tag}}"
    ).lines
    assert names == ["registry.invalid/team/app:1"]


def test_a_proxy_project_by_its_path(configure: Configure, make_stand_in: MakeStandIn) -> None:
    mirror = make_stand_in()
    mirror.add("proxy-quay/team/app", "1", layered(1, salt="project"))
    daemon = configure({"quay.io": {"mirrors": [f"{mirror.url}/v2/proxy-quay"]}})
    pulled(daemon, "quay.io/team/app:1")


def test_dockers_own_key_is_the_hubs(configure: Configure, make_stand_in: MakeStandIn) -> None:
    mirror = make_stand_in()
    image = layered(1, salt="hub")
    mirror.add("library/app", "1", image)
    daemon = configure({}, **{"registry-mirrors": [mirror.url]})
    assert image.digest in pulled(daemon, "app:1")
    assert mirror.url in json.dumps(daemon.api("GET", "/info").body["RegistryConfig"])


def test_a_mirror_that_is_down(configure: Configure, make_stand_in: MakeStandIn) -> None:
    registry = make_stand_in()
    image = layered(2, salt="down")
    registry.add("app", "1", image)
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    daemon = configure({registry.host: {"mirrors": [f"http://127.0.0.1:{port}"]}})
    assert image.digest in pulled(daemon, f"{registry.host}/app:1")


def test_a_mirror_that_lacks_a_blob(configure: Configure, make_stand_in: MakeStandIn) -> None:
    registry, mirror = make_stand_in(), make_stand_in()
    image = layered(3, salt="lacks")
    registry.add("app", "1", image)
    mirror.add("app", "1", image)
    layers = [entry["digest"] for entry in json.loads(image.manifest)["layers"]]
    mirror.placed["app"] -= {layers[1]}
    daemon = configure({registry.host: {"mirrors": [mirror.url]}})
    assert image.digest in pulled(daemon, f"{registry.host}/app:1")
    assert [seen.path.rpartition("/")[2] for seen in registry.asked("GET", "/blobs/")] == [layers[1]]


def test_a_stale_mirror_may_only_pull(configure: Configure, make_stand_in: MakeStandIn) -> None:
    """What a tag means is the registry's to say; the bytes come from the mirror."""
    registry, mirror = make_stand_in(), make_stand_in()
    old, new = layered(1, salt="old"), layered(1, salt="new")
    registry.add("app", "1", new)
    mirror.add("app", "1", new)
    mirror.add("app", "1", old)
    entry = {"mirrors": [{"url": mirror.url, "capabilities": ["pull"]}]}
    daemon = configure({registry.host: entry})
    assert new.digest in pulled(daemon, f"{registry.host}/app:1")
    assert not registry.asked("GET", "/blobs/") and mirror.asked("GET", "/blobs/")


def test_a_lying_mirror(configure: Configure, make_stand_in: MakeStandIn) -> None:
    """Other bytes under a blob's digest, other bytes under a manifest's: both come from the registry then."""
    registry, mirror = make_stand_in(), make_stand_in()
    image = layered(2, salt="honest")
    registry.add("app", "1", image)
    mirror.add("app", "1", image)
    for key, blob in image.blobs.items():
        mirror.blobs[key] = bytes(len(blob))
    evil = layered(2, salt="evil")
    mirror.manifests[("app", image.digest)] = (evil.manifest, evil.media_type)
    daemon = configure({registry.host: {"mirrors": [mirror.url]}})
    assert image.digest in pulled(daemon, f"{registry.host}/app:1")
    daemon.docker("rmi", f"{registry.host}/app:1")
    assert image.digest in pulled(daemon, f"{registry.host}/app@{image.digest}")


def test_a_mirror_that_breaks_off_for_ever(configure: Configure, make_stand_in: MakeStandIn) -> None:
    registry, mirror = make_stand_in(), make_stand_in()
    image = layered(2, salt="breaks")
    registry.add("app", "1", image)
    mirror.add("app", "1", image)
    mirror.cut = lambda key, begin, size: 10
    daemon = configure({registry.host: {"mirrors": [mirror.url]}})
    assert image.digest in pulled(daemon, f"{registry.host}/app:1")


def test_a_mirror_is_never_written_to(configure: Configure, make_stand_in: MakeStandIn) -> None:
    registry, mirror = make_stand_in(), make_stand_in()
    mirror.add("app", "1", layered(1, salt="written"))
    daemon = configure({registry.host: {"mirrors": [mirror.url]}})
    pulled(daemon, f"{registry.host}/app:1")
    daemon.docker("tag", f"{registry.host}/app:1", f"{registry.host}/app:2")
    daemon.docker("push", f"{registry.host}/app:2")
    assert ("app", "2") in registry.manifests
    assert {seen.method for seen in mirror.seen} == {"GET"}


@pytest.mark.parametrize(
    "entry",
    [
        {"mirrors": "x"},
        {"mirrors": ["ftp://x"]},
        {"mirror": []},
        {"mirrors": [{"url": "http://x", "capabilities": ["push"]}]},
    ],
)
def test_a_setting_that_means_nothing(entry: object, make_daemon: MakeDaemon, tmp_path: Path) -> None:
    path = tmp_path / "daemon.json"
    path.write_text(json.dumps({"registries": {"quay.io": entry}}))
    daemon = make_daemon("--config-file", str(path), busybox=False, start=False)
    assert daemon.spawn().wait(20) == 1
    assert "'quay.io'" in daemon.log() or "invalid mirror" in daemon.log()


# --- TLS


def tls_registry(make_stand_in: MakeStandIn, folder: Path, *, client: bool = False) -> tuple[StandIn, Authority]:
    authority = Authority(str(folder / "ca"))
    ca = authority.certificate if client else ""
    return make_stand_in(address="127.0.0.1", tls=authority.issue("server", ["127.0.0.1"]), client_ca=ca), authority


def by_name(registry: StandIn) -> str:
    """A name that is no loopback address and leads to 127.0.0.1 all the same: loopback needs no certificates."""
    name = socket.gethostname()
    return f"{name}:{registry.port}"


def seeded(registry: StandIn, salt: str) -> OciImage:
    image = layered(1, salt=salt)
    registry.add("app", "1", image)
    return image


def test_loopback_needs_no_setting(make_daemon: MakeDaemon, make_stand_in: MakeStandIn, tmp_path: Path) -> None:
    """https with a certificate of nobody's, plain HTTP, by address and by name, v6 too."""
    daemon = make_daemon(busybox=False)
    secure, _ = tls_registry(make_stand_in, tmp_path)
    seeded(secure, "loopback tls")
    pulled(daemon, f"127.0.0.1:{secure.port}/app:1")
    plain = make_stand_in(address="127.0.0.3")
    seeded(plain, "loopback plain")
    pulled(daemon, f"127.0.0.3:{plain.port}/app:1")
    local = make_stand_in()
    seeded(local, "localhost")
    pulled(daemon, f"localhost:{local.port}/app:1")


def test_certificates_of_a_folder(make_daemon: MakeDaemon, make_stand_in: MakeStandIn, tmp_path: Path) -> None:
    """ca.crt, and a client's certificate: without them the registry is refused, and refuses."""
    registry, authority = tls_registry(make_stand_in, tmp_path, client=True)
    authority.issue("named", ["registry.test"])
    image = seeded(registry, "certs")
    certs = tmp_path / "certs.d"
    folder = certs / f"127.0.0.1:{registry.port}"
    folder.mkdir(parents=True)
    daemon = make_daemon("--registry-certs", str(certs), busybox=False)
    failed = daemon.docker("pull", f"127.0.0.1:{registry.port}/app:1", check=False)
    assert failed.code == 1, "the server wants a client's certificate"
    certificate, key = authority.issue("client")
    os.link(authority.certificate, folder / "ca.crt")
    os.link(certificate, folder / "client.cert")
    failed = daemon.docker("pull", f"127.0.0.1:{registry.port}/app:1", check=False)
    assert "missing key client.key for client certificate client.cert" in failed.err
    os.link(key, folder / "client.key")
    assert image.digest in pulled(daemon, f"127.0.0.1:{registry.port}/app:1")


def test_an_unknown_authority_is_refused(make_daemon: MakeDaemon, make_stand_in: MakeStandIn, tmp_path: Path) -> None:
    """A name that is not loopback: https must be good, and plain HTTP is not tried, until a setting says so."""
    host = "not-loopback.test"
    registry, _ = tls_registry(make_stand_in, tmp_path)
    seeded(registry, "unknown")
    from harness.clouds import Proxy

    proxy = Proxy(registry.port)
    proxy.start()
    try:
        daemon = make_daemon(busybox=False, env={"HTTPS_PROXY": proxy.url, "HTTP_PROXY": "", "NO_PROXY": ""})
        failed = daemon.docker("pull", f"{host}/app:1", check=False)
        assert "tls: failed to verify certificate" in failed.err
        assert not registry.asked("GET", "/manifests/")
        lax = make_daemon("--insecure-registry", host, busybox=False, env={"HTTPS_PROXY": proxy.url, "NO_PROXY": ""})
        pulled(lax, f"{host}/app:1")
    finally:
        proxy.close()
