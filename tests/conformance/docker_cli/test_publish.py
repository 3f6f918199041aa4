"""Published ports: reachable from the host, refused when taken, free again afterwards."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import urllib.request

import pytest

from harness import reference
from harness.daemon import Daemon
from harness.eventually import eventually
from harness.ports import free_port, free_ports

pytestmark = pytest.mark.root

HTTPD = ("busybox", "httpd", "-f", "-h", "/var/www")


def fetch(address: str) -> str:
    try:
        with urllib.request.urlopen(f"http://{address}/", timeout=3) as answer:
            return str(answer.read().decode())
    except OSError as err:
        raise AssertionError(f"http://{address}/: {err}") from None


def host_address() -> str:
    """An address of this host's that is not loopback, if there is one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))
            return str(sock.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def test_a_published_port_answers(engine: Daemon) -> None:
    port = free_port()
    engine.docker("run", "-d", "--name", "web", "-p", f"{port}:80", *HTTPD)
    for address in (f"127.0.0.1:{port}", f"{host_address()}:{port}", f"[::1]:{port}"):
        eventually(lambda address=address: fetch(address) == "hello from busybox\n")
    assert engine.docker("port", "web").lines == [f"80/tcp -> 0.0.0.0:{port}", f"80/tcp -> [::]:{port}"]
    assert f"0.0.0.0:{port}->80/tcp" in engine.docker("ps").out


def test_a_port_of_the_engines_choice(engine: Daemon) -> None:
    engine.docker("run", "-d", "--name", "web", "-p", "80", *HTTPD)
    chosen = engine.docker("port", "web", "80/tcp").lines[0].rpartition(":")[2]
    eventually(lambda: fetch(f"127.0.0.1:{chosen}") == "hello from busybox\n")


def test_only_where_it_was_published(engine: Daemon) -> None:
    port = free_port()
    engine.docker("run", "-d", "-p", f"127.0.0.1:{port}:80", *HTTPD)
    eventually(lambda: fetch(f"127.0.0.1:{port}") == "hello from busybox\n")
    if host_address() != "127.0.0.1":
        with pytest.raises(AssertionError):
            fetch(f"{host_address()}:{port}")


ECHO = """
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("", 9000))
while True:
    words, peer = sock.recvfrom(2048)
    sock.sendto(words, peer)
"""


def test_udp(engine: Daemon) -> None:
    port = free_port()
    engine.docker("run", "-d", "--name", "echo", "-p", f"{port}:9000/udp", "busybox", "sleep", "1000")
    pid = str(engine.inspect("echo")["State"]["Pid"])
    server = subprocess.Popen(["nsenter", "-t", pid, "-n", sys.executable, "-c", ECHO])  # busybox has no UDP server

    def echoed() -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.3)
            sock.sendto(b"ping", ("127.0.0.1", port))
            try:
                return sock.recv(100) == b"ping"
            except OSError:
                return False

    try:
        eventually(echoed)
    finally:
        server.kill()
        server.wait()


def test_a_port_in_use_is_refused_and_nothing_is_half_made(engine: Daemon) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = engine.docker("run", "--rm", "-p", f"{port}:80", *HTTPD, check=False)
        assert result.code == 125
        assert "address already in use" in result.err or "port is already allocated" in result.err
    engine.docker("run", "-d", "-p", f"{port}:80", *HTTPD)
    second = engine.docker("run", "-d", "--name", "second", "-p", f"{port}:80", *HTTPD, check=False)
    assert second.code == 125 and "port is already allocated" in second.err
    assert engine.inspect("second")["State"]["Status"] == "created"


def test_the_port_is_free_after_the_end(engine: Daemon) -> None:
    port = free_port()
    for _ in range(2):
        engine.docker("run", "-d", "--name", "web", "-p", f"{port}:80", *HTTPD)
        eventually(lambda: fetch(f"127.0.0.1:{port}") == "hello from busybox\n")
        engine.docker("rm", "-f", "web")
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("0.0.0.0", port))


