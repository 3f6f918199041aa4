"""TLS: half-close, client certificates, plaintext at a TLS door, ends without goodbye."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from berth.api.http.tls import server_context
from harness.certificates import Authority, for_docker
from harness.eventually import eventually
from harness.fake_services import ApiServer
from harness.wire import Wire

ATTACH = (
    b"POST /containers/a/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
    b"Upgrade: tcp\r\n\r\n"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("certs")
    for_docker(str(path))
    for_docker(str(path / "others"))
    authority = Authority(str(path / "authority"), renew=False)
    certificate, key = authority.issue("expired", days=-1)
    (path / "expired").mkdir()
    shutil.copy(certificate, path / "expired" / "cert.pem")
    shutil.copy(key, path / "expired" / "key.pem")
    return path


@pytest.fixture(params=["asyncio", "uvloop"])
def api(request: pytest.FixtureRequest, folder: Path) -> Iterator[ApiServer]:
    context = server_context(
        str(folder / "server-cert.pem"), str(folder / "server-key.pem"), str(folder / "ca.pem"), verify=True
    )
    with ApiServer(uvloop=request.param == "uvloop", tls=context) as server:
        yield server


def connect(api: ApiServer, folder: Path, certificate: Path | None = None) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    if certificate is not None:
        context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    raw = socket.create_connection(("127.0.0.1", api.tls_port), timeout=10)
    return context.wrap_socket(raw, server_hostname="localhost")


def test_requests_over_tls(api: ApiServer, folder: Path) -> None:
    wire = Wire(connect(api, folder, folder))
    for _ in range(3):
        assert wire.ask("GET", "/_ping").body == b"OK"
    assert (
        wire.ask("POST", "/containers/create", b'{"Image": "x", "Env": [' + b'"A=1",' * 50_000 + b'"B=2"]}').status
        == 201
    )


@pytest.mark.parametrize("who", ["nobody", "others", "expired"])
def test_a_client_without_our_certificate_is_refused(api: ApiServer, folder: Path, who: str) -> None:
    with pytest.raises((ssl.SSLError, ConnectionResetError)):  # TLS 1.3 tells the client with its first read
        sock = connect(api, folder, None if who == "nobody" else folder / who)
        sock.sendall(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sock.recv(100) == b"never"
    assert api.fake.calls == []


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_tls_is_refused(api: ApiServer, folder: Path, version: ssl.TLSVersion) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(folder / "ca.pem")
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")
    raw = socket.create_connection(("127.0.0.1", api.tls_port), timeout=10)
    with pytest.raises(ssl.SSLError) as caught, raw:
        context.wrap_socket(raw, server_hostname="localhost")
    assert caught.value.reason == "TLSV1_ALERT_PROTOCOL_VERSION"  # the server's refusal, not this library's


def test_plain_http_at_the_tls_door_ends(api: ApiServer) -> None:
    wire = Wire(socket.create_connection(("127.0.0.1", api.tls_port), timeout=10))
    wire.send(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
    assert not wire.read_all().startswith(b"HTTP/")


class MemoryTls:
    """A client over memory buffers, which can half-close as Go's does."""

    def __init__(self, api: ApiServer, folder: Path) -> None:
        context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname="localhost")
        self._raw = socket.create_connection(("127.0.0.1", api.tls_port), timeout=10)
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._flush()
                self._in.write(self._raw.recv(65536))
        self._flush()
        self._unread = b""

    def _flush(self) -> None:
        self._raw.sendall(self._out.read())

    def sendall(self, raw: bytes) -> None:
        self._tls.write(raw)
        self._flush()

    def half_close(self) -> None:
        """Say close_notify and go on reading; OpenSSL wants nothing unread at that moment."""
        with contextlib.suppress(ssl.SSLWantReadError):
            while True:
                self._unread += self._tls.read(65536)
        with pytest.raises(ssl.SSLWantReadError):
            self._tls.unwrap()
        self._flush()

    def recv(self, size: int) -> bytes:
        if self._unread:
            found, self._unread = self._unread, b""
            return found
        while True:
            try:
                return self._tls.read(size)
            except ssl.SSLWantReadError:
                raw = self._raw.recv(65536)
                assert raw, "TCP ended without close_notify"
                self._in.write(raw)
            except ssl.SSLZeroReturnError:
                return b""

    def close(self) -> None:
        self._raw.close()


def payload(raw: bytes) -> bytes:
    out = b""
    while raw:
        size = int.from_bytes(raw[4:8], "big")
        out, raw = out + raw[8 : 8 + size], raw[8 + size :]
    return out


def test_close_notify_ends_the_input_and_not_the_output(api: ApiServer, folder: Path) -> None:
    client = MemoryTls(api, folder)
    wire = Wire(client)
    wire.send(ATTACH + b"early ")
    assert wire.head()[0] == 101
    wire.send(b"late")
    client.half_close()
    assert payload(wire.read_all()) == b"early latebye"
    client.close()


def test_much_both_ways_over_tls(api: ApiServer, folder: Path) -> None:
    client = MemoryTls(api, folder)
    wire = Wire(client)
    wire.send(ATTACH)
    assert wire.head()[0] == 101
    text = bytes(range(256)) * 8_000
    sent = 0
    got = b""
    for at in range(0, len(text), 64_000):  # one thread: the echo's buffers hold a step
        wire.send(text[at : at + 64_000])
        sent = min(at + 64_000, len(text))
        while len(payload_whole(got)) < sent:
            got += client.recv(65536)
    client.half_close()
    assert payload(got + wire.read_all()) == text + b"bye"
    client.close()


def payload_whole(raw: bytes) -> bytes:
    out = b""
    while len(raw) >= 8 and len(raw) >= 8 + (size := int.from_bytes(raw[4:8], "big")):
        out, raw = out + raw[8 : 8 + size], raw[8 + size :]
    return out


def test_a_client_that_cuts_the_line_leaves_nothing(api: ApiServer, folder: Path) -> None:
    for raw in (b"", b"GET /_p", ATTACH, b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n"):
        api.call(lambda: setattr(api.fake, "endless", True))
        client = MemoryTls(api, folder)
        client.sendall(raw or b"\r\n")
        if raw.endswith(b"\r\n\r\n"):
            Wire(client).head()
        client.close()
    eventually(lambda: api.call(lambda: len(api.servers[2].connections)) == 0)
    eventually(lambda: {"events closed"} <= set(api.fake.names()))


def test_a_client_that_never_shakes_hands_is_cut_off(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from berth.api.http import tls

    monkeypatch.setattr(tls, "HANDSHAKE_TIMEOUT_S", 0.2)
    wire = Wire(socket.create_connection(("127.0.0.1", api.tls_port), timeout=10))
    assert wire.ended()


def test_a_long_stream_that_nobody_reads_is_not_buffered(api: ApiServer, folder: Path) -> None:
    api.call(lambda: setattr(api.fake, "endless", True))
    client = MemoryTls(api, folder)
    client.sendall(b"GET /containers/a/logs?follow=1&stdout=1 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert Wire(client).head()[0] == 200

    def held() -> int:
        return int(api.call(lambda: max(c.unsent_bytes for c in api.servers[2].connections)))

    eventually(lambda: held() > 0)
    assert all(held() < 1 << 20 for _ in range(20))
    client.close()
    eventually(lambda: "logs closed" in api.fake.names())


def test_many_connections_at_once(api: ApiServer, folder: Path) -> None:
    answers = []

    def one() -> None:
        answers.append(Wire(connect(api, folder, folder)).ask("GET", "/containers/json").status)

    threads = [threading.Thread(target=one) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 20
