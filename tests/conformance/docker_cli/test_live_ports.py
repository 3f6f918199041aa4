"""Ports of a container that exists: published and unpublished while it runs, and moved with its default route."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Iterator

import pytest

from harness import reference
from harness.daemon import Daemon
from harness.eventually import eventually
from harness.ports import free_port, free_ports

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(reference.ADDRESS), reason="Docker has nothing like it")]

HTTPD = ("busybox", "httpd", "-f", "-h", "/var/www")


def answers(port: int, address: str = "127.0.0.1") -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}:{port}/", timeout=2) as answer:
            return bool(answer.read() == b"hello from busybox\n")
    except OSError:
        return False


def is_free(port: int) -> bool:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("0.0.0.0", port))
        except OSError:
            return False
        return True


@pytest.fixture
def web(engine: Daemon) -> Iterator[int]:
    """A container with one published port."""
    port = free_port()
    engine.docker("run", "-d", "--name", "web", "-p", f"{port}:80", *HTTPD)
    eventually(lambda: answers(port))
    yield port


def test_a_port_more_and_one_less(engine: Daemon, web: int) -> None:
    more = free_port()
    engine.berth("container", "update", "--publish-add", f"{more}:80", "web")
    assert answers(more) and answers(more, "[::1]") and answers(web)
    assert f"80/tcp -> 0.0.0.0:{more}" in engine.docker("port", "web").lines
    assert f"0.0.0.0:{more}->80/tcp" in engine.docker("ps").out
    assert {"HostIp": "", "HostPort": str(more)} in engine.inspect("web")["HostConfig"]["PortBindings"]["80/tcp"]
    engine.berth("container", "update", "--publish-rm", f"{web}:80", "web")
    assert not answers(web) and is_free(web) and answers(more)
    engine.docker("restart", "-t0", "web")
    eventually(lambda: answers(more))
    assert not answers(web)
    engine.berth("container", "update", "--publish-rm", "80", "web")
    assert engine.docker("port", "web").lines == [] and is_free(more)
    assert engine.inspect("web")["NetworkSettings"]["Ports"] == {"80/tcp": None}


def test_what_stays_is_not_touched(engine: Daemon, web: int) -> None:
    pid = engine.inspect("web")["State"]["Pid"]
    with (
        socket.create_connection(("127.0.0.1", web), 3) as open_before,
        socket.create_connection(("::1", web), 3) as carried,
    ):
        engine.berth("container", "update", "--publish-add", "80", "--publish-add", "5000-5009", "web")
        for sock in (open_before, carried):
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert sock.recv(100).startswith(b"HTTP/1."), "a connection from before goes on"
    ports = engine.inspect("web")["NetworkSettings"]["Ports"]
    assert len(ports["80/tcp"]) == 4 and len(ports["5009/tcp"]) == 2
    assert engine.inspect("web")["State"]["Pid"] == pid


def test_all_or_nothing(engine: Daemon, web: int) -> None:
    other = free_port()
    with socket.create_server(("0.0.0.0", 0)) as taken:
        busy = taken.getsockname()[1]
        failed = engine.berth("container", "update", "--publish-rm", f"{web}:80", "--publish-add", f"{other}:80",
                              "--publish-add", f"{busy}:80", "web", check=False)  # fmt: skip
    assert failed.code == 1 and "address already in use" in failed.err
    assert answers(web) and is_free(other)
    assert list(engine.inspect("web")["HostConfig"]["PortBindings"]["80/tcp"]) == [{"HostIp": "", "HostPort": str(web)}]
    absent = engine.berth("container", "update", "--publish-rm", "81", "web", check=False)
    assert absent.code == 1 and "port 81/tcp is not published" in absent.err
    assert answers(web)


def test_a_protocol_that_the_kernel_has_not(engine: Daemon, web: int) -> None:
    """Where there is no SCTP nothing of the change is made; tests/vm/test_sctp.py is where there is."""
    other = free_port()
    words = ("container", "update", "--publish-add", f"{other}:80", "--publish-add", f"{other}:80/sctp", "web")
    done = engine.berth(*words, check=False)
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132).close()
    except OSError:
        assert done.code == 1 and "this kernel has no SCTP" in done.err
        assert is_free(other) and engine.docker("port", "web", "80/sctp", check=False).code == 1
    else:
        assert done.code == 0 and f"0.0.0.0:{other}" in engine.docker("port", "web", "80/sctp").lines
    assert answers(web)


def test_the_number_of_a_port_can_be_another_containers_at_once(engine: Daemon, web: int) -> None:
    engine.docker("run", "-d", "--name", "next", *HTTPD)
    clash = engine.berth("container", "update", "--publish-add", f"{web}:80", "next", check=False)
    assert clash.code == 1 and "port is already allocated" in clash.err
    engine.berth("container", "update", "--publish-rm", "80", "web")
    engine.berth("container", "update", "--publish-add", f"{web}:80", "next")
    assert answers(web)


def test_a_part_of_a_range_goes(engine: Daemon) -> None:
    first = free_ports(10)
    engine.docker("run", "-d", "--name", "web", "-p", f"{first}-{first + 9}:{first}-{first + 9}", "busybox", "httpd", "-f",
                  "-h", "/var/www", "-p", str(first + 7))  # fmt: skip
    eventually(lambda: answers(first + 7))
    engine.berth("container", "update", "--publish-rm", f"{first + 2}-{first + 4}", "web")
    assert answers(first + 7) and is_free(first + 3) and not is_free(first) and not is_free(first + 9)
    engine.berth("container", "update", "--publish-rm", str(first + 7), "web")
    assert not answers(first + 7)


def test_minus_p_of_all_becomes_single_wishes(engine: Daemon) -> None:
    engine.docker("run", "-d", "--name", "web", "-P", "--expose", "80", "--expose", "81", *HTTPD)
    chosen = int(engine.docker("port", "web", "80/tcp").lines[0].rpartition(":")[2])
    engine.berth("container", "update", "--publish-rm", "81", "web")
    assert answers(chosen)
    engine.docker("restart", "-t0", "web")
    assert set(engine.inspect("web")["HostConfig"]["PortBindings"]) == {"80/tcp"}
    assert engine.inspect("web")["NetworkSettings"]["Ports"]["81/tcp"] is None
    assert len(engine.docker("port", "web").lines) == 2


def test_of_a_stopped_container_and_over_the_daemons_death(make_daemon: object) -> None:
    engine: Daemon = make_daemon()  # type: ignore[operator]
    first, second = free_port(), free_port()
    engine.docker("create", "--name", "web", *HTTPD)
    engine.berth("container", "update", "--publish-add", f"{first}:80", "web")
    engine.docker("start", "web")
    eventually(lambda: answers(first))
    engine.berth("container", "update", "--publish-add", f"127.0.0.1:{second}:80", "web")
    engine.kill9()
    assert answers(second)
    engine.start()
    assert answers(first) and answers(second)
    assert f"80/tcp -> 127.0.0.1:{second}" in engine.docker("port", "web").lines


def test_no_ports_where_the_network_is_the_hosts(engine: Daemon) -> None:
    engine.docker("run", "-d", "--name", "web", "--network", "host", "busybox", "sleep", "1000")
    refused = engine.berth("container", "update", "--publish-add", "8080:80", "web", check=False)
    assert refused.code == 1 and "network mode host" in refused.err


def test_published_ports_move_with_the_default_route(engine: Daemon, web: int) -> None:
    engine.docker("run", "-d", "--name", "any", "-p", "80", *HTTPD)
    chosen = int(engine.docker("port", "any").lines[0].rpartition(":")[2])
    engine.docker("network", "create", "n1")
    for name, port in (("web", web), ("any", chosen)):
        engine.docker("network", "connect", "n1", name)
        engine.docker("network", "disconnect", "bridge", name)
        assert answers(port) and answers(port, "[::1]"), "by the network that has the default route now"
        assert f"80/tcp -> 0.0.0.0:{port}" in engine.docker("port", name).lines
        engine.docker("network", "connect", "--gw-priority", "1", "bridge", name)
        assert answers(port)
        engine.docker("network", "disconnect", "n1", name)
        assert answers(port)
    engine.docker("network", "disconnect", "bridge", "web")
    assert not answers(web) and engine.docker("port", "web").lines == []
    engine.docker("network", "connect", "n1", "web")
    assert answers(web), "wished for still"


def test_ports_of_an_internal_network_wait_for_one_that_can(engine: Daemon) -> None:
    port = free_port()
    engine.docker("network", "create", "--internal", "inner")
    engine.docker("run", "-d", "--name", "web", "--network", "inner", "-p", f"{port}:80", *HTTPD)
    assert engine.docker("port", "web").lines == []
    engine.docker("network", "connect", "bridge", "web")
    eventually(lambda: answers(port))
