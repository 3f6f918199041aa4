"""The Engine API's own contract around a container's life: statuses, bodies, streams, bad input."""

from __future__ import annotations

import json
import socket
import struct

import pytest

from harness.daemon import Daemon, UnixConnection
from harness.eventually import eventually

pytestmark = pytest.mark.root

BUSYBOX = {"Image": "busybox"}


def create(engine: Daemon, name: str = "", **config: object) -> str:
    answer = engine.api(
        "POST", f"/v1.51/containers/create?name={name}" if name else "/containers/create", {**BUSYBOX, **config}
    )
    assert answer.status == 201, answer
    assert answer.body["Warnings"] == []
    return str(answer.body["Id"])


# --- statuses -------------------------------------------------------------------------------------------------------


def test_ping_tells_who_answers(engine: Daemon) -> None:
    for method in ("GET", "HEAD"):
        answer = engine.api(method, "/_ping")
        assert answer.status == 200
        assert answer.headers["Api-Version"] == "1.51"
        assert answer.headers["Server"].startswith("Berth/")
        assert answer.headers["OSType"] == "linux"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("GET", "/containers/nobody/json", None, 404, "No such container: nobody"),
        ("POST", "/containers/nobody/start", None, 404, "No such container: nobody"),
        ("DELETE", "/containers/nobody", None, 404, "No such container: nobody"),
        ("POST", "/containers/create", {"Image": "no-such-image"}, 404, "No such image: no-such-image:latest"),
        ("POST", "/containers/create", b"{not json", 400, ""),
        ("POST", "/containers/create", b"[]", 400, ""),
        ("POST", "/containers/create", b"", 400, ""),
        ("POST", "/containers/create", {"Image": 7}, 400, ""),
        ("POST", "/containers/create", {"Image": "busybox", "HostConfig": "no"}, 400, ""),
        ("POST", "/containers/create", {"Image": "busybox", "Env": "A=1"}, 400, ""),
        ("POST", "/containers/create", {}, 400, ""),
        ("GET", "/no/such/page", None, 404, "page not found"),
        ("GET", "/v9.99/_ping", None, 400, "client version 9.99 is too new"),
        ("GET", "/v1.10/containers/json", None, 400, "client version 1.10 is too old"),
        ("GET", "/containers/json?filters=nonsense", None, 400, ""),
        ("GET", "/containers/json?limit=many", None, 400, ""),
        ("POST", "/exec/nothing/start", {}, 404, "No such exec instance: nothing"),
        ("GET", "/images/no-such-image/json", None, 404, "No such image: no-such-image"),
    ],
)
def test_bad_requests(engine: Daemon, method: str, path: str, body: object, status: int, words: str) -> None:
    answer = engine.api(method, path, body)
    assert answer.status == status, answer
    assert words.lower() in answer.body["message"].lower()
    assert answer.body["message"] and "Traceback" not in answer.body["message"]


def test_a_second_start_is_304_and_a_second_stop_too(engine: Daemon) -> None:
    ident = create(engine, Cmd=["sleep", "1000"])
    assert engine.api("POST", f"/containers/{ident}/start").status == 204
    assert engine.api("POST", f"/containers/{ident}/start").status == 304
    assert engine.api("POST", f"/containers/{ident}/stop?t=0").status == 204
    assert engine.api("POST", f"/containers/{ident}/stop").status == 304


def test_conflicts_are_409(engine: Daemon) -> None:
    ident = create(engine, "taken", Cmd=["sleep", "1000"])
    assert engine.api("POST", "/containers/create?name=taken", BUSYBOX).status == 409
    engine.api("POST", f"/containers/{ident}/start")
    assert engine.api("DELETE", f"/containers/{ident}").status == 409
    answer = engine.api("POST", f"/containers/{ident}/kill?signal=KILL")
    assert answer.status == 204
    eventually(lambda: engine.api("POST", f"/containers/{ident}/kill").status == 409)


