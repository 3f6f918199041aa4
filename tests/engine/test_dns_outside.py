"""Names that a container's networks do not know: forwarded to a stand-in resolver on the LAN, or not at all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.eventually import eventually
from harness.resolver import Reply, StandIn, ask
from harness.rooms import Lan, RoomDaemon

pytestmark = pytest.mark.root

SECOND = "192.0.2.3"


@pytest.fixture(scope="module")
def lan() -> Iterator[Lan]:
    made = Lan()
    made.host.own_etc()
    made.host.write("/etc/resolv.conf", f"nameserver {Lan.NEIGHBOUR}\n")
    made.neighbour.run("ip", "address", "add", f"{SECOND}/24", "dev", "w0")
    with made:
        yield made


@pytest.fixture
def engine(lan: Lan) -> Iterator[RoomDaemon]:
    lan.daemon.docker("network", "create", "n1")
    yield lan.daemon
    lan.daemon.remove_all()


@pytest.fixture
def resolver(lan: Lan) -> Iterator[StandIn]:
    with StandIn(lan.neighbour, Lan.NEIGHBOUR) as made:
        yield made


def start(engine: RoomDaemon, name: str, *flags: str) -> int:
    engine.docker("run", "-d", "--name", name, *flags, "busybox", "sleep", "1000")
    return int(engine.inspect(name)["State"]["Pid"])


def test_the_hosts_resolvers_are_asked(engine: RoomDaemon, resolver: StandIn) -> None:
    start(engine, "one", "--network", "n1")
    found = engine.docker("exec", "one", "nslookup", "-type=a", "small.test").lines
    assert "Address: 198.51.100.1" in found
    assert resolver.asked() == [("udp", "small.test", Lan.HOST)]
    absent = engine.docker("exec", "one", "nslookup", "-type=a", "absent.test", check=False)
    assert absent.code == 1 and "NXDOMAIN" in absent.out + absent.err


def test_a_containers_own_servers_are_asked_from_inside(lan: Lan, engine: RoomDaemon, resolver: StandIn) -> None:
    pid = start(engine, "one", "--network", "n1", "--dns", SECOND)
    with StandIn(lan.neighbour, SECOND) as second:
        assert ask(pid, "small.test").answers == 1
        assert [name for _proto, name, _client in second.asked()] == ["small.test"]
    assert resolver.asked() == []


def test_sizes_and_tcp(engine: RoomDaemon, resolver: StandIn) -> None:
    pid = start(engine, "one", "--network", "n1")
    plain = ask(pid, "big.test")
    assert plain.truncated and plain.answers == 0 and plain.size <= 512
    assert ask(pid, "big.test", "tcp") == Reply(0, False, 60, 986)
    assert ask(pid, "big.test", edns=1232)[:3] == (0, False, 60)
    assert ask(pid, "big.test", edns=600).truncated
    assert ("tcp", "big.test") in [asked[:2] for asked in resolver.asked()]


def test_what_is_known_here_is_not_asked_outside(engine: RoomDaemon, resolver: StandIn) -> None:
    pid = start(engine, "one", "--network", "n1")
    start(engine, "web", "--network", "n1", "--network-alias", "shop.test")
    for name in ("web", "one", "web.n1", "shop.test"):
        assert ask(pid, name).answers == 1
    engine.docker("exec", "one", "nslookup", "-type=aaaa", "web", check=False)
    address = engine.inspect("web")["NetworkSettings"]["Networks"]["n1"]["IPAddress"]
    assert "web.n1" in engine.docker("exec", "one", "nslookup", address).out
    assert resolver.asked() == []


def test_internal_networks_leak_nothing(engine: RoomDaemon, resolver: StandIn) -> None:
    engine.docker("network", "create", "--internal", "inner")
    pid = start(engine, "hidden", "--network", "inner")
    start(engine, "friend", "--network", "inner")
    assert ask(pid, "friend").answers == 1
    for proto in ("udp", "tcp"):
        assert ask(pid, "small.test", proto).answers == 0
    own = start(engine, "own", "--network", "inner", "--dns", Lan.NEIGHBOUR)
    assert ask(own, "small.test").answers == 0
    assert resolver.asked() == []
    engine.docker("network", "connect", "n1", "hidden")
    assert ask(pid, "small.test").answers == 1, "not internal only any more"
    engine.docker("network", "disconnect", "n1", "hidden")
    assert ask(pid, "small.test").answers == 0


def test_while_the_daemon_is_dead(engine: RoomDaemon, resolver: StandIn) -> None:
    pid = start(engine, "one", "--network", "n1")
    engine.kill9()
    assert ask(pid, "small.test").answers == 1 and ask(pid, "one").answers == 1
    engine.start()
    assert ask(pid, "small.test").answers == 1


def test_the_hosts_resolvers_of_now(lan: Lan, engine: RoomDaemon, resolver: StandIn) -> None:
    pid = start(engine, "one", "--network", "n1")
    with StandIn(lan.neighbour, SECOND) as second:
        lan.host.write("/etc/resolv.conf", f"nameserver {SECOND}\n")
        try:
            eventually(lambda: ask(pid, "small.test").answers == 1 and second.asked(), 2, why="the other one is asked")
        finally:
            lan.host.write("/etc/resolv.conf", f"nameserver {Lan.NEIGHBOUR}\n")


def test_a_dead_resolver_is_passed_over(lan: Lan, engine: RoomDaemon, resolver: StandIn) -> None:
    pid = start(engine, "one", "--network", "n1", "--dns", SECOND, "--dns", Lan.NEIGHBOUR)
    assert ask(pid, "small.test").answers == 1, "nobody listens at the first"
