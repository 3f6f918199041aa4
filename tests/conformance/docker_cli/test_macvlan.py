"""macvlan and ipvlan networks by the stock CLI: the parent is one end of a veth, a LAN neighbour has the other."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from berth.kernel.netlink import link
from berth.kernel.netlink.sock import Netlink
from harness.daemon import Daemon
from harness.eventually import eventually

pytestmark = pytest.mark.root


def knows(kind: str) -> bool:
    with Netlink() as nl:
        return link.knows_kind(nl, kind)


class Lan(NamedTuple):
    parent: str
    neighbour: str  # a network namespace
    subnet: str
    gateway: str


@pytest.fixture
def lan() -> Iterator[Lan]:
    """A link of this host's that leads to a namespace with the gateway's address."""
    tag = f"{os.getpid() % 0xFFFFF:05x}"
    made = Lan(f"bm{tag}", f"berth-test-{tag}", "10.230.77.0/24", "10.230.77.1")
    ip("netns", "add", made.neighbour)
    try:
        ip("link", "add", made.parent, "type", "veth", "peer", "name", "eth0", "netns", made.neighbour)
        ip("link", "set", made.parent, "up")
        ip("-n", made.neighbour, "address", "add", f"{made.gateway}/24", "dev", "eth0")
        ip("-n", made.neighbour, "link", "set", "eth0", "up")
        ip("-n", made.neighbour, "link", "set", "lo", "up")
        ip("-n", made.neighbour, "address", "add", "192.0.2.1/32", "dev", "lo")
        yield made
    finally:
        ip("netns", "delete", made.neighbour)
        subprocess.run(["ip", "link", "delete", made.parent], capture_output=True)


def ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


def reaches(engine: Daemon, container: str, *target: str) -> None:
    """A busy machine may lose the very first packet: a new link's queue is made by a worker of the kernel's."""
    command = ("exec", container, "ping", "-c1", "-W2", *target)
    eventually(lambda: engine.docker(*command, check=False).code == 0, why=f"{container} reaches {target[-1]}")


@pytest.fixture
def network(engine: Daemon, lan: Lan) -> Iterator[str]:
    engine.docker("network", "create", "-d", "macvlan", "--subnet", lan.subnet, "--gateway", lan.gateway,
                  "-o", f"parent={lan.parent}", "mac")  # fmt: skip
    yield "mac"
    engine.remove_all()


def test_a_container_is_on_the_lan(engine: Daemon, lan: Lan, network: str) -> None:
    """It has a MAC and an address of its own, the LAN's gateway, and the world behind it; the neighbour sees who asks."""
    engine.docker("run", "-d", "--name", "mm", "--network", network, "--ip", "10.230.77.9", "--mac-address",
                  "02:00:00:00:77:09", "busybox", "sleep", "1000")  # fmt: skip
    reaches(engine, "mm", lan.gateway)
    reaches(engine, "mm", "192.0.2.1")
    assert "10.230.77.9 dev eth0 lladdr 02:00:00:00:77:09" in ip("-n", lan.neighbour, "neigh")
    shown = engine.inspect("mm")["NetworkSettings"]["Networks"]["mac"]
    assert (shown["IPAddress"], shown["Gateway"], shown["MacAddress"]) == (
        "10.230.77.9",
        lan.gateway,
        "02:00:00:00:77:09",
    )


def test_containers_see_one_another_by_name(engine: Daemon, network: str) -> None:
    engine.docker("run", "-d", "--name", "one", "--network", network, "busybox", "sleep", "1000")
    assert engine.docker("run", "--rm", "--network", network, "busybox", "ping", "-c1", "-W2", "one").code == 0


def test_connect_and_disconnect_a_running_container(engine: Daemon, lan: Lan, network: str) -> None:
    engine.docker("run", "-d", "--name", "cc", "busybox", "sleep", "1000")
    engine.docker("network", "connect", network, "cc")
    reaches(engine, "cc", "-I", "eth1", lan.gateway)
    engine.docker("network", "disconnect", network, "cc")
    assert "eth1" not in engine.docker("exec", "cc", "ip", "link").out
    assert engine.docker("exec", "cc", "ip", "route").out.startswith("default via")


def test_options_that_make_no_sense(engine: Daemon, lan: Lan) -> None:
    def error(*options: str) -> str:
        words = [w for option in options for w in ("-o", option)]
        made = engine.docker("network", "create", "-d", "macvlan", *words, "bad", check=False)
        assert made.code == 1
        return made.err

    assert "requested macvlan mode 'wild' is not valid, 'bridge' mode is the macvlan driver default" in error(
        f"parent={lan.parent}", "macvlan_mode=wild"
    )
    assert "requested parent interface nosuch0 was not found on this host" in error("parent=nosuch0")
    assert "invalid VLAN in parent interface" in error(f"parent={lan.parent}.5000")


