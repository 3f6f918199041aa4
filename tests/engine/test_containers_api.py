"""``changes``, ``export``, ``stats`` and ``attach/ws``, through the stock CLI and on the wire."""

from __future__ import annotations

import base64
import json
import os
import tarfile

import pytest
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from harness.daemon import Daemon
from harness.eventually import eventually
from harness.wire import unix_wire

pytestmark = pytest.mark.root


def test_diff_tells_what_changed(engine: Daemon) -> None:
    script = (
        "echo 1 > /new; mkdir -p /dir/sub; echo 2 > /dir/sub/file; rm /etc/passwd; chmod 700 /tmp; "
        "echo more >> /etc/group; mkdir /gone; rmdir /gone; ln -s /x /link"
    )
    engine.docker("run", "--name", "differs", "-v", "/volume", "busybox", "sh", "-c", script)
    lines = engine.docker("diff", "differs").out.splitlines()
    for line in (
        "A /new",
        "A /dir",
        "A /dir/sub",
        "A /dir/sub/file",
        "D /etc/passwd",
        "C /etc",
        "C /etc/group",
        "A /link",
    ):
        assert line in lines, lines
    assert "C /tmp" in lines
    assert not [line for line in lines if "/gone" in line or "/proc" in line or "/dev" in line or "resolv" in line]
    assert engine.api("GET", "/containers/nobody/changes").status == 404


def test_diff_of_a_directory_that_was_replaced(engine: Daemon) -> None:
    engine.docker("run", "--name", "replaced", "busybox", "sh", "-c", "rm -r /etc; mkdir /etc; echo 1 > /etc/mine")
    lines = engine.docker("diff", "replaced").out.splitlines()
    assert "C /etc" in lines and "A /etc/mine" in lines and "D /etc/group" in lines


def test_export_is_the_whole_filesystem_without_volumes(engine: Daemon) -> None:
    script = "echo in-volume > /volume/file; echo words > /file; rm /etc/group; sleep 1000"
    engine.docker("run", "-d", "--name", "exported", "-v", "/volume", "busybox", "sh", "-c", script)
    eventually(lambda: "D /etc/group" in engine.docker("diff", "exported").out)
    path = f"{engine.root}/export.tar"
    engine.docker("export", "-o", path, "exported")
    with tarfile.open(path) as archive:
        names = [name.rstrip("/") for name in archive.getnames()]
        member = archive.extractfile("file")
        assert member is not None and member.read() == b"words\n"
    os.unlink(path)
    assert {"bin", "etc/passwd", "volume"} <= set(names)
    assert "etc/group" not in names and "volume/file" not in names


