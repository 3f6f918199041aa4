"""The default bridge: IPv6, another than docker0, the host's own name and resolvers. Daemons in rooms of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from harness.eventually import eventually
from harness.rooms import Lan, Room, RoomDaemon

pytestmark = pytest.mark.root

HOST6, NEIGHBOUR6 = Lan.HOST6, Lan.NEIGHBOUR6


@pytest.fixture
def room() -> Iterator[Room]:
    made = Room()
    yield made
    made.close()


@pytest.fixture
def start(room: Room) -> Iterator[Callable[..., RoomDaemon]]:
    """A daemon in the room, with busybox where it is asked for."""
    daemons: list[RoomDaemon] = []

    def make(*flags: str, busybox: bool = True) -> RoomDaemon:
        daemons.append(RoomDaemon(room, *flags))
        daemons[-1].start()
        if busybox:
            daemons[-1].load_busybox()
        return daemons[-1]

    yield make
    for daemon in daemons:
        daemon.close()


def subnets(engine: RoomDaemon, network: str = "bridge") -> list[dict[str, str]]:
    return list(engine.api("GET", f"/networks/{network}").body["IPAM"]["Config"])


def test_ipv6_on_the_default_bridge() -> None:
    with Lan("--ipv6", "--fixed-cidr-v6", "fd00:17::/64") as lan:
        networks = lan.daemon.start_container("web", "-p", "8080:80")
        lan.daemon.start_container("other", serving=0)
        assert lan.address(networks, "GlobalIPv6Address") == "fd00:17::2"
        assert lan.address(networks, "IPv6Gateway") == "fd00:17::1"
        assert lan.daemon.inspect("web")["NetworkSettings"]["GlobalIPv6Address"] == "fd00:17::2"
        assert lan.neighbour.ask(HOST6, 8080) == f"from {NEIGHBOUR6}", "translated by the kernel: the address is kept"
        assert lan.daemon.ask_from("web", NEIGHBOUR6, 7) == f"from {HOST6}"
        assert lan.daemon.ask_from("other", "fd00:17::2", 80)
        assert lan.neighbour.ask("fd00:17::2", 80, timeout_s=0.4) == ""
        assert "fd00:17::2\t" in lan.daemon.docker("exec", "web", "cat", "/etc/hosts").out
        lan.daemon.restart()
        assert lan.neighbour.ask(HOST6, 8080) == f"from {NEIGHBOUR6}"


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        (["--bip6", "fd00:18::5/64", "--fixed-cidr-v6", "fd00:18::100/120"],
         {"Subnet": "fd00:18::/64", "Gateway": "fd00:18::5", "IPRange": "fd00:18::100/120"}),
        (["--default-address-pool", "base=fd00:19::/48,size=64", "--default-address-pool", "base=172.30.0.0/16,size=24"],
         {"Subnet": "fd00:19::/64", "Gateway": "fd00:19::1"}),
    ],
)  # fmt: skip
def test_which_ipv6_subnet(start: Callable[..., RoomDaemon], flags: list[str], wanted: dict[str, str]) -> None:
    assert subnets(start("--ipv6", *flags, busybox=False))[1] == wanted


def test_another_default_gateway(start: Callable[..., RoomDaemon]) -> None:
    engine = start(
        "--bip", "172.31.5.1/24", "--default-gateway", "172.31.5.254",
        "--ipv6", "--fixed-cidr-v6", "fd00:31::/64", "--default-gateway-v6", "fd00:31::ff",
    )  # fmt: skip
    assert [each["AuxiliaryAddresses"] for each in subnets(engine)] == [
        {"DefaultGatewayIPv4": "172.31.5.254"}, {"DefaultGatewayIPv6": "fd00:31::ff"},
    ]  # fmt: skip
    bridge = engine.start_container("web")["bridge"]
    assert (bridge["Gateway"], bridge["IPv6Gateway"]) == ("172.31.5.254", "fd00:31::ff")
    assert engine.docker("exec", "web", "ip", "route").lines[0].strip() == "default via 172.31.5.254 dev eth0"
    engine.docker(
        "network", "create", "--subnet", "10.77.0.0/24", "--aux-address", "DefaultGatewayIPv4=10.77.0.9", "n1"
    )
    assert engine.start_container("other", "--network", "n1")["n1"]["Gateway"] == "10.77.0.9"
    engine.docker("network", "connect", "n1", "web")
    engine.docker("network", "disconnect", "bridge", "web")
    assert engine.docker("exec", "web", "ip", "route").lines[0].strip() == "default via 10.77.0.9 dev eth1"
    engine.flags = []
    engine.restart()
    assert "AuxiliaryAddresses" not in subnets(engine)[0]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--bip", "172.31.5.1/24", "--default-gateway", "10.9.9.9"],
         "auxiliary address: (DefaultGatewayIPv4:10.9.9.9) must belong to the master pool: 172.31.5.0/24"),
        (["--bip", "172.31.5.1/24", "--default-gateway", "172.31.5.1"],
         "failed to allocate secondary ip address (DefaultGatewayIPv4:172.31.5.1): Address already in use"),
    ],
)  # fmt: skip
def test_a_default_gateway_that_cannot_be(room: Room, flags: list[str], said: str) -> None:
    engine = RoomDaemon(room, *flags)
    try:
        with pytest.raises(RuntimeError):
            engine.start()
        assert said in engine.log()
    finally:
        engine.close()


def test_a_subnet_of_its_own_that_stays(start: Callable[..., RoomDaemon]) -> None:
    engine = start("--ipv6", busybox=False)
    found = subnets(engine)[1]
    assert found["Subnet"].startswith("fd") and found["Subnet"].endswith("/64")
    engine.restart()
    assert subnets(engine)[1] == found


def test_another_bridge_where_docker0_is_somebody_elses(room: Room, start: Callable[..., RoomDaemon]) -> None:
    room.run("ip", "link", "add", "docker0", "type", "bridge")
    room.run("ip", "address", "add", "172.17.0.1/16", "dev", "docker0")
    engine = start(busybox=False)
    note = "the default bridge is berth0 (172.18.0.0/16): docker0 is somebody else's"
    assert note in engine.docker("info").err + engine.docker("info").out and note in engine.log()
    assert engine.api("GET", "/networks/bridge").body["Options"]["com.docker.network.bridge.name"] == "berth0"


def test_default_network_options(start: Callable[..., RoomDaemon]) -> None:
    engine = start("--default-network-opt", "bridge=com.docker.network.driver.mtu=1300", busybox=False)
    engine.docker("network", "create", "n1")
    engine.docker("network", "create", "-o", "com.docker.network.driver.mtu=1400", "n2")
    found = [engine.api("GET", f"/networks/{n}").body["Options"] for n in ("n1", "n2")]
    assert found == [{"com.docker.network.driver.mtu": "1300"}, {"com.docker.network.driver.mtu": "1400"}]


def test_static_ipv6_address(start: Callable[..., RoomDaemon]) -> None:
    engine = start()
    engine.docker("network", "create", "--subnet", "172.30.0.0/24", "--ipv6", "--subnet", "fd00:30::/64", "n1")
    engine.start_container("web", "--network", "n1", "--ip", "172.30.0.9", "--ip6", "fd00:30::9")
    assert engine.inspect("web")["NetworkSettings"]["Networks"]["n1"]["GlobalIPv6Address"] == "fd00:30::9"
    assert engine.ask_from("web", "fd00:30::9", 80)
    taken = engine.docker("run", "--rm", "--network", "n1", "--ip6", "fd00:30::9", "busybox", "true", check=False)
    assert taken.code == 125 and "Address already in use" in taken.err


def test_the_host_has_a_name(room: Room, start: Callable[..., RoomDaemon]) -> None:
    engine = start()
    room.serve(7)
    engine.docker("network", "create", "n1")
    for network in ("bridge", "n1"):
        engine.start_container(f"of-{network}", "--network", network, serving=0)
        gateway = subnets(engine, network)[0]["Gateway"]
        hosts = engine.docker("exec", f"of-{network}", "cat", "/etc/hosts").out
        assert f"{gateway}\thost.docker.internal\n" in hosts
        said = engine.docker("exec", f"of-{network}", "nc", "-w", "2", "host.docker.internal", "7", check=False).out
        assert said.startswith("from 172."), said
    engine.docker("network", "connect", "n1", "of-bridge")
    engine.docker("network", "disconnect", "bridge", "of-bridge")
    hosts = engine.docker("exec", "of-bridge", "cat", "/etc/hosts").out
    assert hosts.count("host.docker.internal") == 1 and f"{subnets(engine, 'n1')[0]['Gateway']}\thost.docker" in hosts
    own = engine.docker(
        "run", "--rm", "--add-host", "host.docker.internal:192.0.2.9", "busybox", "cat", "/etc/hosts"
    ).out
    assert own.count("host.docker.internal") == 1 and "192.0.2.9\thost.docker.internal\n" in own
    for mode in ("none", "host"):
        assert "host.docker" not in engine.docker("run", "--rm", "--network", mode, "busybox", "cat", "/etc/hosts").out


def test_resolvers_of_the_host_are_followed(room: Room, start: Callable[..., RoomDaemon]) -> None:
    room.own_etc()
    room.write("/etc/resolv.conf", "nameserver 192.0.2.53\nsearch a.test\n")
    engine = start()
    engine.docker("network", "create", "n1")
    engine.start_container("plain", serving=0)
    engine.start_container("named", "--network", "n1", serving=0)
    engine.start_container("given", "--dns", "192.0.2.99", serving=0)
    engine.start_container("edited", serving=0)
    engine.docker("exec", "edited", "sh", "-c", "echo nameserver 192.0.2.1 > /etc/resolv.conf")
    lines = lambda name: engine.docker("exec", name, "cat", "/etc/resolv.conf").lines  # noqa: E731
    assert lines("plain") == ["nameserver 192.0.2.53", "search a.test"]
    room.write("/etc/resolv.conf.new", "nameserver 192.0.2.54\nsearch b.test\n")
    room.run("mv", "/etc/resolv.conf.new", "/etc/resolv.conf")
    eventually(lambda: lines("plain") == ["nameserver 192.0.2.54", "search b.test"], 2, why="within two seconds")
    assert lines("named") == ["nameserver 127.0.0.11", "search b.test", "options ndots:0"]
    assert lines("given") == ["nameserver 192.0.2.99", "search b.test"] and lines("edited") == ["nameserver 192.0.2.1"]
    room.write("/etc/resolv.conf", "nameserver 192.0.2.55\n")
    eventually(lambda: lines("plain") == ["nameserver 192.0.2.55"], 2, why="written in place too")
    eventually(lambda: "192.0.2.55" in room.run("cat", f"{engine.run_root}/resolv.conf"), why="noted, then it may die")
    engine.kill9()
    room.write("/etc/resolv.conf", "nameserver 192.0.2.56\n")
    engine.start()
    eventually(lambda: lines("plain") == ["nameserver 192.0.2.56"], 2, why="it changed while no daemon was there")
    assert lines("edited") == ["nameserver 192.0.2.1"]