def test_a_container_is_found_by_name_id_and_prefix(engine: Daemon) -> None:
    ident = create(engine, "named")
    for ref in ("named", ident, ident[:12], ident[:6]):
        assert engine.api("GET", f"/containers/{ref}/json").body["Id"] == ident


# --- waiting --------------------------------------------------------------------------------------------------------


def test_wait_removed_answers_after_the_container_is_gone(engine: Daemon) -> None:
    ident = create(engine, Cmd=["sh", "-c", "exit 9"], HostConfig={"AutoRemove": True})
    connection = UnixConnection(engine.socket)
    connection.request("POST", f"/containers/{ident}/wait?condition=removed")
    response = connection.getresponse()  # its headers come before the container starts
    assert response.status == 200
    assert engine.api("POST", f"/containers/{ident}/start").status == 204
    assert json.loads(response.read())["StatusCode"] == 9
    assert engine.api("GET", f"/containers/{ident}/json").status == 404
    connection.close()


def test_wait_next_exit_of_one_that_has_not_started(engine: Daemon) -> None:
    ident = create(engine, Cmd=["sh", "-c", "exit 8"])
    connection = UnixConnection(engine.socket)
    connection.request("POST", f"/containers/{ident}/wait?condition=next-exit")
    response = connection.getresponse()
    engine.api("POST", f"/containers/{ident}/start")
    assert json.loads(response.read())["StatusCode"] == 8
    connection.close()


def test_wait_not_running_answers_at_once_for_one_that_does_not_run(engine: Daemon) -> None:
    ident = create(engine)
    assert engine.api("POST", f"/containers/{ident}/wait").body["StatusCode"] == 0


def test_a_wait_whose_client_left_is_forgotten(engine: Daemon) -> None:
    ident = create(engine, Cmd=["sleep", "1000"])
    engine.api("POST", f"/containers/{ident}/start")
    before = engine.settled()
    for _ in range(20):
        connection = UnixConnection(engine.socket)
        connection.request("POST", f"/containers/{ident}/wait")
        connection.getresponse()
        connection.close()
    engine.assert_clean(before)


# --- hijacked streams -----------------------------------------------------------------------------------------------


