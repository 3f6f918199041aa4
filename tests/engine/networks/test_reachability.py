"""Published ports and ways out as a neighbour on the LAN sees them; test_matrix.py tries every cell of the documented table.

    neighbour 192.0.2.2, 2001:db8::2 ══ host 192.0.2.1, 2001:db8::1 ══ bridges

The neighbour routes every bridge's subnet to the host, as a malicious one would.
"""

from __future__ import annotations

import pytest

from harness.eventually import eventually
from harness.rooms import Lan, RoomDaemon

pytestmark = pytest.mark.root

HOST, NEIGHBOUR, HOST6, NEIGHBOUR6 = Lan.HOST, Lan.NEIGHBOUR, Lan.HOST6, Lan.NEIGHBOUR6


address = Lan.address


def test_the_default_bridge_is_docker0(lan: Lan, engine: RoomDaemon) -> None:
    assert "docker0" in lan.host.run("ip", "-br", "link")
    assert engine.api("GET", "/networks/bridge").body["IPAM"]["Config"][0]["Subnet"] == "172.17.0.0/16"


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_published(lan: Lan, engine: RoomDaemon, kind: str) -> None:
    inside = address(engine.start_container("web", "-p", f"8080:80/{kind}"))
    other = engine.start_container("other", serving=0)
    assert lan.neighbour.ask(HOST, 8080, kind) == f"from {NEIGHBOUR}", "the client's address is kept"
    assert lan.host.ask("127.0.0.1", 8080, kind) and lan.host.ask(HOST, 8080, kind)
    assert lan.host.ask("::1", 8080, kind), "carried: the container speaks IPv4 only"
    assert lan.neighbour.ask(HOST6, 8080, kind)
    assert engine.ask_from("other", HOST, 8080, kind) == f"from {address(other, 'Gateway')}", "hairpin"
    assert engine.ask_from("web", HOST, 8080, kind), "by its own published port"
    assert lan.neighbour.ask(inside, 80, kind, 0.4) == "", "not by routing to it"
    assert lan.host.ask(inside, 80, kind) != ""


def test_unpublished_and_internal(lan: Lan, engine: RoomDaemon) -> None:
    engine.docker("network", "create", "--internal", "inner")
    plain = address(engine.start_container("plain"))
    hidden = address(engine.start_container("hidden", "--network", "inner", "-p", "8081:80"))
    engine.start_container("friend", "--network", "inner", serving=0)
    assert lan.neighbour.ask(plain, 80, timeout_s=0.4) == ""
    assert lan.neighbour.ask(hidden, 80, timeout_s=0.4) == "" and lan.neighbour.ask(HOST, 8081, timeout_s=0.4) == ""
    assert engine.ask_from("plain", NEIGHBOUR, 7) == f"from {HOST}", "masqueraded"
    assert engine.ask_from("hidden", NEIGHBOUR, 7, timeout_s=0.4) == "", "no way out"
    assert engine.ask_from("friend", hidden, 80) and engine.ask_from("plain", hidden, 80, timeout_s=0.4) == ""
    engine.docker("exec", "hidden", "ip", "route", "add", "default", "via", _gateway(engine, "inner"), check=False)
    assert engine.ask_from("hidden", plain, 80, timeout_s=0.4) == ""


def _gateway(engine: RoomDaemon, network: str) -> str:
    return str(engine.api("GET", f"/networks/{network}").body["IPAM"]["Config"][0]["Gateway"])


def test_bound_to_loopback_means_loopback(lan: Lan, engine: RoomDaemon) -> None:
    engine.start_container("web", "-p", "127.0.0.1:8080:80", "-p", "[::1]:8081:80")
    assert lan.host.ask("127.0.0.1", 8080) and lan.host.ask("::1", 8081)
    assert lan.host.ask(HOST, 8080, timeout_s=0.4) == ""
    assert lan.neighbour.ask(HOST, 8080, timeout_s=0.4) == "" and lan.neighbour.ask(HOST6, 8081, timeout_s=0.4) == ""
    lan.neighbour.run("ip", "link", "set", "lo", "down")  # now 127.0.0.1 can be somebody else's
    try:
        lan.neighbour.run("sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")
        lan.neighbour.run("ip", "route", "replace", "127.0.0.1/32", "via", HOST)
        assert lan.neighbour.ask("127.0.0.1", 8080, timeout_s=0.4) == ""
    finally:
        lan.neighbour.run("ip", "route", "del", "127.0.0.1/32", "via", HOST, check=False)
        lan.neighbour.run("ip", "link", "set", "lo", "up")


def test_bridges_are_apart(lan: Lan, engine: RoomDaemon) -> None:
    engine.docker("network", "create", "n1")
    engine.docker("network", "create", "n2")
    one = address(engine.start_container("one", "--network", "n1", "-p", "8080:80"))
    two = address(engine.start_container("two", "--network", "n2"))
    engine.start_container("beside", "--network", "n1", serving=0)
    assert engine.ask_from("beside", one, 80)
    assert engine.ask_from("one", two, 80, timeout_s=0.4) == "" and engine.ask_from("two", one, 80, timeout_s=0.4) == ""
    assert engine.ask_from("two", HOST, 8080), "what is published, is"


