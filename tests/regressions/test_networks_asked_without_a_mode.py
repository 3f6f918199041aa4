"""A create body may name networks and no ``NetworkMode``: docker-py's ``networking_config``, and what builds on it.

Berth put such a container into the default bridge as well, where Docker connects it to what was asked for alone: a database
that was meant for an internal network had a way out, and a published port of another network's.
"""

from __future__ import annotations

import docker
import pytest

from harness.daemon import Daemon

pytestmark = pytest.mark.root


def test_a_container_is_where_it_was_asked_to_be_and_nowhere_else(engine: Daemon) -> None:
    client = docker.DockerClient(base_url=engine.host, version="auto", timeout=60)
    client.networks.create("inner", internal=True)
    wanted = client.api.create_networking_config({"inner": client.api.create_endpoint_config(aliases=["db"])})
    made = client.api.create_container("busybox", "sleep 1000", name="c1", networking_config=wanted)
    client.api.start(made["Id"])
    assert list(engine.inspect("c1")["NetworkSettings"]["Networks"]) == ["inner"]
    links = engine.docker("exec", "c1", "ls", "/sys/class/net").out.split()
    assert links == ["eth0", "lo"] and "default" not in engine.docker("exec", "c1", "ip", "route").out
    engine.docker("network", "disconnect", "inner", "c1")
    engine.docker("network", "connect", "bridge", "c1")
    assert list(engine.inspect("c1")["NetworkSettings"]["Networks"]) == ["bridge"]
    client.close()


@pytest.mark.parametrize(("body", "why"), [
    ({"EndpointsConfig": {"host": {}}}, "container cannot be disconnected from host network or connected to host network"),
    ({"EndpointsConfig": {"nowhere": {}}}, "failed to set up container networking: network nowhere not found"),
])  # fmt: skip
def test_what_cannot_be_is_told_at_the_start(engine: Daemon, body: dict[str, object], why: str) -> None:
    made = engine.api("POST", "/containers/create", {"Image": "busybox", "NetworkingConfig": body})
    started = engine.api("POST", f"/containers/{made.body['Id']}/start")
    assert started.status in (403, 404) and why in started.body["message"]


def test_a_container_without_a_network(engine: Daemon) -> None:
    body = {"Image": "busybox", "Cmd": ["ls", "/sys/class/net"], "NetworkDisabled": True}
    made = engine.api("POST", "/containers/create?name=c1", body)
    assert made.status == 201 and engine.docker("start", "-a", "c1").out == "lo\n"
    assert engine.inspect("c1")["NetworkSettings"]["Networks"] == {}
