"""The connection itself: keep-alive, pipelining, chunked bodies, hijacking, clients that are wrong, stall or vanish."""

from __future__ import annotations

import json
import socket
import threading

import pytest

from berth.api.http import protocol, request
from harness.eventually import eventually
from harness.fake_services import ApiServer, open_descriptors
from harness.wire import Wire

CREATE = "/v1.51/containers/create"


@pytest.fixture
def wire(api: ApiServer) -> Wire:
    return Wire(api.connect())


def test_one_connection_answers_many_requests(wire: Wire) -> None:
    for _ in range(3):
        assert wire.ask("GET", "/_ping").body == b"OK"
        assert wire.ask("HEAD", "/_ping").status == 200
        assert wire.ask("GET", "/nothing").json == {"message": "page not found"}


def test_requests_in_one_write_are_answered_in_order(wire: Wire) -> None:
    body = b'{"Image": "busybox"}'
    wire.send(
        b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n"
        + b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        % (CREATE.encode(), len(body), body)
        + b"GET /version HTTP/1.1\r\nHost: x\r\n\r\nGET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    assert [wire.reply().status for _ in range(4)] == [200, 201, 200, 200]
    assert wire.ended()


def test_a_request_may_come_byte_by_byte(api: ApiServer, wire: Wire) -> None:
    raw = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" % CREATE.encode()
    for chunk in (
        raw,
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"8;x=y\r\n",
        b'{"Image"\r\n',
        b'4\r\n:"a"\r\n1\r\n}\r\n0\r\n',
    ):
        for n in range(len(chunk)):
            wire.send(chunk[n : n + 1])
    wire.send(b"Trailer: yes\r\n\r\n")
    assert wire.reply().status == 201
    assert api.fake.calls[-1] == ("create", {"Image": "a"}, None, None)


def test_http_1_0_gets_a_stream_up_to_the_connections_end(wire: Wire) -> None:
    wire.send(b"GET /containers/a/logs?stdout=1 HTTP/1.0\r\n\r\n")
    status, headers = wire.head()
    assert status == 200 and "transfer-encoding" not in headers
    assert wire.read_all().endswith(b"two\n")


def test_expect_100_continue_is_answered_before_the_body(wire: Wire) -> None:
    wire.send(b"POST /images/load HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    assert wire.head()[0] == 100
    wire.send(b"abc")
    assert wire.reply().status == 200


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", 400),
        (b"GET /_ping HTTP/1.1\r\n\r\n", 400),
        (b"GET /_ping HTTP/1.1\r\nHost: x\r\nNo colon\r\n\r\n", 400),
        (b"POST /auth HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n", 400),
        (b"POST /auth HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /auth HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST /auth HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST /auth HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
        (b"POST /images/load HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST /images/load HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", 400),
        (b"POST /images/load HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n", 400),
        (b"POST /images/load HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 5000, 400),
        (b"POST /auth HTTP/1.1\r\nHost: x\r\nExpect: the-moon\r\nContent-Length: 1\r\n\r\n", 417),
        (b"GET /_ping HTTP/1.1\r\nHost: x\r\nX: " + b"x" * (2 << 20), 431),
        (b"x" * (2 << 20), 431),
    ],
)
def test_what_is_no_http_is_refused_and_the_connection_ends(wire: Wire, raw: bytes, status: int) -> None:
    try:
        wire.send(raw)
    except (BrokenPipeError, ConnectionResetError):
        pass  # refused before all was sent
    assert wire.reply().status == status
    assert wire.ended()


def test_a_head_without_end_is_given_up(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT_S", 0.2)
    wire = Wire(api.connect())
    wire.send(b"GET /_ping HTTP/1.1\r\nHost: x\r\n")
    assert wire.reply().status == 408
    assert wire.ended()


def test_a_body_that_stalls_is_given_up(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request, "BODY_STALL_S", 0.2)
    wire = Wire(api.connect())
    wire.send(b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{" % CREATE.encode())
    assert wire.reply().status == 408
    assert wire.ended()
    assert api.fake.calls == []


def test_a_body_of_100_mb_is_refused_and_the_client_can_read_it(api: ApiServer, wire: Wire) -> None:
    size = 100 << 20
    wire.send(
        b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        % (CREATE.encode(), size)
    )
    block = b" " * (1 << 20)
    for _ in range(size // len(block)):
        wire.send(block)
    reply = wire.reply()
    assert reply.status == 413
    assert reply.json["message"].startswith("http: request body too large")
    assert wire.ended()
    assert api.fake.calls == []


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"GET /_pi",
        b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
        b"POST /images/load HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /containers/a/logs?follow=1&stdout=1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /containers/a/wait HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /containers/a/attach?stream=1&stdin=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nhi",
    ],
)
def test_a_client_that_vanishes_leaves_nothing(api: ApiServer, raw: bytes) -> None:
    api.call(lambda: setattr(api.fake, "endless", True))
    Wire(api.connect()).ask("GET", "/_ping")
    before = eventually(lambda: open_descriptors())
    wire = Wire(api.connect())
    wire.send(raw)
    if b"HTTP/1.1" in raw and b"Content-Length" not in raw:
        eventually(lambda: api.fake.calls)
    wire.close()
    eventually(lambda: open_descriptors() <= before and api.call(lambda: len(api.servers[0].connections)) <= 1)
    ends = {"events": "events closed", "logs": "logs closed", "wait": "waiter cancelled", "load": "upload failed"}
    for verb, end in ends.items():
        if verb in api.fake.names():
            eventually(lambda end=end: end in api.fake.names())


def test_a_mutation_ends_although_its_client_left(api: ApiServer, wire: Wire) -> None:
    wire.send(b"POST /containers/a/stop HTTP/1.1\r\nHost: x\r\n\r\n")
    eventually(lambda: "stop" in api.fake.names())
    wire.close()
    assert Wire(api.connect()).ask("GET", "/_ping").status == 200
    api.call(api.fake.gate.set)
    eventually(lambda: "stopped" in api.fake.names())
    eventually(lambda: api.call(lambda: len(api.servers[0].connections)) <= 1)


def test_a_client_that_does_not_read_is_not_buffered_for(api: ApiServer, wire: Wire) -> None:
    api.call(lambda: setattr(api.fake, "endless", True))
    wire.send(b"GET /containers/a/logs?follow=1&stdout=1 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert wire.head()[0] == 200

    def held() -> int:
        return int(api.call(lambda: max(c.unsent_bytes for c in api.servers[0].connections)))

    eventually(lambda: held() > 0)
    for _ in range(20):
        assert held() < 1 << 20
    assert Wire(api.connect()).ask("GET", "/_ping").status == 200


HIJACK = (
    b"POST /v1.51/exec/%b/start HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
    b"Content-Type: application/json\r\n"
)
BODY = b'{"Detach": false}'


def read_frames(wire: Wire) -> bytes:
    raw, out = wire.read_all(), b""
    while raw:
        size = int.from_bytes(raw[4:8], "big")
        out, raw = out + raw[8 : 8 + size], raw[8 + size :]
    return out


@pytest.mark.parametrize("tcp", [False, True])
def test_hijack_keeps_body_early_input_and_half_close(api: ApiServer, tcp: bool) -> None:
    wire = Wire(api.connect(tcp=tcp))
    wire.ask("GET", "/_ping")
    wire.send(HIJACK % b"abc" + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY + b"early ")
    assert wire.head()[0] == 101
    wire.send(b"late")
    wire.sock.shutdown(socket.SHUT_WR)
    assert read_frames(wire) == b"early latebye"
    assert ("exec_start", "abc", json.loads(BODY)) in api.fake.calls


def test_hijack_with_a_chunked_body(wire: Wire) -> None:
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
    wire.send(HIJACK % b"abc" + b"Transfer-Encoding: chunked\r\n\r\n" + chunked + b"more")
    assert wire.head()[0] == 101
    wire.sock.shutdown(socket.SHUT_WR)
    assert read_frames(wire) == b"morebye"


def test_hijack_without_upgrade_is_answered_with_200(wire: Wire) -> None:
    """What clients before 1.21 did, and curl still does."""
    wire.send(b"POST /containers/a/attach?stream=1&stdout=1 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert wire.head()[0] == 200
    wire.sock.shutdown(socket.SHUT_WR)
    assert read_frames(wire) == b"bye"


def test_much_input_and_output_at_once(wire: Wire) -> None:
    wire.send(HIJACK % b"abc" + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY)
    wire.head()
    text = bytes(range(256)) * 20_000

    def write() -> None:
        wire.send(text)
        wire.sock.shutdown(socket.SHUT_WR)

    writer = threading.Thread(target=write)
    writer.start()
    assert read_frames(wire) == text + b"bye"
    writer.join()


def test_pages_of_other_sites_are_not_answered_on_tcp(api: ApiServer) -> None:
    assert Wire(api.connect(tcp=True)).ask("GET", "/_ping", Origin="http://evil.example").status == 403
    assert Wire(api.connect(tcp=True)).ask("GET", "/_ping", Origin="http://x").status == 200
    assert Wire(api.connect()).ask("GET", "/_ping", Origin="http://evil.example").status == 200