def test_publish_all_takes_what_the_image_exposes(engine: Daemon) -> None:
    engine.docker("run", "-d", "--name", "web", "--expose", "80", "-P", *HTTPD)
    chosen = engine.docker("port", "web", "80").lines[0].rpartition(":")[2]
    eventually(lambda: fetch(f"127.0.0.1:{chosen}") == "hello from busybox\n")


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        (["A:80"], ["80/tcp -> 0.0.0.0:A", "80/tcp -> [::]:A"]),
        (["A:80/tcp", "A:80/udp"], ["80/tcp -> 0.0.0.0:A", "80/tcp -> [::]:A", "80/udp -> 0.0.0.0:A", "80/udp -> [::]:A"]),
        (["127.0.0.1:A:80"], ["80/tcp -> 127.0.0.1:A"]),
        (["0.0.0.0:A:80"], ["80/tcp -> 0.0.0.0:A"]),
        (["[::1]:A:80/udp"], ["80/udp -> [::1]:A"]),
        (["[::]:A:80"], ["80/tcp -> [::]:A"]),
        (["A-B:80-81"], ["80/tcp -> 0.0.0.0:A", "80/tcp -> [::]:A", "81/tcp -> 0.0.0.0:B", "81/tcp -> [::]:B"]),
        (["127.0.0.1:A-B:80"], ["80/tcp -> 127.0.0.1:A"]),
        (["127.0.0.1:A:80", "127.0.0.1:B:80"], ["80/tcp -> 127.0.0.1:A", "80/tcp -> 127.0.0.1:B"]),
        (["127.0.0.1::80"], ["80/tcp -> 127.0.0.1:?"]),
        (["80-81"], ["80/tcp -> 0.0.0.0:?", "80/tcp -> [::]:?", "81/tcp -> 0.0.0.0:?", "81/tcp -> [::]:?"]),
    ],
)  # fmt: skip
def test_every_spelling(engine: Daemon, flags: list[str], wanted: list[str]) -> None:
    first = free_ports(2)

    def spelled(text: str) -> str:
        return text.replace("A", str(first)).replace("B", str(first + 1))

    publish = [word for flag in flags for word in ("-p", spelled(flag))]
    engine.docker("run", "-d", "--name", "web", *publish, "busybox", "sleep", "1000")
    shown = engine.docker("port", "web").lines
    hidden = [re.sub(r"\d+$", "?", line) if "?" in want else line for line, want in zip(shown, wanted, strict=True)]
    assert hidden == [spelled(line) for line in wanted]


def test_a_range_to_choose_from(engine: Daemon) -> None:
    first = free_ports(2)
    chosen = set()
    for name in ("one", "two"):
        engine.docker(
            "run", "-d", "--name", name, "-p", f"127.0.0.1:{first}-{first + 1}:80", "busybox", "sleep", "1000"
        )
        chosen |= set(engine.docker("port", name).lines)
    assert chosen == {f"80/tcp -> 127.0.0.1:{first}", f"80/tcp -> 127.0.0.1:{first + 1}"}
    full = engine.docker(
        "run", "-d", "-p", f"127.0.0.1:{first}-{first + 1}:80", "busybox", "sleep", "1000", check=False
    )
    assert full.code == 125 and "port is already allocated" in full.err


def test_sctp_where_the_kernel_has_none_is_a_clear_error(engine: Daemon) -> None:
    result = engine.docker("run", "--rm", "-p", "3868:3868/sctp", "busybox", "true", check=False)
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132).close()
    except OSError:
        assert result.code == 125 and "protocol not supported" in result.err
        if not reference.ADDRESS:
            assert (
                "this kernel has no SCTP (protocol not supported: no module sctp): port 3868/sctp cannot" in result.err
            )
    else:
        assert result.code == 0
