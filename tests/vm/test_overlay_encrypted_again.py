"""Encrypted overlays and what happens to hosts: daemons that die, kernels that begin anew, somebody who flushes IPsec."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from harness.eventually import eventually
from harness.hosts import Hosts, address, names, pings, run
from harness.rooms import Room

pytestmark = [pytest.mark.vm, pytest.mark.root]


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    with ExitStack() as stack:
        made = Hosts(stack)
        made.east.docker("network", "create", "-d", "overlay", "--opt", "encrypted", "secret", timeout_s=300)
        eventually(lambda: "secret" in names(made.west), 60)
        run(made.east, "sun", "--network", "secret")
        run(made.west, "moon", "--network", "secret")
        yield made


def reach_one_another(hosts: Hosts) -> None:
    eventually(lambda: pings(hosts.east, "sun", "moon"), 60, why="east reaches west")
    eventually(lambda: pings(hosts.west, "moon", "sun"), 60, why="west reaches east")


def states(room: Room) -> list[tuple[str, ...]]:
    """Source, destination, SPI and request of each, but for what the kernel only wishes for."""
    found = re.findall(r"src (\S+) dst (\S+)\s+proto esp spi (\S+) reqid (\d+)", room.run("ip", "xfrm", "state"))
    return sorted(each for each in found if each[2] != "0x00000000")


def policies(room: Room) -> list[str]:
    return sorted(
        " ".join(each.split()) for each in re.split(r"^(?=src)", room.run("ip", "xfrm", "policy"), flags=re.M)
    )


def spi(room: Room, src: str, dst: str) -> list[str]:
    return [each[2] for each in states(room) if each[:2] == (src, dst)]


def test_a_daemon_that_starts_again_changes_nothing_that_is_right(hosts: Hosts) -> None:
    """Killed and started: the same states and policies, each once. What somebody took meanwhile is there again."""
    reach_one_another(hosts)
    before = states(hosts.west_room), policies(hosts.west_room)
    assert len(before[0]) == len(set(before[0])) == 2 and before[1]
    moon = address(hosts.west, "moon", "secret")
    for daemon in (hosts.west, hosts.west, hosts.east):
        daemon.kill9()
        assert daemon is hosts.east or pings(hosts.east, "sun", moon), "traffic goes on while the daemon is dead"
        daemon.start()
        reach_one_another(hosts)
    assert (states(hosts.west_room), policies(hosts.west_room)) == before
    hosts.west.kill9()
    hosts.west_room.run("ip", "xfrm", "policy", "flush")
    hosts.west.start()
    reach_one_another(hosts)
    assert (states(hosts.west_room), policies(hosts.west_room)) == before


@pytest.mark.parametrize("what", ["policy", "state"])
def test_what_somebody_flushes_is_put_back(hosts: Hosts, what: str) -> None:
    reach_one_another(hosts)
    before, kept = spi(hosts.west_room, "10.99.0.2", "10.99.0.1"), policies(hosts.west_room)
    hosts.west_room.run("ip", "xfrm", what, "flush")
    eventually(lambda: len(states(hosts.west_room)) == 2, 3, why="the states are back")
    if what == "policy":
        eventually(lambda: policies(hosts.west_room) == kept, 3, why="the policies are back")
    after = spi(hosts.west_room, "10.99.0.2", "10.99.0.1")
    assert (after == before) == (what == "policy"), "counters that begin anew have a key of their own"
    reach_one_another(hosts)
    eventually(lambda: spi(hosts.east_room, "10.99.0.2", "10.99.0.1") == after, 20, why="the old key is nobody's")


def test_a_host_that_comes_back_with_another_kernel(hosts: Hosts) -> None:
    """Its power went: it has keys of its own anew, its container is started again, and each reaches the other."""
    reach_one_another(hosts)
    before = spi(hosts.east_room, "10.99.0.2", "10.99.0.1")
    hosts.reboot_west()
    assert states(hosts.west_room) == [] or spi(hosts.west_room, "10.99.0.2", "10.99.0.1") != before
    hosts.west.docker("start", "moon")
    reach_one_another(hosts)
    after = spi(hosts.west_room, "10.99.0.2", "10.99.0.1")
    assert after != before and len(after) == 1
    eventually(
        lambda: spi(hosts.east_room, "10.99.0.2", "10.99.0.1") == after, 20, why="east has forgotten the old one"
    )
    assert "moon" in hosts.east.docker("exec", "sun", "nslookup", address(hosts.west, "moon", "secret")).out


def test_the_last_one_leaves_nothing(hosts: Hosts) -> None:
    hosts.east.docker("rm", "-f", "sun")
    hosts.west.docker("rm", "-f", "moon")
    eventually(lambda: hosts.east.docker("network", "rm", "secret", check=False).code == 0, why="west's have gone too")
    for room, daemon in ((hosts.east_room, hosts.east), (hosts.west_room, hosts.west)):
        eventually(lambda daemon=daemon: "secret" not in names(daemon), 60)
        eventually(lambda room=room: (policies(room), states(room)) == ([], []), 20, why="nothing is left")
        assert not re.search(r" (ov|vx)-", room.run("ip", "-o", "link"))
