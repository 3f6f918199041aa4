"""What a host had in the cluster store when it is gone for good: two daemons and a real etcd."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from harness.eventually import eventually
from harness.hosts import KEYS, TTL_S, Hosts, address, names, network, pings, run

pytestmark = pytest.mark.root

FORGET_S = TTL_S + 3


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    with ExitStack() as stack:
        yield Hosts(stack, f"discovery.forget={FORGET_S}")


def test_blocks_of_a_host_that_is_gone_for_good_are_free_again(hosts: Hosts) -> None:
    hosts.east.docker("network", "create", "-d", "overlay", "--subnet", "10.78.0.0/28", "wide")  # blocks of four
    eventually(lambda: "wide" in names(hosts.west))
    below = f"{KEYS}blocks/{network(hosts.east, 'wide')['Id']}/"
    blocks = lambda: [key.removeprefix(below) for key in hosts.etcd.keys(below)]  # noqa: E731
    run(hosts.east, "sun", "--network", "wide")
    run(hosts.west, "moon", "--network", "wide")
    assert blocks() == ["10.78.0.0/30", "10.78.0.4/30"]

    hosts.west.kill9()  # away for a moment: nothing of its own is touched
    eventually(lambda: hosts.etcd.keys(f"{KEYS}gone/"), 15, why="it is missed")
    hosts.west.start()
    assert not hosts.etcd.keys(f"{KEYS}gone/") and blocks() == ["10.78.0.0/30", "10.78.0.4/30"]
    assert pings(hosts.west, "moon", "sun")

    hosts.west.kill9()
    eventually(lambda: blocks() == ["10.78.0.0/30"], 2 * FORGET_S + 15, why="it is gone for good")
    eventually(lambda: not hosts.etcd.keys(f"{KEYS}gone/"), why="and so is the note that it is missed")
    assert not [key for key in hosts.etcd.keys(f"{KEYS}addresses/") if key.endswith((".4", ".5"))]
    for name in ("next", "more", "last"):
        run(hosts.east, name, "--network", "wide")
    assert address(hosts.east, "last", "wide") == "10.78.0.5"  # moon's, once

    hosts.west.start()
    eventually(lambda: "10.78.0.4/30 went to other hosts" in hosts.west.log(), 15)
    hosts.west.docker("restart", "-t0", "moon")
    assert address(hosts.west, "moon", "wide") == "10.78.0.9"
    eventually(lambda: pings(hosts.west, "moon", "last") and pings(hosts.east, "sun", "moon"), 15)