def test_some_clients_only(lan: Lan, engine: RoomDaemon) -> None:
    engine.berth("run", "-d", "--name", "web", "-p", "8080:80,from=192.0.2.0/30", "-p", "8081:80,from=198.51.100.0/24",
                 "busybox", "sleep", "1000")  # fmt: skip
    engine.serve("web")
    assert lan.neighbour.ask(HOST, 8080) == f"from {NEIGHBOUR}"
    assert lan.neighbour.ask(HOST, 8081, timeout_s=0.4) == "" and lan.host.ask("127.0.0.1", 8081, timeout_s=0.4) == ""
    assert lan.host.ask(HOST, 8080) == f"from {HOST}"


def test_ten_thousand_ports_are_one_element(lan: Lan, engine: RoomDaemon) -> None:
    engine.start_container("wide", "-p", "20000-29999:20000-29999", serving=25000)
    assert lan.neighbour.ask(HOST, 25000) == f"from {NEIGHBOUR}" and lan.host.ask("127.0.0.1", 25000)
    assert lan.host.ask("::1", 25000)
    listed = lan.host.run("nft", "list", "map", "inet", f"berth_{engine.instance_id}", "publish_ranges")
    assert "20000-29999" in listed and listed.count(" : ") == 2, listed
    taken = engine.docker("run", "--rm", "-p", "24000:80", "busybox", "true", check=False)
    assert taken.code == 125 and "port is already allocated" in taken.err
    engine.docker("rm", "-f", "wide")
    engine.docker("run", "--rm", "-p", "24000:80", "busybox", "true")


@pytest.mark.parametrize(("address", "own"), [(HOST, NEIGHBOUR), (HOST6, NEIGHBOUR6)])
def test_a_udp_client_that_never_pauses_finds_who_has_the_port_now(
    lan: Lan, engine: RoomDaemon, address: str, own: str
) -> None:
    engine.docker("network", "create", "--ipv6", "six")
    with lan.neighbour.udp_client(address, 8080) as client:
        assert client.ask() == "", "nobody yet, but tracked"
        for name in ("first", "second"):
            engine.start_container(name, "--network", "six", "-p", "8080:80/udp")
            eventually(lambda: client.ask() == f"from {own}", why=f"{name} answers the same flow")
            engine.docker("rm", "-f", name)


def test_ipv6(lan: Lan, engine: RoomDaemon) -> None:
    engine.docker("network", "create", "--ipv6", "six")
    networks = engine.start_container("web", "--network", "six", "-p", "8080:80")
    inside6 = address(networks, "GlobalIPv6Address")
    assert inside6.startswith("fd")
    engine.start_container("beside", "--network", "six", serving=0)
    engine.start_container("apart", serving=0)
    assert engine.ask_from("beside", inside6, 80)
    assert lan.neighbour.ask(HOST6, 8080) == f"from {NEIGHBOUR6}", "the client's address is kept"
    assert lan.neighbour.ask(HOST, 8080) == f"from {NEIGHBOUR}"
    assert lan.host.ask("::1", 8080) and lan.host.ask(HOST6, 8080)
    assert lan.neighbour.ask(inside6, 80, timeout_s=0.4) == ""
    assert engine.ask_from("web", NEIGHBOUR6, 7) == f"from {HOST6}", "masqueraded"
    assert engine.ask_from("beside", HOST6, 8080), "hairpin"
    found = engine.docker("exec", "beside", "nslookup", "-type=aaaa", "web").out
    assert inside6 in found


def test_ipv6_only(lan: Lan, engine: RoomDaemon) -> None:
    engine.docker("network", "create", "--ipv4=false", "--ipv6", "--subnet", "fd77::/64", "six")
    networks = engine.start_container("web", "--network", "six", "-p", "8080:80")
    assert address(networks) == "" and address(networks, "GlobalIPv6Address") == "fd77::2"
    assert lan.neighbour.ask(HOST6, 8080) == f"from {NEIGHBOUR6}"
    assert lan.host.ask("127.0.0.1", 8080), "carried: the container speaks IPv6 only"


def test_gateway_modes(lan: Lan, engine: RoomDaemon) -> None:
    mode = "com.docker.network.bridge.gateway_mode_ipv4"
    engine.docker("network", "create", "-o", f"{mode}=routed", "routed")
    engine.docker("network", "create", "-o", f"{mode}=nat-unprotected", "open")
    routed = address(engine.start_container("r1", "--network", "routed", "-p", "80"))
    engine.serve("r1", 81)
    opened = address(engine.start_container("o1", "--network", "open"))
    assert lan.neighbour.ask(routed, 80) == f"from {NEIGHBOUR}" and lan.neighbour.ask(routed, 81, timeout_s=0.4) == ""
    assert lan.neighbour.ask(opened, 80) == f"from {NEIGHBOUR}"


def test_a_narrower_way_out_where_nobody_says_so(lan: Lan, engine: RoomDaemon) -> None:
    """1,400 bytes on the wire, ICMP lost: segments are made to fit when the connection opens, both ways."""
    lan.host.run("ip", "link", "set", "w0", "mtu", "1400")
    lan.host.run("nft", "add table inet silent; add chain inet silent out { type filter hook output priority 0; }; "
                 "add rule inet silent out icmp type destination-unreachable drop")  # fmt: skip
    try:
        engine.start_container("web", "-p", "8082:82")
        with engine.talk("web", 82, lan.neighbour, HOST, 8082) as talk:
            assert talk.say("x" * 200_000) == "x" * 200_000
    finally:
        lan.host.run("nft", "delete", "table", "inet", "silent")
        lan.host.run("ip", "link", "set", "w0", "mtu", "1500")