def hijack(engine: Daemon, path: str, early: bytes = b"", body: bytes = b"") -> tuple[socket.socket, bytes]:
    """A socket after the upgrade, and what came with its answer."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(20)
    sock.connect(engine.socket)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    sock.sendall(head.encode() + body + early)
    raw = b""
    while b"\r\n\r\n" not in raw:
        chunk = sock.recv(4096)
        assert chunk, raw
        raw += chunk
    answer, _, rest = raw.partition(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 101 "), answer
    return sock, rest


def read_all(sock: socket.socket, rest: bytes) -> bytes:
    while chunk := sock.recv(65536):
        rest += chunk
    sock.close()
    return rest


def frames(raw: bytes) -> list[tuple[int, bytes]]:
    found = []
    while raw:
        kind, size = struct.unpack(">BxxxI", raw[:8])
        found.append((kind, raw[8 : 8 + size]))
        raw = raw[8 + size :]
    return found


def test_attach_frames_both_streams(engine: Daemon) -> None:
    ident = create(engine, Cmd=["sh", "-c", "echo out; echo err >&2"])
    sock, rest = hijack(engine, f"/containers/{ident}/attach?stream=1&stdout=1&stderr=1")
    engine.api("POST", f"/containers/{ident}/start")
    assert sorted(frames(read_all(sock, rest))) == [(1, b"out\n"), (2, b"err\n")]


def test_input_sent_with_the_upgrade_is_not_lost(engine: Daemon) -> None:
    """Some clients do not wait for the 101 before they send."""
    ident = create(engine, Cmd=["cat"], OpenStdin=True, StdinOnce=True)
    sock, rest = hijack(engine, f"/containers/{ident}/attach?stream=1&stdin=1&stdout=1", early=b"early\n")
    engine.api("POST", f"/containers/{ident}/start")
    sock.sendall(b"late\n")
    sock.shutdown(socket.SHUT_WR)
    out = b"".join(words for _, words in frames(read_all(sock, rest)))
    assert out == b"early\nlate\n"


def test_half_close_ends_the_input_and_not_the_output(engine: Daemon) -> None:
    ident = create(engine, Cmd=["sh", "-c", "cat | wc -c; sleep 0.3; echo after"], OpenStdin=True, StdinOnce=True)
    sock, rest = hijack(engine, f"/containers/{ident}/attach?stream=1&stdin=1&stdout=1")
    engine.api("POST", f"/containers/{ident}/start")
    sock.sendall(b"x" * 1000)
    sock.shutdown(socket.SHUT_WR)
    assert b"".join(words for _, words in frames(read_all(sock, rest))) == b"1000\nafter\n"


def test_a_terminals_stream_is_raw(engine: Daemon) -> None:
    ident = create(engine, Cmd=["echo", "raw"], Tty=True)
    sock, rest = hijack(engine, f"/containers/{ident}/attach?stream=1&stdout=1")
    engine.api("POST", f"/containers/{ident}/start")
    assert read_all(sock, rest) == b"raw\r\n"


def test_exec_start_takes_its_body_and_early_input(engine: Daemon) -> None:
    ident = create(engine, Cmd=["sleep", "1000"])
    engine.api("POST", f"/containers/{ident}/start")
    body = {"AttachStdin": True, "AttachStdout": True, "AttachStderr": True, "Cmd": ["cat"]}
    exec_id = engine.api("POST", f"/containers/{ident}/exec", body).body["Id"]
    sock, rest = hijack(engine, f"/exec/{exec_id}/start", early=b"now\n", body=b'{"Detach": false, "Tty": false}')
    sock.shutdown(socket.SHUT_WR)
    assert frames(read_all(sock, rest)) == [(1, b"now\n")]
    eventually(lambda: engine.api("GET", f"/exec/{exec_id}/json").body["ExitCode"] == 0)
    assert engine.api("GET", f"/exec/{exec_id}/json").body["Running"] is False


def test_attach_with_logs_replays_them_first(engine: Daemon) -> None:
    ident = create(engine, Cmd=["sh", "-c", "echo one; read x; echo two"], OpenStdin=True)
    engine.api("POST", f"/containers/{ident}/start")
    eventually(lambda: "one" in engine.docker("logs", ident).out)
    sock, rest = hijack(engine, f"/containers/{ident}/attach?logs=1&stream=1&stdin=1&stdout=1")
    sock.sendall(b"\n")
    assert b"".join(words for _, words in frames(read_all(sock, rest))) == b"one\ntwo\n"


def test_a_client_that_leaves_does_not_stop_the_container(engine: Daemon) -> None:
    ident = create(engine, Cmd=["sh", "-c", "head -c 20000000 /dev/zero | tr '\\0' x; exit 6"])
    sock, _ = hijack(engine, f"/containers/{ident}/attach?stream=1&stdout=1")
    engine.api("POST", f"/containers/{ident}/start")
    sock.recv(1000)
    sock.close()
    assert engine.api("POST", f"/containers/{ident}/wait").body["StatusCode"] == 6


@pytest.mark.long  # such a client is given half a minute, since a pager stands still too
def test_a_client_that_does_not_read_does_not_stop_the_container(engine: Daemon) -> None:
    ident = create(engine, Cmd=["sh", "-c", "head -c 20000000 /dev/zero | tr '\\0' x; exit 6"])
    sock, _ = hijack(engine, f"/containers/{ident}/attach?stream=1&stdout=1")
    engine.api("POST", f"/containers/{ident}/start")
    answer = engine.api("POST", f"/containers/{ident}/wait", timeout_s=60)
    assert answer.body["StatusCode"] == 6
    sock.close()
