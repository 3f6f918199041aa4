"""What somebody else changes in the kernel's network is put back, and nothing is open meanwhile. In a room of its own."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from harness import leaks
from harness.eventually import eventually
from harness.rooms import Lan, RoomDaemon

pytestmark = pytest.mark.root

HOST, NEIGHBOUR = Lan.HOST, Lan.NEIGHBOUR


def table(lan: Lan) -> str:
    return lan.host.run("nft", "list", "table", "inet", f"berth_{lan.daemon.instance_id}", check=False)


def test_a_flush_of_the_whole_ruleset_passes_our_table_over(lan: Lan, engine: RoomDaemon) -> None:
    inside = lan.address(engine.start_container("web", "-p", "8080:80", "-p", "127.0.0.1:8081:80"))
    before = table(lan)
    assert "flags owner" in before
    lan.host.run("nft", "add", "table", "inet", "somebodys")
    for _ in range(20):
        lan.host.run("nft", "flush", "ruleset")
    assert "somebodys" not in lan.host.run("nft", "list", "tables")
    assert table(lan) == before
    assert lan.neighbour.ask(HOST, 8080) == f"from {NEIGHBOUR}"
    assert lan.neighbour.ask(inside, 80, timeout_s=0.3) == "" and lan.neighbour.ask(HOST, 8081, timeout_s=0.3) == ""
    lan.host.run("nft", "delete", "table", "inet", f"berth_{engine.instance_id}", check=False)
    assert table(lan) == before


def test_while_the_daemon_is_dead_and_after_netd_died(lan: Lan, engine: RoomDaemon) -> None:
    engine.start_container("web", "-p", "8080:80")
    engine.kill9()
    lan.host.run("nft", "flush", "ruleset")
    assert lan.neighbour.ask(HOST, 8080) == f"from {NEIGHBOUR}", "netd keeps the table"
    engine.start()
    kill_netd(engine)
    lan.host.run("nft", "flush", "ruleset")
    assert lan.neighbour.ask(HOST, 8080) == f"from {NEIGHBOUR}", "the daemon keeps it"
    eventually(lambda: "its successor" in engine.log(), why="netd is back")
    engine.kill9()
    kill_netd(engine)
    lan.host.run("nft", "delete", "table", "inet", f"berth_{engine.instance_id}")
    engine.start()
    assert "owner" in table(lan) and lan.neighbour.ask(HOST, 8080) == f"from {NEIGHBOUR}", "nobody kept it: made anew"
    engine.restart()
    assert "owner" in table(lan), "taken over as it was"


def kill_netd(engine: RoomDaemon) -> None:
    netd = next(pid for pid, name in leaks.processes(engine.instance_id, engine.run_root) if name == "berth-netd")
    os.kill(netd, signal.SIGKILL)
    eventually(lambda: not os.path.exists(f"/proc/{netd}"), why="netd is gone")


CHANGE = """
import select, subprocess, sys
from berth.networks.firewall import Firewall, Watch
from berth.networks import ruleset
wanted = ruleset.desired("watched", [], [], guard=frozenset({4, 6}))
wall = Firewall("berth_watched", lambda: wanted, flags=0)
watch = Watch(wall.name, wall.port_id)
def told():
    return bool(select.select([watch], [], [], 2)[0]) and watch.touched()
assert wall.reconcile() and not wall.owned
assert not select.select([watch], [], [], 0.1)[0], "our own change is no news"
for command in ("flush ruleset", "delete table inet berth_watched", "flush chain inet berth_watched raw"):
    subprocess.run(["nft", *command.split()], check=True)
    assert told(), command
    assert wall.reconcile() and not wall.reconcile(), command
