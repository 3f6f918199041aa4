"""Overlay networks over two hosts that share a real etcd: two daemons in namespaces of their own, on a wire."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from berth.kernel.netlink.xfrm import has_esp
from harness.eventually import eventually
from harness.hosts import KEYS, Hosts, address, names, network, pings, run

pytestmark = pytest.mark.root

_UNFRAGMENTED = """
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER: always don't fragment
sock.settimeout(2)
try:
    sock.sendto(bytes(int(sys.argv[2])), (sys.argv[1], 80))
    print(sock.recv(100).decode())
except OSError as err:
    print(err.strerror)
"""


@pytest.fixture(scope="module")
def _hosts() -> Iterator[Hosts]:
    with ExitStack() as stack:
        yield Hosts(stack)


@pytest.fixture
def hosts(_hosts: Hosts) -> Iterator[Hosts]:
    yield _hosts
    _hosts.east.remove_all()
    _hosts.west.remove_all()
    _hosts.east.remove_all()  # a network that west had containers in
    assert not _hosts.etcd.keys(f"{KEYS}networks/")


def test_a_network_is_everybodys(hosts: Hosts) -> None:
    made = hosts.east.docker("network", "create", "-d", "overlay", "--label", "of=both", "wide").out.strip()
    eventually(lambda: "wide" in names(hosts.west), why="west has learned it")
    east, west = network(hosts.east, "wide"), network(hosts.west, "wide")
    assert (west["Id"], west["Scope"], west["Labels"], west["Driver"]) == (made, "global", {"of": "both"}, "overlay")
    assert east["IPAM"] == west["IPAM"] and east["IPAM"]["Config"][0]["Subnet"] == "10.0.0.0/24"
    refused = hosts.west.docker("network", "create", "-d", "overlay", "wide", check=False)
    assert "network with name wide already exists" in refused.err
    hosts.west.docker("network", "create", "-d", "overlay", "second")
    assert network(hosts.west, "second")["IPAM"]["Config"][0]["Subnet"] == "10.0.1.0/24"
    hosts.west.docker("network", "rm", "wide")
    eventually(lambda: "wide" not in names(hosts.east), why="east has forgotten it")


def test_names_and_traffic_both_ways(hosts: Hosts) -> None:
    hosts.east.docker("network", "create", "-d", "overlay", "wide")
    eventually(lambda: "wide" in names(hosts.west))
    run(hosts.east, "sun", "--network", "wide", "--network-alias", "light")
    run(hosts.west, "moon", "--network", "wide")
    for daemon, container, target in (
        (hosts.east, "sun", "moon"),
        (hosts.west, "moon", "sun"),
        (hosts.west, "moon", "light"),
    ):
        eventually(lambda d=daemon, c=container, t=target: pings(d, c, t), why=f"{container} reaches {target}")
    hosts.west.serve("moon")
    assert (
        hosts.east.ask_from("sun", address(hosts.west, "moon", "wide"), 80)
        == f"from {address(hosts.east, 'sun', 'wide')}"
    )
    answer = hosts.east.docker("exec", "sun", "nslookup", address(hosts.west, "moon", "wide")).out
    assert "moon.wide" in answer
    assert network(hosts.west, "wide")["Peers"] == [
        {"Name": network(hosts.west, "wide")["Peers"][0]["Name"], "IP": "10.99.0.1"}
    ]
    hosts.west.docker("rm", "-f", "moon")
    eventually(lambda: not pings(hosts.east, "sun", "moon"), why="a removed container's name is gone")


def test_every_frame_that_fits_the_network_crosses(hosts: Hosts) -> None:
    """1500 of the wire, 50 for VXLAN: what fits in 1450 crosses without fragments, one byte more is refused at its source."""
    hosts.east.docker("network", "create", "-d", "overlay", "wide")
    eventually(lambda: "wide" in names(hosts.west))
    run(hosts.east, "sun", "--network", "wide")
    run(hosts.west, "moon", "--network", "wide")
    eventually(lambda: pings(hosts.east, "sun", "moon"))
    hosts.west.serve("moon")
    pid, moon = hosts.east.inspect("sun")["State"]["Pid"], address(hosts.west, "moon", "wide")
    sent = [
        hosts.east_room.run("nsenter", "-t", str(pid), "-n", "--", sys.executable, "-c", _UNFRAGMENTED, moon, str(size))
        for size in (1422, 1423)
    ]
    assert sent == [f"from {address(hosts.east, 'sun', 'wide')}\n", "Message too long\n"]


def test_addresses_are_nobody_elses(hosts: Hosts) -> None:
    """Each host gives addresses of its own blocks, with its own gateway; an asked-for address is taken in the store."""
    hosts.east.docker(
        "network", "create", "-d", "overlay", "--subnet", "10.77.0.0/24", "--gateway", "10.77.0.1", "wide"
    )
    eventually(lambda: "wide" in names(hosts.west))
    run(hosts.east, "sun", "--network", "wide")
    run(hosts.west, "moon", "--network", "wide")
    assert (address(hosts.east, "sun", "wide"), address(hosts.west, "moon", "wide")) == ("10.77.0.2", "10.77.0.17")
    assert [network(d, "wide")["IPAM"]["Config"][0]["Gateway"] for d in (hosts.east, hosts.west)] == [
        "10.77.0.1",
        "10.77.0.16",
    ]
    run(hosts.west, "asked", "--network", "wide", "--ip", "10.77.0.3")  # in east's block
    refused = hosts.east.docker("run", "--rm", "--network", "wide", "--ip", "10.77.0.3", "busybox", "true", check=False)
    assert refused.code == 125 and "Address already in use" in refused.err
    refused = hosts.east.docker(
        "run", "--rm", "--network", "wide", "--ip", "10.77.0.16", "busybox", "true", check=False
    )
    assert "Address already in use" in refused.err  # west's gateway
    run(hosts.east, "next", "--network", "wide")
    assert address(hosts.east, "next", "wide") == "10.77.0.4"
    hosts.west.docker("rm", "-f", "asked")
    key = f"{KEYS}addresses/{network(hosts.east, 'wide')['Id']}/10.77.0.3"
    eventually(lambda: not hosts.etcd.keys(key), why="the address is free again")
    run(hosts.east, "later", "--network", "wide", "--ip", "10.77.0.3")
    eventually(lambda: pings(hosts.west, "moon", "later"))


def test_a_full_block_is_followed_by_another(hosts: Hosts) -> None:
    hosts.east.docker("network", "create", "-d", "overlay", "--subnet", "10.78.0.0/27", "wide")  # blocks of eight
    eventually(lambda: "wide" in names(hosts.west))
    run(hosts.west, "moon", "--network", "wide")
    for number in range(8):
        run(hosts.east, f"sun{number}", "--network", "wide")
    given = [address(hosts.east, f"sun{n}", "wide") for n in range(8)]
    assert given[-1] == "10.78.0.16" and len(set(given)) == 8
    eventually(lambda: pings(hosts.west, "moon", "sun7"))


def test_a_network_in_use_elsewhere_stays(hosts: Hosts) -> None:
    hosts.east.docker("network", "create", "-d", "overlay", "wide")
    eventually(lambda: "wide" in names(hosts.west))
    run(hosts.west, "moon", "--network", "wide")
    refused = hosts.east.docker("network", "rm", "wide", check=False)
    assert refused.code == 1 and 'has active endpoints (name:"moon" id:' in refused.err
    assert "wide" in names(hosts.east)


def test_both_ip_versions(hosts: Hosts) -> None:
    hosts.east.docker("network", "create", "-d", "overlay", "--ipv6", "--subnet", "fd00:99::/64", "wide")
    eventually(lambda: "wide" in names(hosts.west))
    run(hosts.east, "sun", "--network", "wide")
    run(hosts.west, "moon", "--network", "wide")
    eventually(lambda: pings(hosts.east, "sun", "moon", "-6"))
    eventually(lambda: pings(hosts.west, "moon", "sun", "-4"))


def test_links_that_are_taken_away_come_back(hosts: Hosts) -> None:
    """The VXLAN link, the bridge and a container's own, deleted from either side: back in a moment, and the traffic with it."""
    made = hosts.east.docker("network", "create", "-d", "overlay", "wide").out.strip()
    eventually(lambda: "wide" in names(hosts.west))
    run(hosts.east, "sun", "--network", "wide")
    run(hosts.west, "moon", "--network", "wide")
    eventually(lambda: pings(hosts.east, "sun", "moon"))
    moon_pid = str(hosts.west.inspect("moon")["State"]["Pid"])

    bridge, tunnel = f"ov-{made[:12]}", f"vx-{made[:12]}"

    def ports() -> set[str]:
        listed = hosts.west_room.run("ip", "-o", "link", "show", "master", bridge, check=False).splitlines()
        return {line.split(": ")[1].split("@")[0] for line in listed}

    before = ports()
    (outer,) = before - {tunnel}
    for name in (tunnel, bridge, outer, "eth0"):
        inside = ("nsenter", "-t", moon_pid, "-n", "--") if name == "eth0" else ()
        hosts.west_room.run(*inside, "ip", "link", "delete", name)
        eventually(lambda: ports() == before, 2, why=f"{name} is back")
        eventually(
            lambda: pings(hosts.east, "sun", "moon") and pings(hosts.west, "moon", "sun"), 15, why=f"by {name} too"
        )


