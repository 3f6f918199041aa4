"""Versions on the wire: 1.24, 1.41 and 1.51 side by side, paths with and without one, versions that are not spoken."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.daemon import Daemon
from harness.wire import unix_wire

pytestmark = pytest.mark.root


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/v1.52/_ping", "client version 1.52 is too new. Maximum supported API version is 1.51"),
        ("/v1.52/containers/json", "client version 1.52 is too new. Maximum supported API version is 1.51"),
        (
            "/v1.23/containers/json",
            "client version 1.23 is too old. Minimum supported API version is 1.24, "
            "please upgrade your client to a newer version",
        ),
    ],
)
def test_versions_that_are_not_spoken(engine: Daemon, path: str, sentence: str) -> None:
    answer = engine.api("GET", path)
    assert (answer.status, answer.body) == (400, {"message": sentence})
    assert answer.headers["Api-Version"] == "1.51"


@pytest.mark.parametrize(
    "path", ["/containers/json", "/v1.24/containers/json", "/v1.41/containers/json", "/v1.51/info"]
)
def test_paths_with_and_without_a_version(engine: Daemon, path: str) -> None:
    assert engine.api("GET", path).status == 200


@pytest.mark.parametrize(
    "path", ["/v1.51", "/v1/_ping", "/v1.51.1/_ping", "/vx/_ping", "/V1.51/_ping", "/v1.51//_ping"]
)
def test_paths_that_are_none(engine: Daemon, path: str) -> None:
    assert engine.api("GET", path).status == 404


def inspect(engine: Daemon, version: str, ref: str) -> dict[str, Any]:
    answer = engine.api("GET", f"/v{version}/containers/{ref}/json")
    assert answer.status == 200
    return dict(answer.body)


def test_shapes_of_a_container(engine: Daemon) -> None:
    engine.docker("network", "create", "versions")
    try:
        engine.docker("create", "--name", "shape", "--network", "versions", "--annotation", "a=b", "busybox", "true")
        old, middle, new = (inspect(engine, version, "shape") for version in ("1.24", "1.41", "1.51"))
        for shape in (old, middle, new):  # Docker 28 shows no version a zero of what it no longer knows
            assert not {"KernelMemory", "KernelMemoryTCP"} & set(shape["HostConfig"])
        assert "Annotations" not in old["HostConfig"] and new["HostConfig"]["Annotations"] == {"a": "b"}
        assert "CgroupnsMode" not in old["HostConfig"] and "CgroupnsMode" in middle["HostConfig"]
        network = "versions"
        assert new["Id"][:12] in old["NetworkSettings"]["Networks"][network]["Aliases"]
        assert new["Id"][:12] not in (new["NetworkSettings"]["Networks"][network]["Aliases"] or [])
        assert "DNSNames" not in middle["NetworkSettings"]["Networks"][network]
        assert "GwPriority" in new["NetworkSettings"]["Networks"][network]
        for version in ("1.24", "1.51"):
            listed = engine.api("GET", f"/v{version}/containers/json?all=1").body[0]
            assert ("GwPriority" in listed["NetworkSettings"]["Networks"][network]) == (version == "1.51")
        assert inspect(engine, "1.51", "shape") == new  # nobody's shape leaks into another's
    finally:
        engine.docker("rm", "-f", "shape")
        engine.docker("network", "rm", "versions")


def test_wait_before_1_30_sends_nothing_until_the_end(engine: Daemon) -> None:
    engine.docker("run", "-d", "--name", "waited", "busybox", "sleep", "1000")
    old, new = unix_wire(engine.socket), unix_wire(engine.socket)
    old.send(b"POST /v1.24/containers/waited/wait?condition=nonsense HTTP/1.1\r\nHost: x\r\n\r\n")
    new.send(b"POST /v1.30/containers/waited/wait HTTP/1.1\r\nHost: x\r\n\r\n")
    assert new.head()[1]["transfer-encoding"] == "chunked"
    assert old.rest == b""
    engine.docker("kill", "waited")
    reply = old.reply()
    assert reply.headers["content-length"] and json.loads(reply.body) == {"StatusCode": 137}
    answer = engine.api("POST", "/v1.30/containers/waited/wait?condition=nonsense")
    assert (answer.status, answer.body["message"]) == (400, 'invalid condition: "nonsense"')


def test_streams_are_told_apart_since_1_42(engine: Daemon) -> None:
    engine.docker("run", "--name", "logged", "busybox", "echo", "words")
    for version, kind in (("1.41", "raw"), ("1.42", "multiplexed")):
        answer = engine.api("GET", f"/v{version}/containers/logged/logs?stdout=1")
        assert answer.headers["Content-Type"] == f"application/vnd.docker.{kind}-stream"


def test_what_came_later_is_ignored(engine: Daemon) -> None:
    body = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"AutoRemove": True, "Annotations": {"a": "b"}}}
    ident = engine.api("POST", "/v1.24/containers/create", body).body["Id"]
    host = inspect(engine, "1.51", ident)["HostConfig"]
    assert host["AutoRemove"] is False and not host.get("Annotations") and host["IpcMode"] == "shareable"
    assert engine.api("POST", f"/v1.24/containers/{ident}/start", {"Binds": ["/a:/b"]}).body == {
        "message": "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24"
    }
    assert engine.api("POST", f"/v1.24/containers/{ident}/start", {}).status == 204
    assert engine.api("POST", "/v1.51/containers/create?platform=linux/nonsense", {"Image": "busybox"}).status >= 400
    assert engine.api("POST", "/v1.40/containers/create?platform=linux/nonsense", {"Image": "busybox"}).status == 201


@pytest.mark.parametrize(
    "noun", ["swarm", "nodes", "services", "tasks", "secrets", "configs", "swarm/unlockkey", "nodes/x"]
)
def test_swarm_is_not_here(engine: Daemon, noun: str) -> None:
    answer = engine.api("GET", f"/v1.51/{noun}")
    assert answer.status == 503
    assert answer.body["message"].startswith("This node is not a swarm manager.")


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("path", ["checkpoints", "checkpoints/one"])
def test_checkpoints_are_not_here(engine: Daemon, method: str, path: str) -> None:
    answer = engine.api(method, f"/v1.51/containers/x/{path}", {"CheckpointID": "one"} if method == "POST" else None)
    assert (answer.status, answer.body["message"]) == (
        501, "checkpoints are not supported: no container can be frozen to disk; pause keeps one in memory",
    )  # fmt: skip


def test_a_ping_without_a_body_says_so(engine: Daemon) -> None:
    assert engine.api("HEAD", "/_ping").headers["Content-Length"] == "0"
    assert engine.api("GET", "/_ping").headers["Content-Length"] == "2"


def test_events_between_times(engine: Daemon) -> None:
    answer = engine.api("GET", "/events?since=200&until=100")
    assert (answer.status, answer.body["message"]) == (400, "`since` time (200) cannot be after `until` time (100)")
    assert engine.api("GET", "/events?since=2026-13-01T00:00:00&until=1").status == 400
    assert engine.api("GET", "/events?since=1&until=2").body == ""
