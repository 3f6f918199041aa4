"""Names of containers, through the stock CLI and the containers' own resolver."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from harness.daemon import Daemon
from harness.eventually import eventually

pytestmark = pytest.mark.root

ASK_OVER_TCP = """
import socket
name = b"".join(bytes([len(l)]) + l.encode() for l in "NAME".split("."))
question = b"\\x12\\x34\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0" + name + b"\\0\\0\\1\\0\\1"
sock = socket.create_connection(("127.0.0.11", 53), 3)
sock.sendall(len(question).to_bytes(2, "big") + question)
size = int.from_bytes(sock.recv(2), "big")
answer = b""
while len(answer) < size:
    answer += sock.recv(size)
print(int.from_bytes(answer[6:8], "big"))
"""


def start(engine: Daemon, name: str, *flags: str) -> str:
    """A container that waits; its address in its (first) network."""
    engine.docker("run", "-d", "--name", name, *flags, "busybox", "sleep", "1000")
    return str(next(iter(engine.inspect(name)["NetworkSettings"]["Networks"].values()))["IPAddress"])


def lookup(engine: Daemon, container: str, name: str) -> list[str]:
    """The addresses (or names) that nslookup finds; the server's own line is left out."""
    lines = engine.docker("exec", container, "nslookup", name, check=False).lines
    return [line.partition(" ")[2] for line in lines if line.startswith("Address: ")] or [
        line.partition("name = ")[2] for line in lines if "name = " in line
    ]


def test_names_aliases_short_ids_and_the_way_back(engine: Daemon) -> None:
    engine.docker("network", "create", "n1")
    start(engine, "one", "--network", "n1")
    address = start(engine, "two", "--network", "n1", "--network-alias", "Web", "--hostname", "box")
    short = engine.inspect("two")["Id"][:12]
    for name in ("two", "TWO", "web", "box", short, "two.n1"):
        assert lookup(engine, "one", name) == [address], name
    assert lookup(engine, "one", address) == ["two.n1"]
    engine.docker("exec", "one", "ping", "-c1", "-W2", "two")
    assert engine.docker("exec", "one", "cat", "/etc/resolv.conf").lines[0] == "nameserver 127.0.0.11"


def test_several_behind_one_name_take_turns(engine: Daemon) -> None:
    engine.docker("network", "create", "n1")
    addresses = {start(engine, f"web{n}", "--network", "n1", "--network-alias", "web") for n in range(3)}
    assert set(lookup(engine, "web0", "web")) == addresses
    first = {lookup(engine, "web0", "web")[0] for _ in range(6)}
    assert first == addresses
    engine.docker("rm", "-f", "web2")
    assert len(lookup(engine, "web0", "web")) == 2


def test_only_those_in_the_same_network_are_known(engine: Daemon) -> None:
    engine.docker("network", "create", "n1")
    engine.docker("network", "create", "n2")
    start(engine, "one", "--network", "n1")
    start(engine, "two", "--network", "n2")
    assert lookup(engine, "one", "two") == []
    engine.docker("network", "connect", "--alias", "deux", "n1", "two")
    found = engine.inspect("two")["NetworkSettings"]["Networks"]["n1"]["IPAddress"]
    assert lookup(engine, "one", "two") == lookup(engine, "one", "deux") == [found]
    engine.docker("network", "disconnect", "n1", "two")
    assert lookup(engine, "one", "two") == []


def test_the_default_bridge_has_no_names_until_it_is_connected_elsewhere(engine: Daemon) -> None:
    engine.docker("network", "create", "n1")
    start(engine, "one", "--dns", "192.0.2.53")
    address = start(engine, "two", "--network", "n1")
    assert engine.docker("exec", "one", "cat", "/etc/resolv.conf").lines == ["nameserver 192.0.2.53"]
    engine.docker("network", "connect", "n1", "one")
    assert engine.docker("exec", "one", "cat", "/etc/resolv.conf").lines[0] == "nameserver 127.0.0.11"
    assert lookup(engine, "one", "two") == [address]
    hosts = engine.docker("exec", "one", "cat", "/etc/hosts").out
    assert engine.inspect("one")["NetworkSettings"]["Networks"]["n1"]["IPAddress"] in hosts
    engine.docker("network", "disconnect", "n1", "one")
    assert engine.docker("exec", "one", "cat", "/etc/resolv.conf").lines == ["nameserver 192.0.2.53"]


