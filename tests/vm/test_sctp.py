"""SCTP ports, published: who reaches them, who does not. Needs a kernel with SCTP."""

from __future__ import annotations

import subprocess
import sys

import pytest

from harness.eventually import eventually
from harness.rooms import Lan, RoomDaemon

pytestmark = [pytest.mark.vm, pytest.mark.root]

HOST, NEIGHBOUR = Lan.HOST, Lan.NEIGHBOUR
_BIND = """
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
try:
    sock.bind(("", int(sys.argv[1])))
    print("bound")
except OSError as err:
    print(err.strerror)
"""


def asks(lan: Lan, address: str, port: int) -> str:
    """The neighbour's answer, for which an emulated machine may need longer than a moment."""
    return eventually(lambda: lan.neighbour.ask(address, port, "sctp"), why=f"{address} answers on {port}")


def refused(lan: Lan, address: str, port: int) -> bool:
    return lan.neighbour.ask(address, port, "sctp", 2) == ""


def test_everybody_reaches_a_published_port(lan: Lan, engine: RoomDaemon) -> None:
    """By every address of the host's: a neighbour (whose address the server sees), the host, containers, the container itself."""
    engine.docker("network", "create", "--ipv6", "n1")
    engine.start_container("web", "--network", "n1", "-p", "9000:80/sctp")
    engine.docker("run", "-d", "--name", "elsewhere", "busybox", "sleep", "1000")
    assert engine.docker("port", "web").lines == ["80/sctp -> 0.0.0.0:9000", "80/sctp -> [::]:9000"]
    assert asks(lan, HOST, 9000) == f"from {NEIGHBOUR}"
    assert asks(lan, Lan.HOST6, 9000) == f"from {Lan.NEIGHBOUR6}"
    assert lan.host.ask(HOST, 9000, "sctp", 10) and lan.host.ask(Lan.HOST6, 9000, "sctp", 10)
    assert lan.host.ask("127.0.0.1", 9000, "sctp", 10)
    assert engine.ask_from("elsewhere", HOST, 9000, "sctp", 10)
    assert engine.ask_from("web", HOST, 9000, "sctp", 10)


def test_what_is_not_published_is_not_reached(lan: Lan, engine: RoomDaemon) -> None:
    inside = engine.start_container("web", "-p", "9000:80/sctp", "-p", "127.0.0.1:9001:80/sctp", "-p", "9002:80")
    address = inside["bridge"]["IPAddress"]
    assert asks(lan, HOST, 9000)
    assert refused(lan, address, 80), "the container's own address"
    assert refused(lan, HOST, 9001) and lan.host.ask("127.0.0.1", 9001, "sctp", 10)
    assert refused(lan, HOST, 9002), "published for TCP alone"
    assert refused(lan, HOST, 9003)
    assert lan.host.ask("::1", 9000, "sctp", 10) == "", "not carried, and not accepted by nobody either"


def test_ranges_and_clients(lan: Lan, engine: RoomDaemon) -> None:
    engine.start_container("web", "-p", "80-89:80-89/sctp", serving=85)
    assert asks(lan, HOST, 85) == f"from {NEIGHBOUR}"
    assert engine.berth("container", "update", "--publish-add", "9100:85/sctp,from=192.0.2.0/24", "web").code == 0
    assert engine.berth("container", "update", "--publish-add", "9101:85/sctp,from=198.51.100.0/24", "web").code == 0
    assert asks(lan, HOST, 9100) == f"from {NEIGHBOUR}"
    assert refused(lan, HOST, 9101)


def test_a_published_port_is_nobody_elses(lan: Lan, engine: RoomDaemon) -> None:
    """Neither a program of the host's nor another container gets it, also while the daemon is dead; it is free afterwards."""
    engine.start_container("web", "-p", "9000:80/sctp")
    engine.docker("run", "-d", "--name", "tcp", "-p", "9000:80", "busybox", "sleep", "1000")
    again = engine.docker("run", "--rm", "-p", "9000:80/sctp", "busybox", "true", check=False)
    assert again.code == 125 and "port is already allocated" in again.err
    engine.kill9()
    assert lan.host.run(sys.executable, "-c", _BIND, "9000").strip() == "Address already in use"
    assert asks(lan, HOST, 9000)
    engine.start()
    assert asks(lan, HOST, 9000)
    engine.docker("rm", "-f", "web")
    assert lan.host.run(sys.executable, "-c", _BIND, "9000").strip() == "bound"
    holder = subprocess.Popen(
        [*lan.host.enter, sys.executable, "-c", _BIND + "\nsys.stdout.flush(); sys.stdin.read()", "9004"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with holder:
        assert holder.stdout is not None and holder.stdin is not None and holder.stdout.readline() == "bound\n"
        taken = engine.docker("run", "--rm", "-p", "9004:80/sctp", "busybox", "true", check=False)
        assert taken.code == 125 and "address already in use" in taken.err
        holder.stdin.close()
