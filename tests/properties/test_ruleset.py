"""The firewall's table in a real kernel: single changes end where the whole table does, and nothing of it stays."""

from __future__ import annotations

import os
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from berth.networks import ruleset
from berth.networks.firewall import Firewall
from berth.networks.records import Endpoint, NetworkRecord, Published, Subnet
from berth.networks.sandbox import at
from harness.rooms import Room

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def room() -> Iterator[Room]:
    made = Room()
    made.run("nft", "add", "table", "inet", "somebodys")
    yield made
    made.close()


HOST_IPS = st.sampled_from(["0.0.0.0", "::", "127.0.0.1", "192.0.2.1", "2001:db8::1"])


@st.composite
def published(draw: st.DrawFn) -> Published:
    host_ip = draw(HOST_IPS)
    source = draw(st.sampled_from(["", "", "2001:db8::/64" if ":" in host_ip else "10.0.0.0/8"]))
    first, count = draw(st.integers(8000, 8003)), draw(st.sampled_from([1, 1, 3]))
    routed = draw(st.integers(0, 9)) == 0
    return Published(draw(st.sampled_from(["tcp", "udp"])), first, host_ip, 0 if routed else first * 2, count, source)


def clash(a: Published, b: Published) -> bool:
    """Nobody is given two ports at one place."""
    reach = range(a.host_port, a.host_port + a.count)
    other = range(b.host_port, b.host_port + b.count)
    return a.proto == b.proto and (a.host_port == b.host_port or bool({*reach} & {*other}))


@st.composite
def steps(draw: st.DrawFn) -> list[list[Published]]:
    """What one endpoint publishes, one moment after another."""
    found = []
    for chosen in draw(st.lists(st.lists(published(), max_size=5), min_size=1, max_size=6)):
        kept: list[Published] = []
        for port in chosen:
            if not any(clash(port, other) for other in kept):
                kept.append(port)
        found.append(kept)
    return found


@given(
    moments=steps(),
    icc=st.booleans(),
    internal=st.booleans(),
    mode=st.sampled_from(["nat", "routed", "nat-unprotected"]),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_changes_end_where_the_whole_table_does(
    room: Room, moments: list[list[Published]], icc: bool, internal: bool, mode: str
) -> None:
    network = NetworkRecord("n", "n", "bridge", 0, link="br-x", icc=icc, internal=internal, gateway_mode=mode, subnets=[
        Subnet("10.7.0.0/24", "10.7.0.1"), Subnet("fd07::/64", "fd07::1")
    ])  # fmt: skip
    endpoint = Endpoint("e", "c", "c", "n", "n", "bridge", ipv4="10.7.0.2", ipv6="fd07::2")
    before = room.run("nft", "-s", "list", "ruleset")
    netns = os.open(f"/proc/{room.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    with at(netns):
        wall = Firewall(
            "berth_property",
            lambda: ruleset.desired("property", [ruleset.Bridge.of(network)], [endpoint], guard=frozenset({4, 6})),
        )
    os.close(netns)
    try:
        assert wall.reconcile() and not wall.reconcile(), "the second time there is nothing to do"
        for moment in moments:
            was = msgspec.structs.replace(endpoint)
            endpoint.published = moment
            wall.change([was], [endpoint])
            assert not wall.reconcile(), "single elements lead to the same as the whole table"
        wall.remove()
        assert room.run("nft", "-s", "list", "ruleset") == before
    finally:
        wall.close()
