"""One image in all directions between this engine, skopeo, Debian's docker-registry and archives: its digest stays."""

from __future__ import annotations

import json
from pathlib import Path

import docker
import pytest

from harness.daemon import Daemon
from harness.images import OciImage, busybox_image, digest
from harness.registry import PackagedRegistry, StandIn, layered, skopeo

pytestmark = pytest.mark.root
PLAIN = ("--src-tls-verify=false", "--dest-tls-verify=false")


def copy(source: str, target: str, *flags: str) -> None:
    skopeo("copy", "-q", *PLAIN, *flags, source, target)


def raw(where: str) -> str:
    return digest(skopeo("inspect", "--raw", "--tls-verify=false", where).encode())


@pytest.fixture
def image(stand_in: StandIn) -> OciImage:
    """busybox at the stand-in as app:1."""
    found = busybox_image()
    stand_in.add("app", "1", found)
    return found


def test_round_trip_by_registries_and_an_oci_archive(
    daemon: Daemon, packaged: PackagedRegistry, stand_in: StandIn, image: OciImage, tmp_path: Path
) -> None:
    """registry → skopeo → registry → engine → archive → skopeo → registry → engine → registry."""
    first, second = f"{packaged.host}/round:1", f"{packaged.host}/round:2"
    copy(f"docker://{stand_in.host}/app:1", f"docker://{first}", "--preserve-digests")
    daemon.docker("pull", first)
    daemon.docker("save", "-o", str(tmp_path / "saved.tar"), first)
    (tmp_path / "layout").mkdir()
    copy(f"oci-archive:{tmp_path}/saved.tar", f"oci:{tmp_path}/layout:x", "--preserve-digests")
    copy(f"oci:{tmp_path}/layout:x", f"docker://{second}", "--preserve-digests")
    assert raw(f"docker://{second}") == image.digest
    daemon.docker("rmi", first)
    assert f"Digest: {image.digest}" in daemon.docker("pull", second).out
    daemon.docker("tag", second, f"{packaged.host}/round:3")
    daemon.docker("push", f"{packaged.host}/round:3")
    assert raw(f"docker://{packaged.host}/round:3") == image.digest


def test_an_archive_of_skopeos_is_loaded_and_pushed(
    daemon: Daemon, packaged: PackagedRegistry, stand_in: StandIn, image: OciImage, tmp_path: Path
) -> None:
    """An OCI archive keeps the digest; a docker archive keeps the config, which is the image's id."""
    name = f"{packaged.host}/archived"
    copy(f"docker://{stand_in.host}/app:1", f"oci-archive:{tmp_path}/oci.tar:{name}:1", "--preserve-digests")
    copy(f"docker://{stand_in.host}/app:1", f"docker-archive:{tmp_path}/docker.tar:{name}:2")
    assert f"Loaded image: {name}:1" in daemon.docker("load", "-i", f"{tmp_path}/oci.tar").out
    assert f"Loaded image: {name}:2" in daemon.docker("load", "-i", f"{tmp_path}/docker.tar").out
    daemon.docker("push", "-a", name)
    assert raw(f"docker://{name}:1") == image.digest
    second = json.loads(skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{name}:2"))
    assert second["config"]["digest"] == image.config_digest


def test_docker_pys_image_api(daemon: Daemon, stand_in: StandIn) -> None:
    """login, pull, list, tag, push, save, load and remove, as docker-py's users write them."""
    image = layered(2, salt="docker-py")
    stand_in.add("app", "1", image)
    with PackagedRegistry(password=True) as guarded:
        client = docker.DockerClient(base_url=daemon.host)
        try:
            secret = {"username": "tester", "password": "secret"}
            pulled = client.images.pull(f"{stand_in.host}/app", tag="1")
            assert pulled.id == image.config_digest and pulled.attrs["RepoDigests"] == [
                f"{stand_in.host}/app@{image.digest}"
            ]
            name = f"{guarded.host}/py"
            assert pulled.tag(name, tag="1")
            refused = client.images.push(name, tag="1", stream=True, decode=True)
            assert any("no basic auth credentials" in message.get("error", "") for message in refused)
            assert "error" not in client.images.push(name, tag="1", auth_config=secret)
            assert client.login(**secret, registry=guarded.host)["Status"] == "Login Succeeded"
            with pytest.raises(docker.errors.APIError, match="401"):
                client.login(username="tester", password="wrong", registry=guarded.host, reauth=True)
            client.images.remove(f"{name}:1")
            assert client.images.pull(name, tag="1").id == image.config_digest, "the login is remembered"
            with pytest.raises(docker.errors.NotFound):
                client.images.pull(name, tag="2", auth_config=secret)
            assert [found.id for found in client.images.list(name=name)] == [image.config_digest]
            archive = b"".join(client.images.get(f"{name}:1").save(named=f"{name}:1"))
            client.images.remove(f"{name}:1")
            [loaded] = client.images.load(archive)
            assert set(loaded.tags) == {f"{name}:1", f"{stand_in.host}/app:1"}
            assert next(entry["Id"] for entry in loaded.history()) == image.config_digest
        finally:
            client.close()