def test_export_to_a_client_that_leaves(engine: Daemon) -> None:
    ident = engine.docker("create", "busybox", "true").out.strip()
    wire = unix_wire(engine.socket)
    wire.send(f"GET /containers/{ident}/export HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert wire.head()[0] == 200
    wire.close()
    raw = engine.api("GET", f"/containers/{ident}/json")
    assert raw.status == 200


def test_an_exported_filesystem_can_be_imported(engine: Daemon) -> None:
    ident = engine.docker("create", "busybox", "true").out.strip()
    path = f"{engine.root}/export.tar"
    engine.docker("export", "-o", path, ident)
    image = engine.docker("import", path).out.strip()
    os.unlink(path)
    assert engine.docker("run", "--rm", image, "echo", "again").out == "again\n"
    engine.docker("rmi", image)


# --- stats


def test_stats_of_a_container_that_works(engine: Daemon) -> None:
    engine.docker(
        "run", "-d", "--name", "works", "-m", "64m", "--pids-limit", "50", "busybox", "sh", "-c", "while :; do :; done"
    )
    sample = engine.api("GET", "/containers/works/stats?stream=0").body
    assert sample["name"] == "/works" and len(sample["id"]) == 64
    assert sample["cpu_stats"]["cpu_usage"]["total_usage"] > sample["precpu_stats"]["cpu_usage"]["total_usage"] > 0
    assert sample["cpu_stats"]["system_cpu_usage"] > sample["precpu_stats"]["system_cpu_usage"]
    assert sample["cpu_stats"]["online_cpus"] == os.cpu_count()
    assert sample["memory_stats"]["limit"] == 64 << 20
    assert 0 < sample["memory_stats"]["usage"] < 64 << 20
    assert sample["pids_stats"] == {"current": 1, "limit": 50}
    assert set(sample["networks"]) == {"eth0"}
    assert sample["read"] > sample["preread"] > "2"
    once = engine.api("GET", "/containers/works/stats?stream=0&one-shot=1").body
    assert once["preread"] == "0001-01-01T00:00:00Z"
    assert once["precpu_stats"]["cpu_usage"]["total_usage"] == 0
    line = json.loads(engine.docker("stats", "--no-stream", "--format", "{{json .}}", "works").out)
    assert line["Name"] == "works" and float(line["CPUPerc"].rstrip("%")) > 10
    assert line["MemUsage"].endswith("/ 64MiB") and line["PIDs"] == "1"
    both = engine.api("GET", "/containers/works/stats?stream=1&one-shot=1")
    assert (both.status, both.body["message"]) == (400, "cannot have stream=true and one-shot=true")


def test_network_bytes_are_counted(engine: Daemon) -> None:
    engine.docker(
        "run", "-d", "--name", "talks", "busybox", "sh", "-c", f"ping -c 3 -i 0.1 {engine.gateway}; sleep 1000"
    )

    def sent() -> int:
        return int(
            engine.api("GET", "/containers/talks/stats?stream=0&one-shot=1").body["networks"]["eth0"]["tx_packets"]
        )

    eventually(lambda: sent() >= 3)


def test_stats_of_a_container_that_does_not_run(engine: Daemon) -> None:
    engine.docker("create", "--name", "idle", "busybox", "true")
    sample = engine.api("GET", "/containers/idle/stats?stream=0").body
    assert sample["name"] == "/idle" and sample["read"] == "0001-01-01T00:00:00Z" and sample["memory_stats"] == {}
    assert (
        engine.docker("stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}} {{.CPUPerc}}", "idle").out
        == "idle 0 0.00%\n"
    )
    assert engine.api("GET", "/containers/nobody/stats?stream=0").status == 404


def test_stats_stream_ends_with_the_container(engine: Daemon) -> None:
    engine.docker("run", "-d", "--name", "leaves", "busybox", "sleep", "1000")
    wire = unix_wire(engine.socket)
    wire.send(b"GET /containers/leaves/stats HTTP/1.1\r\nHost: x\r\n\r\n")
    engine.docker("rm", "-f", "leaves")
    reply = wire.reply()
    first = json.loads(reply.body.splitlines()[0])
    assert first["name"] == "/leaves" and first["preread"] == "0001-01-01T00:00:00Z"


# --- attach/ws


class Websocket:
    def __init__(self, engine: Daemon, path: str) -> None:
        self.wire = unix_wire(engine.socket)
        key = base64.b64encode(b"0123456789abcdef").decode()
        self.wire.send(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        status, headers = self.wire.head()
        assert status == 101
        assert headers["sec-websocket-accept"] == "BACScCJPNqyz+UBoqMH89VmURoA="
        self.frames = Connection(ConnectionType.CLIENT)
        self.kinds: set[type] = set()

    def send(self, event: object) -> None:
        self.wire.send(self.frames.send(event))  # type: ignore[arg-type]

    def read_all(self) -> bytes:
        out = b""
        while True:
            raw, self.wire.rest = self.wire.rest or self.wire.sock.recv(65536), b""
            self.frames.receive_data(raw or None)
            for event in self.frames.events():
                self.kinds.add(type(event))
                if isinstance(event, BytesMessage):
                    out += event.data
                elif isinstance(event, TextMessage):
                    out += event.data.encode()
                elif isinstance(event, CloseConnection):
                    return out


@pytest.mark.parametrize(("version", "kind"), [("1.51", BytesMessage), ("1.24", TextMessage)])
def test_attach_over_a_websocket(engine: Daemon, version: str, kind: type) -> None:
    body = {
        "Image": "busybox",
        "Cmd": ["sh", "-c", "read x; echo out $x; echo err >&2"],
        "OpenStdin": True,
        "StdinOnce": True,
    }
    ident = engine.api("POST", "/containers/create", body).body["Id"]
    client = Websocket(engine, f"/v{version}/containers/{ident}/attach/ws?stream=1&stdin=1&stdout=1&stderr=1")
    engine.api("POST", f"/containers/{ident}/start")
    client.send(Ping(b"hello"))
    client.send(TextMessage("words\n"))
    out = client.read_all()
    assert sorted(out.splitlines()) == [b"err", b"out words"]
    assert {kind, Pong} <= client.kinds


def test_a_websockets_close_ends_the_input(engine: Daemon) -> None:
    body = {"Image": "busybox", "Cmd": ["sh", "-c", "wc -c; exit 7"], "OpenStdin": True, "StdinOnce": True}
    ident = engine.api("POST", "/containers/create", body).body["Id"]
    client = Websocket(engine, f"/containers/{ident}/attach/ws?stream=1&stdin=1")
    engine.api("POST", f"/containers/{ident}/start")
    client.send(BytesMessage(b"x" * 100_000))
    client.send(CloseConnection(1000))
    assert engine.api("POST", f"/containers/{ident}/wait").body["StatusCode"] == 7
    assert engine.docker("logs", ident).out == "100000\n"


def test_what_is_no_websocket_is_refused(engine: Daemon) -> None:
    ident = engine.api("POST", "/containers/create", {"Image": "busybox"}).body["Id"]
    answer = engine.api("GET", f"/containers/{ident}/attach/ws?stream=1")
    assert (answer.status, answer.body["message"]) == (400, "not websocket protocol")


def test_a_name_may_come_with_its_slash(engine: Daemon) -> None:
    engine.docker("create", "--name", "slash", "busybox", "true")
    assert engine.api("GET", "/containers//slash/json").status == 200
