"""What somebody else changes in the kernel's network is put back, and nothing is open meanwhile. In a room of its own."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

import pytest

from harness import leaks
from harness.eventually import eventually
from harness.rooms import Lan, RoomDaemon

pytestmark = pytest.mark.root

HOST, NEIGHBOUR = Lan.HOST, Lan.NEIGHBOUR


@pytest.fixture(scope="module")
def lan() -> Iterator[Lan]:
    with Lan() as made:
        yield made


@pytest.fixture
def engine(lan: Lan) -> Iterator[RoomDaemon]:
    yield lan.daemon
    lan.daemon.remove_all()


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
wanted = ruleset.desired("watched", [], [], guard=True)
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