def test_a_host_that_leaves_and_returns(hosts: Hosts) -> None:
    """Killed: its names go when its lease ends, its containers' traffic stays; started again, they are back."""
    hosts.east.docker("network", "create", "-d", "overlay", "wide")
    eventually(lambda: "wide" in names(hosts.west))
    run(hosts.east, "sun", "--network", "wide")
    run(hosts.west, "moon", "--network", "wide")
    eventually(lambda: pings(hosts.east, "sun", "moon"))
    moon, sun_pid = address(hosts.west, "moon", "wide"), hosts.east.inspect("sun")["State"]["Pid"]
    hosts.west.kill9()
    assert pings(hosts.east, "sun", "moon"), "a dead daemon's containers are reached by name until its lease ends"
    eventually(lambda: not pings(hosts.east, "sun", "moon"), 15, why="the names are gone")
    hosts.east_room.run("nsenter", "-t", str(sun_pid), "-n", "ip", "neigh", "flush", "all")
    assert pings(hosts.east, "sun", moon), "the traffic goes on, by new neighbours too"
    hosts.west.start()
    eventually(lambda: pings(hosts.east, "sun", "moon"), 15, why="the names are back")
    assert pings(hosts.west, "moon", "sun")


def test_the_store_is_away_for_a_while(hosts: Hosts) -> None:
    """Traffic and names go on, containers start on this host's own addresses, what cannot be known is refused; then all is
    made up for."""
    hosts.east.docker("network", "create", "-d", "overlay", "--subnet", "10.79.0.0/24", "wide")
    hosts.east.docker("network", "create", "-d", "overlay", "empty")
    eventually(lambda: "wide" in names(hosts.west))
    run(hosts.east, "sun", "--network", "wide")
    run(hosts.west, "moon", "--network", "wide")
    eventually(lambda: pings(hosts.east, "sun", "moon"))
    hosts.etcd.kill()
    for words in (
        ("network", "create", "-d", "overlay", "third"), ("network", "rm", "empty"),
        ("run", "--rm", "--network", "empty", "busybox", "true"),
        ("run", "--rm", "--network", "wide", "--ip", "10.79.0.200", "busybox", "true"),
    ):  # fmt: skip
        refused = hosts.east.docker(*words, check=False)
        assert refused.code and "cluster store" in refused.err and "does not answer" in refused.err, words
    run(hosts.east, "queued", "--network", "wide")
    hosts.west.docker("rm", "-f", "moon")
    run(hosts.west, "later", "--network", "wide")
    assert pings(hosts.east, "sun", "queued")
    hosts.east.kill9()
    hosts.east.start()  # without the store it knows its networks, and netd has the names
    assert pings(hosts.west, "later", "sun") and pings(hosts.west, "later", address(hosts.east, "queued", "wide"))
    hosts.etcd.start()
    eventually(lambda: pings(hosts.west, "later", "queued"), 20, why="what was queued is known")
    eventually(lambda: pings(hosts.east, "sun", "later"), 20)
    eventually(lambda: not pings(hosts.east, "sun", "moon"), why="what went meanwhile is forgotten")
    hosts.east.docker("network", "rm", "empty")


def test_what_cannot_be_encrypted_is_not_sent(hosts: Hosts) -> None:
    """A network that a host whose kernel encrypts has made: where the kernel cannot, nothing of it is there, and it is said."""
    if has_esp():
        return  # tests/vm/test_overlay_encrypted.py
    hosts.east.docker("network", "create", "-d", "overlay", "plain")
    ((key, made),) = hosts.etcd.keys(f"{KEYS}networks/").items()
    secret = "5ec2e7" + made["id"][6:]
    changed = {
        "id": secret,
        "name": "secret",
        "vni": made["vni"] + 1,
        "options": {"encrypted": ""},
        "link": "ov-secret",
    }
    hosts.etcd.put(key.replace(made["id"], secret), made | changed)
    eventually(lambda: "secret" in names(hosts.west))
    for _ in range(2):
        refused = hosts.west.docker("run", "--rm", "--network", "secret", "busybox", "true", check=False)
        assert refused.code == 125 and "cannot be encrypted on this host" in refused.err
    assert f"vx-{secret[:12]}" not in hosts.west_room.run("ip", "link")