def test_links_are_a_containers_own_names(engine: Daemon) -> None:
    engine.docker("network", "create", "n1")
    address = start(engine, "database", "--network", "n1")
    start(engine, "one", "--network", "n1", "--link", "database:db")
    start(engine, "two", "--network", "n1")
    assert lookup(engine, "one", "db") == [address] and lookup(engine, "two", "db") == []


def test_resolv_conf_says_what_was_asked_for(engine: Daemon) -> None:
    engine.docker("network", "create", "n1")
    out = engine.docker("run", "--rm", "--network", "n1", "--dns", "192.0.2.53", "--dns-search", "a.test",
                        "--dns-opt", "timeout:1", "busybox", "cat", "/etc/resolv.conf").lines  # fmt: skip
    assert out == ["nameserver 127.0.0.11", "search a.test", "options timeout:1 ndots:0"]
    hosts = engine.docker("run", "--rm", "--network", "n1", "--add-host", "up:host-gateway", "--add-host", "x:192.0.2.1",
                          "busybox", "cat", "/etc/hosts").out  # fmt: skip
    gateway = engine.api("GET", "/networks/n1").body["IPAM"]["Config"][0]["Gateway"]
    assert f"{gateway}\tup\n" in hosts and "192.0.2.1\tx\n" in hosts


def test_what_does_not_fit_into_a_datagram_is_asked_again_over_tcp(engine: Daemon) -> None:
    engine.docker("network", "create", "n1")
    aliases = [word for n in range(40) for word in ("--network-alias", f"a{n}")]
    start(engine, "one", "--network", "n1", *aliases)
    pid = str(engine.inspect("one")["State"]["Pid"])
    asked = subprocess.run(["nsenter", "-t", pid, "-n", sys.executable, "-c", ASK_OVER_TCP.replace("NAME", "a39")],
                           capture_output=True, text=True, timeout=20)  # fmt: skip
    assert asked.stdout.strip() == "1", asked.stderr
    nothing_tracked = engine.docker(
        "exec", "one", "sh", "-c", "cat /proc/net/nf_conntrack 2>/dev/null | wc -l"
    ).out.strip()
    assert nothing_tracked == "0", "names cost no connection tracking in the container"


def test_names_while_the_daemon_is_dead_and_after(make_daemon: object) -> None:
    engine: Daemon = make_daemon()  # type: ignore[operator]
    engine.docker("network", "create", "n1")
    start(engine, "one", "--network", "n1")
    address = start(engine, "two", "--network", "n1")
    pid = str(engine.inspect("one")["State"]["Pid"])
    engine.kill9()
    asked = subprocess.run(["nsenter", "-t", pid, "-n", sys.executable, "-c", ASK_OVER_TCP.replace("NAME", "two")],
                           capture_output=True, text=True, timeout=20)  # fmt: skip
    assert asked.stdout.strip() == "1", asked.stderr
    engine.start()
    assert lookup(engine, "one", "two") == [address]
    netd = next(pid for pid, name in processes(engine) if name == "berth-netd")
    os.kill(netd, signal.SIGKILL)
    eventually(lambda: lookup(engine, "one", "two") == [address], why="netd's successor answers")
    engine.docker("rm", "-f", "two")
    assert lookup(engine, "one", "two") == []


def processes(engine: Daemon) -> list[tuple[int, str]]:
    from harness import leaks

    return list(leaks.processes(engine.instance_id, engine.run_root))