def test_passthru_wants_its_parent_alone(engine: Daemon, lan: Lan, network: str) -> None:
    refused = engine.docker(
        "network",
        "create",
        "-d",
        "macvlan",
        "-o",
        f"parent={lan.parent}",
        "-o",
        "macvlan_mode=passthru",
        "alone",
        check=False,
    )
    assert "cannot use mode passthru, macvlan network" in refused.err
    refused = engine.docker("network", "create", "-d", "ipvlan", "-o", f"parent={lan.parent}", "other", check=False)
    assert f"network mac (macvlan) is already using parent interface {lan.parent}" in refused.err


@pytest.mark.parametrize("mode", ["bridge", "passthru"])
def test_a_predecessor_that_the_kernel_takes_down_in_its_own_time(engine: Daemon, lan: Lan, mode: str) -> None:
    """Its interface has the MAC (with passthru, the parent) for a moment after the container has ended."""
    mac = "02:00:00:00:77:0a"
    engine.docker("network", "create", "-d", "macvlan", "--subnet", lan.subnet, "-o", f"parent={lan.parent}", "-o",
                  f"macvlan_mode={mode}", "mac")  # fmt: skip
    try:
        ip(
            "link",
            "add",
            "link",
            lan.parent,
            "name",
            "old",
            "netns",
            lan.neighbour,
            "address",
            mac,
            "type",
            "macvlan",
            "mode",
            mode,
        )
        ip("-n", lan.neighbour, "link", "set", "old", "up")
        started = engine.docker_popen("run", "-d", "--name", "mm", "--network", "mac", "--mac-address", mac, "busybox", "sleep",
                                      "1000")  # fmt: skip
        eventually(lambda: engine.docker("ps", "-aq", "-f", "name=mm").lines)
        with pytest.raises(subprocess.TimeoutExpired):
            started.wait(1)
        ip("-n", lan.neighbour, "link", "delete", "old")
        assert started.wait(60) == 0
        reaches(engine, "mm", lan.gateway)
        for _ in range(3):
            engine.docker("restart", "-t0", "mm")
        reaches(engine, "mm", lan.gateway)
    finally:
        engine.remove_all()


def test_nothing_can_be_published_there(engine: Daemon, network: str) -> None:
    engine.docker("run", "-d", "--name", "pp", "--network", network, "-p", "8080", "busybox", "sleep", "1000")
    assert engine.docker("port", "pp").out == ""


@pytest.mark.parametrize("kind", ["vlan", "dummy"])
def test_parents_of_our_own(engine: Daemon, lan: Lan, kind: str) -> None:
    """A VLAN of the parent, or a dummy where there is no parent: made and removed with the network, or the reason why not."""
    options = ["-o", f"parent={lan.parent}.50"] if kind == "vlan" else []
    made = engine.docker("network", "create", "-d", "macvlan", *options, "own", check=False)
    if not knows(kind):
        assert "this kernel has no " + ("802.1Q VLANs" if kind == "vlan" else "dummy links") in made.err
        return
    name = f"{lan.parent}.50" if kind == "vlan" else f"dm-{made.out[:12]}"
    assert name in ip("-br", "link")
    assert engine.docker("run", "--rm", "--network", "own", "busybox", "ip", "address", "show", "eth0").code == 0
    engine.docker("network", "rm", "own")
    assert name not in ip("-br", "link")


@pytest.mark.parametrize("mode", ["l2", "l3", "l3s"])
def test_ipvlan(engine: Daemon, lan: Lan, mode: str) -> None:
    made = engine.docker(
        "network", "create", "-d", "ipvlan", "--subnet", lan.subnet, "--gateway", lan.gateway, "-o", f"parent={lan.parent}",
        "-o", f"ipvlan_mode={mode}", "ipv", check=False,
    )  # fmt: skip
    if not knows("ipvlan"):
        assert "this kernel has no ipvlan links (module ipvlan)" in made.err
        return
    try:
        engine.docker(
            "run", "-d", "--name", "ii", "--network", "ipv", "--ip", "10.230.77.20", "busybox", "sleep", "1000"
        )
        wanted = f"default via {lan.gateway}" if mode == "l2" else "default dev eth0"
        assert wanted in engine.docker("exec", "ii", "ip", "route").out
        if mode != "l2":  # the host routes for it: the host needs an address there, and the LAN a way back
            ip("address", "add", "10.230.77.9/24", "dev", lan.parent)
            ip("-n", lan.neighbour, "route", "add", "10.230.77.20/32", "via", "10.230.77.9")
        reaches(engine, "ii", lan.gateway)
    finally:
        engine.remove_all()
