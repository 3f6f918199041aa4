"""macvlan and ipvlan on VLANs, dummies and in the l3 modes, with traffic. Needs a kernel with 802.1Q, ipvlan and dummy."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from harness.eventually import eventually
from harness.rooms import Lan, RoomDaemon

pytestmark = [pytest.mark.vm, pytest.mark.root]


def links(lan: Lan) -> set[str]:
    return {line.split(": ")[1].split("@")[0] for line in lan.host.run("ip", "-o", "link").splitlines()}


def run(engine: RoomDaemon, name: str, network: str, *flags: str) -> str:
    engine.docker("run", "-d", "--name", name, "--network", network, *flags, "busybox", "sleep", "10000")
    return str(engine.inspect(name)["NetworkSettings"]["Networks"][network]["IPAddress"])


def details(engine: RoomDaemon, container: str) -> str:
    pid = engine.inspect(container)["State"]["Pid"]
    command = ["nsenter", "-t", str(pid), "-n", "--", "ip", "-d", "link", "show", "eth0"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def pings(engine: RoomDaemon, container: str, target: str) -> bool:
    return engine.docker("exec", container, "ping", "-c1", "-W3", target, check=False).code == 0


def reaches(engine: RoomDaemon, container: str, target: str) -> None:
    eventually(lambda: pings(engine, container, target), why=f"{container} reaches {target}")


@pytest.fixture
def vlan(lan: Lan) -> Iterator[str]:
    """The neighbour's end of VLAN 50."""
    lan.neighbour.run("ip", "link", "add", "link", "w0", "name", "w0.50", "type", "vlan", "id", "50")
    lan.neighbour.run("ip", "address", "add", "10.50.0.1/24", "dev", "w0.50")
    lan.neighbour.run("ip", "link", "set", "w0.50", "up")
    yield "w0.50"
    lan.neighbour.run("ip", "link", "delete", "w0.50")


@pytest.mark.parametrize("driver", ["macvlan", "ipvlan"])
def test_a_vlan_is_made_and_removed_with_its_network(lan: Lan, engine: RoomDaemon, vlan: str, driver: str) -> None:
    def create(name: str, subnet: str, *more: str) -> None:
        engine.docker("network", "create", "-d", driver, "--subnet", subnet, "-o", "parent=w0.50", *more, name)

    create("tagged", "10.50.0.0/24", "--gateway", "10.50.0.1")
    assert "vlan protocol 802.1Q id 50" in lan.host.run("ip", "-d", "link", "show", "w0.50")
    address = run(engine, "one", "tagged")
    reaches(engine, "one", "10.50.0.1")
    assert f"{address} dev {vlan} " in lan.neighbour.run("ip", "neigh"), "it came in the VLAN"
    engine.kill9()
    engine.start()
    reaches(engine, "one", "10.50.0.1")
    create("beside", "10.51.0.0/24")
    engine.docker("network", "rm", "beside")
    reaches(engine, "one", "10.50.0.1")
    engine.docker("rm", "-f", "one")
    engine.docker("network", "rm", "tagged")
    assert "w0.50" not in links(lan)


def test_a_vlan_that_was_there_stays(lan: Lan, engine: RoomDaemon, vlan: str) -> None:
    lan.host.run("ip", "link", "add", "link", "w0", "name", "w0.50", "type", "vlan", "id", "50")
    lan.host.run("ip", "link", "set", "w0.50", "up")
    try:
        engine.docker("network", "create", "-d", "macvlan", "--subnet", "10.50.0.0/24", "--gateway", "10.50.0.1", "-o",
                      "parent=w0.50", "tagged")  # fmt: skip
        run(engine, "one", "tagged")
        reaches(engine, "one", "10.50.0.1")
        engine.docker("rm", "-f", "one")
        engine.docker("network", "rm", "tagged")
        assert "w0.50" in links(lan)
    finally:
        lan.host.run("ip", "link", "delete", "w0.50")


@pytest.mark.parametrize("mode", ["l2", "l3", "l3s"])
def test_ipvlan_both_ways(lan: Lan, engine: RoomDaemon, mode: str) -> None:
    """The containers and the neighbour reach one another; in the l3 modes the host routes, and in l3s its firewall has a say."""
    engine.docker("network", "create", "-d", "ipvlan", "--subnet", "192.0.2.0/24", "--gateway", lan.NEIGHBOUR, "-o",
                  "parent=w0", "-o", f"ipvlan_mode={mode}", "ipv")  # fmt: skip
    one = run(engine, "one", "ipv", "--ip", "192.0.2.20")
    two = run(engine, "two", "ipv", "--ip", "192.0.2.21")
    assert f"ipvlan  mode {mode} bridge" in details(engine, "one")
    assert lan.host.run("cat", "/sys/class/net/w0/address").strip() in details(engine, "one"), "the parent's MAC"
    if mode != "l2":
        lan.neighbour.run("ip", "route", "replace", "192.0.2.16/28", "via", lan.HOST)
    try:
        reaches(engine, "one", lan.NEIGHBOUR)
        reaches(engine, "one", two)
        reaches(engine, "one", "two")
        engine.serve("one")
        assert eventually(lambda: lan.neighbour.ask(one, 80)) == f"from {lan.NEIGHBOUR}"
        lan.host.run("nft", "add table ip hosts; add chain ip hosts in { type filter hook input priority 0; };"
                     f"add rule ip hosts in ip daddr {one} drop")  # fmt: skip
        assert bool(lan.neighbour.ask(one, 80, timeout_s=5)) == (mode != "l3s")
    finally:
        lan.host.run("nft", "delete", "table", "ip", "hosts", check=False)
        lan.neighbour.run("ip", "route", "delete", "192.0.2.16/28", check=False)


@pytest.mark.parametrize("driver", ["macvlan", "ipvlan"])
def test_without_a_parent_nobody_else_is_there(lan: Lan, engine: RoomDaemon, driver: str) -> None:
    before = links(lan)
    made = engine.docker("network", "create", "-d", driver, "--subnet", "10.52.0.0/24", "own").out.strip()
    dummy = f"{'dm' if driver == 'macvlan' else 'di'}-{made[:12]}"
    assert links(lan) - before == {dummy}
    assert "dummy" in lan.host.run("ip", "-d", "link", "show", dummy)
    run(engine, "one", "own")
    run(engine, "two", "own")
    reaches(engine, "one", "two")
    assert engine.docker("exec", "one", "ip", "route").out.strip() == "10.52.0.0/24 dev eth0 scope link  src 10.52.0.2"
    engine.docker("rm", "-f", "one", "two")
    engine.docker("network", "rm", "own")
    assert links(lan) == before
