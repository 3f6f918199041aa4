"""Our firewall table where the kernel cannot keep others from it (Linux before 6.9): what somebody changes is put right.

Between a flush and that moment nothing of ours is in force, published ports and drops alike; see docs/networks.md.
"""

from __future__ import annotations

import os

import pytest

from harness.eventually import eventually
from harness.rooms import Lan, RoomDaemon

pytestmark = [pytest.mark.vm, pytest.mark.root]

HOST, NEIGHBOUR = Lan.HOST, Lan.NEIGHBOUR


@pytest.fixture(scope="module", autouse=True)
def old_kernel() -> None:
    assert tuple(int(n) for n in os.uname().release.split(".")[:2]) < (6, 9), "the guest's kernel is an older one"


def table(lan: Lan) -> str:
    return lan.host.run("nft", "list", "table", "inet", f"berth_{lan.daemon.instance_id}", check=False)


def assert_in_force(lan: Lan, inside: str) -> None:
    assert lan.neighbour.ask(HOST, 8080, timeout_s=5) == f"from {NEIGHBOUR}"
    assert lan.neighbour.ask(inside, 80) == "", "not published at its own address"
    assert lan.neighbour.ask(HOST, 8081) == "", "for this host alone"


def test_what_somebody_changes_is_put_right(lan: Lan, engine: RoomDaemon) -> None:
    web = engine.start_container("web", "-p", "8080:80", "-p", "127.0.0.1:8081:80", "-p", "8082:82")
    inside, before, ours = lan.address(web), table(lan), f"inet berth_{engine.instance_id}"
    assert before and "owner" not in before
    with engine.talk("web", 82, lan.neighbour, HOST, 8082) as talk:
        for command in ("flush ruleset", f"delete table {ours}", f"flush chain {ours} forward",
                        f"delete element {ours} publish {{ tcp . 8080 }}"):  # fmt: skip
            assert talk.say("before") == "before"
            lan.host.run("nft", command)
            eventually(lambda: table(lan) == before, 3, why=f"it is put right after {command}")
            assert_in_force(lan, inside)
            assert talk.say("after") == "after", "an open connection goes on"
    assert engine.log(500).count("was changed by somebody else: it was put right") >= 4


def test_others_tables_are_left_alone(lan: Lan, engine: RoomDaemon) -> None:
    before = table(lan)
    lan.host.run("nft", "add table inet somebodys; add chain inet somebodys c; add rule inet somebodys c drop")
    somebodys = lan.host.run("nft", "list", "table", "inet", "somebodys")
    engine.start_container("web", "-p", "8080:80")
    engine.docker("rm", "-f", "web")
    assert table(lan) == before and lan.host.run("nft", "list", "table", "inet", "somebodys") == somebodys
    lan.host.run("nft", "delete", "table", "inet", "somebodys")


def test_what_went_while_the_daemon_was_dead(lan: Lan, engine: RoomDaemon) -> None:
    inside = lan.address(engine.start_container("web", "-p", "8080:80", "-p", "127.0.0.1:8081:80"))
    before = table(lan)
    engine.kill9()
    assert table(lan) == before
    assert_in_force(lan, inside)
    lan.host.run("nft", "flush", "ruleset")
    engine.start()
    assert table(lan) == before
    assert_in_force(lan, inside)
    engine.restart()
    assert table(lan) == before