subprocess.run(["nft", "add", "table", "inet", "other"], check=True)
assert not wall.reconcile()
"""


def test_where_the_kernel_cannot_keep_others_out_a_watch_tells(lan: Lan) -> None:
    lan.neighbour.run(sys.executable, "-c", CHANGE)


def test_a_deleted_bridge_comes_back_with_its_containers(lan: Lan, engine: RoomDaemon) -> None:
    engine.docker("network", "create", "--ipv6", "n1")
    engine.docker("network", "create", "n2")
    one = lan.address(engine.start_container("one", "--network", "n1", "-p", "8080:80"))
    engine.start_container("two", "--network", "n1")
    engine.start_container("apart", "--network", "n2", "-p", "8082:82")
    bridge = bridge_of(engine, "n1")
    with engine.talk("apart", 82, lan.neighbour, HOST, 8082) as elsewhere:
        assert elsewhere.say("before") == "before"
        lan.host.run("ip", "link", "delete", bridge)
        eventually(
            lambda: lan.neighbour.ask(HOST, 8080, timeout_s=0.2) == f"from {NEIGHBOUR}", 3, why="published again"
        )
        assert engine.ask_from("two", one, 80) and engine.ask_from("one", NEIGHBOUR, 7) == f"from {HOST}"
        assert lan.neighbour.ask(Lan.HOST6, 8080) == f"from {Lan.NEIGHBOUR6}"
        assert engine.docker("exec", "two", "nslookup", "one").code == 0
        assert elsewhere.say("after") == "after", "another network's connection goes on"
    engine.start_container("late", "--network", "n1")
    assert engine.ask_from("late", one, 80), "the bridge is another one for new containers too"


def test_an_open_connection_outlives_its_own_bridge(lan: Lan, engine: RoomDaemon) -> None:
    engine.start_container("web", "-p", "8082:82")
    with engine.talk("web", 82, lan.neighbour, HOST, 8082) as talk:
        assert talk.say("before") == "before"
        lan.host.run("ip", "link", "delete", "docker0")
        assert talk.say("after") == "after"


@pytest.mark.parametrize("icc", ["true", "false"])
def test_a_deleted_link_of_a_container_is_made_again(lan: Lan, engine: RoomDaemon, icc: str) -> None:
    engine.docker(
        "network", "create", "--subnet", "172.30.0.0/24", "-o", f"com.docker.network.bridge.enable_icc={icc}", "n1"
    )
    engine.start_container("other", "--network", "n1")
    before = engine.start_container("web", "--network", "n1", "--ip", "172.30.0.7", "-p", "8080:80")
    links = lan.host.run("ip", "-o", "link", "show", "type", "veth", "master", bridge_of(engine, "n1")).splitlines()
    for line in links:
        lan.host.run("ip", "link", "delete", line.split(": ")[1].split("@")[0])
    eventually(lambda: lan.neighbour.ask(HOST, 8080, timeout_s=0.2) == f"from {NEIGHBOUR}", 3, why="published again")
    assert dict(engine.inspect("web")["NetworkSettings"]["Networks"]) == before
    assert before["n1"]["MacAddress"] in engine.docker("exec", "web", "ip", "link").out
    assert engine.ask_from("web", NEIGHBOUR, 7) == f"from {HOST}"
    assert bool(engine.ask_from("other", "172.30.0.7", 80, timeout_s=0.4)) == (icc == "true")
    engine.docker("network", "disconnect", "n1", "web")
    assert engine.docker("exec", "web", "ls", "/sys/class/net").lines == ["lo"]


def bridge_of(engine: RoomDaemon, network: str) -> str:
    return "br-" + str(engine.api("GET", f"/networks/{network}").body["Id"])[:12]


def test_a_gateway_that_lost_its_address(lan: Lan, engine: RoomDaemon) -> None:
    engine.docker("network", "create", "--ipv6", "n1")
    engine.start_container("web", "--network", "n1", "-p", "8080:80")
    lan.host.run("ip", "address", "flush", "dev", bridge_of(engine, "n1"))
    eventually(lambda: lan.neighbour.ask(HOST, 8080, timeout_s=0.2) == f"from {NEIGHBOUR}", 3, why="it has it again")
    assert engine.ask_from("web", Lan.NEIGHBOUR6, 7) == f"from {Lan.HOST6}"


def test_what_went_while_the_daemon_was_dead(lan: Lan, engine: RoomDaemon) -> None:
    engine.docker("network", "create", "n1")
    engine.start_container("web", "--network", "n1", "-p", "8080:80")
    bridge = bridge_of(engine, "n1")
    engine.kill9()
    lan.host.run("ip", "link", "delete", bridge)
    engine.start()
    assert lan.neighbour.ask(HOST, 8080) == f"from {NEIGHBOUR}"
