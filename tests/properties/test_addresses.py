"""Leases, pools and changes of ports, whatever is asked in whatever order."""

from __future__ import annotations

from ipaddress import IPv4Network, ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from berth.base.errors import Conflict, InvalidArgument, ResourceExhausted
from berth.networks.host_ports import Wanted, merge_runs
from berth.networks.ipam.book import AddressBook
from berth.networks.ipam.pools import Pool, free_subnet
from berth.networks.port_changes import plan_change
from berth.networks.records import NetworkRecord, Published, Subnet
from berth.spec.ports import ANY_PORT, PortRange

SUBNETS = {4: ["10.9.0.0/28", "10.9.0.0/29", "10.9.0.0/30", "10.9.0.0/31"], 6: ["fd00::/124", "fd00::/126"]}


class Leasing(RuleBasedStateMachine):
    """``leased`` is what a user sees; the book may be built anew from it at any moment, as after a crash."""

    @initialize(version=st.sampled_from([4, 6]), pick=st.integers(0, 3), ranged=st.booleans())
    def begin(self, version: int, pick: int, ranged: bool) -> None:
        self.version = version
        text = SUBNETS[version][pick % len(SUBNETS[version])]
        self.subnet = ip_network(text)
        hosts = list(self.subnet.hosts())
        aux = {"router": str(hosts[1])} if len(hosts) > 4 else {}
        halves = list(self.subnet.subnets()) if ranged and len(hosts) > 4 else [self.subnet]
        self.pool = halves[-1]
        self.record = NetworkRecord("n", "n", "bridge", 0, subnets=[
            Subnet(text, str(hosts[0]), str(self.pool) if len(halves) > 1 else "", aux)
        ])  # fmt: skip
        self.reserved = {str(hosts[0]), *aux.values()}
        self.hosts = {str(h) for h in hosts}
        self.leased: set[str] = set()
        self.restart()

    @rule()
    def restart(self) -> None:
        self.book = AddressBook()
        self.book.open(self.record)
        self.book.adopt("n", sorted(self.leased))

    @rule()
    def acquire(self) -> None:
        free = {h for h in self.hosts - self.reserved - self.leased if ip_address(h) in self.pool}
        try:
            address, prefix_len = self.book.acquire("n", self.version)
        except ResourceExhausted:
            assert not free, "refused although there are free ones"
            return
        assert prefix_len == self.subnet.prefixlen
        assert address in free, f"{address} is leased, reserved or outside of the range"
        self.leased.add(address)

    @rule(n=st.integers(-2, 17))
    def take(self, n: int) -> None:
        wanted = str(self.subnet.network_address + n)
        try:
            found, _prefix = self.book.take("n", wanted)
        except Conflict:
            assert wanted in self.leased | self.reserved
        except InvalidArgument:
            assert wanted not in self.hosts
        else:
            assert found == wanted and wanted in self.hosts and wanted not in self.leased | self.reserved
            self.leased.add(wanted)

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        some = data.draw(st.sampled_from(sorted(self.leased | self.reserved | {"10.250.0.1"})))
        self.book.release("n", [some])
        self.leased.discard(some)

    @invariant()
    def nobody_has_a_reserved_one(self) -> None:
        assert not getattr(self, "leased", set()) & getattr(self, "reserved", set())


TestLeasing = Leasing.TestCase
TestLeasing.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)

NETWORKS = st.builds(
    lambda n, length: ip_network((n << 8 & ((1 << 32) - (1 << (32 - length))), length)),
    st.integers(0xAC1000, 0xAC2000), st.integers(14, 30),
)  # fmt: skip


@given(used=st.lists(NETWORKS, max_size=12), size=st.integers(16, 26))
@settings(deadline=None)
def test_a_pools_piece_overlaps_with_nothing(used: list[IPv4Network], size: int) -> None:
    pools = [Pool("172.16.0.0/14", max(size, 16)), Pool("172.20.0.0/16", size)]
    try:
        found = free_subnet(pools, used)
    except ResourceExhausted:
        for pool in pools:
            for piece in IPv4Network(pool.base).subnets(new_prefix=pool.size):
                assert any(piece.overlaps(other) for other in used), f"{piece} is free"
        return
    assert not any(found.overlaps(other) for other in used)


PROTOS = st.sampled_from(["tcp", "udp"])
ADDRESSES = st.sampled_from([("0.0.0.0", "::"), ("0.0.0.0",), ("127.0.0.1",)])
HOSTS = st.one_of(st.just(ANY_PORT), st.integers(8000, 8006).map(lambda p: PortRange(p, p)))


@st.composite
def wishes(draw: st.DrawFn) -> list[Wanted]:
    """What could be fulfilled: no two want the same place."""
    found: list[Wanted] = []
    places: set[tuple[str, str, int]] = set()
    for proto, port, ips, host in draw(
        st.lists(st.tuples(PROTOS, st.integers(8000, 8006), ADDRESSES, HOSTS), max_size=10)
    ):
        mine = {(proto, "any" if ip == "0.0.0.0" else ip, host.first) for ip in ips if host != ANY_PORT}
        if not mine & places:
            places |= mine
            found.append(Wanted(proto, port, ips, host))
    return found


def fulfil(wanted: list[Wanted], first: int) -> list[Published]:
    return [
        Published(w.proto, w.container_port, ip, w.host.first or first + n, w.size, w.source)
        for n, w in enumerate(wanted)
        for ip in w.host_ips
    ]


@given(before=wishes(), after=wishes())
@settings(max_examples=300, deadline=None)
def test_a_change_of_ports_keeps_what_it_can_and_is_settled_then(before: list[Wanted], after: list[Wanted]) -> None:
    published = fulfil(merge_runs(before), 40000)
    change = plan_change(after, published)
    places = {(p.proto, p.container_port + n, p.host_ip, p.host_port + n) for p in published for n in range(p.count)}
    for port in change.keep:
        for n in range(port.count):
            assert (port.proto, port.container_port + n, port.host_ip, port.host_port + n) in places
    for wish in after:
        if wish in before and before.count(wish) >= after.count(wish):
            assert wish not in change.wanted, "a wish from before is not published anew"
    now = [*change.keep, *fulfil(change.wanted, 50000)]
    again = plan_change(after, now)
    assert not again.wanted and sorted(map(repr, again.keep)) == sorted(map(repr, now)), "nothing more to do"
    assert plan_change([], now) == ([], [])


def test_a_run_is_cut_where_a_part_of_it_goes() -> None:
    run = Published("tcp", 8000, "0.0.0.0", 8000, 7)
    stay = [Wanted("tcp", p, ("0.0.0.0",), PortRange(p, p)) for p in (8000, 8001, 8004, 8006)]
    assert plan_change(stay, [run]).keep == [
        Published("tcp", 8000, "0.0.0.0", 8000, 2), Published("tcp", 8004, "0.0.0.0", 8004),
        Published("tcp", 8006, "0.0.0.0", 8006),
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["10.0.0.0/30", "fd00::/126"])
def test_a_used_up_subnet_is_a_clear_error(text: str) -> None:
    book = AddressBook()
    book.open(NetworkRecord("n", "n", "bridge", 0, subnets=[Subnet(text, str(ip_network(text)[1]))]))
    version = ip_network(text).version
    with pytest.raises(
        ResourceExhausted, match=f"no available IPv{version} addresses on this network's address pools: {text}"
    ):
        for _ in range(4):
            book.acquire("n", version)
