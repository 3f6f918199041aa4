"""The firewall as it should be, as a value: one table ``inet berth_<instance>``, pure functions, no kernel.

    packet in ── raw ── prerouting ─┬─ input (a port for some clients only? drop)    ┌─ postrouting ── out
               127/8?    published: └─ forward ── to_<bridge> ───────────────────────┤   masquerade
               drop      dnat by maps    unpublished? drop                           │
    local ────── output ─ published ─────────────────────────────────────────────────┘

A published port is one element of a map, so publishing never touches a rule; ten thousand ports in a row are one element too. A
bridge is a handful of rules and a chain. Drops of ours are final for everybody, accepts are not: a table of someone else's that
drops what we accept wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import NamedTuple

from berth.kernel.nft import mss
from berth.kernel.nft import statements as st
from berth.kernel.nft.model import IPV4, IPV6, PORT, PROTO, Chain, Element, Hook, Map, Row, Rule, Table, rule
from berth.networks.records import Endpoint, NetworkRecord, Published

FAMILY = "inet"
_LOOPBACK = IPv4Network("127.0.0.0/8")
_LOOPBACK6 = IPv6Network("::1/128")
_ANY = {4: "0.0.0.0", 6: "::"}
_HIGHEST = {4: "255.255.255.255", 6: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}
_ADDRESS = {4: IPV4, 6: IPV6}


class Maps(NamedTuple):
    """The maps of one IP version, in the order in which they are asked."""

    on: Map  # (host address, protocol, host port) → (container, port)
    some: Map  # (client, host address, protocol, host port), each from–to → (container, port)
    ranges: Map  # the same → container: the port stays as it is
    anywhere: Map  # (protocol, host port) on any address of the host → (container, port)
    guarded: Map  # (host address, protocol, host port), from–to: only those whom another map knows may come
    open: Map  # (container, protocol, port), from–to: published at the container's own address


def _maps(version: int) -> Maps:
    address, tail = _ADDRESS[version], "" if version == 4 else "6"
    box = (address, address, PROTO, PORT)
    return Maps(
        Map(f"publish{tail}_on", (address, PROTO, PORT), (address, PORT)),
        Map(f"publish{tail}_some", box, (address, PORT), interval=True),
        Map(f"publish{tail}_ranges", box, (address,), interval=True),
        Map(f"publish{tail}", (PROTO, PORT), (address, PORT)),
        Map(f"guarded{tail}", (address, PROTO, PORT), (), interval=True),
        Map(f"open{tail}", (address, PROTO, PORT), (), interval=True),
    )  # fmt: skip


MAPS = {4: _maps(4), 6: _maps(6)}
_COLUMNS = {
    "on": ("daddr", "proto", "port"), "some": ("saddr", "daddr", "proto", "port"),
    "ranges": ("saddr", "daddr", "proto", "port"), "anywhere": ("proto", "port"),
}  # fmt: skip


class Bridge(NamedTuple):
    """What the rules need to know of a bridge network."""

    link: str
    subnets: tuple[st.AnyNetwork, ...]
    icc: bool
    masquerade: bool
    internal: bool = False
    mode: str = "nat"
    mode6: str = "nat"

    @classmethod
    def of(cls, network: NetworkRecord) -> Bridge:
        subnets = tuple(ip_network(s.subnet) for s in network.subnets)
        return cls(
            network.link, subnets, network.icc, network.masquerade, network.internal, network.gateway_mode,
            network.gateway_mode6,
        )  # fmt: skip

    @property
    def chain(self) -> str:
        """The name of the chain that guards it; a link's name may have characters that a chain's may not."""
        return "to_" + "".join(c if c.isalnum() else f"_{ord(c):02x}" for c in self.link)

    def mode_of(self, version: int) -> str:
        return self.mode if version == 4 else self.mode6


def table_name(instance_id: str) -> str:
    """The table of one engine."""
    return f"berth_{instance_id}"


def elements(endpoints: Iterable[Endpoint]) -> dict[str, list[Element]]:
    """The elements of each map, by its name, for what the endpoints publish."""
    found: dict[str, list[Element]] = {each.name: [] for maps in MAPS.values() for each in maps}
    for endpoint in endpoints:
        for port in endpoint.published:
            for publish, element in _elements_of(endpoint, port):
                found[publish.name].append(element)
    return found


def _elements_of(endpoint: Endpoint, port: Published) -> Iterator[tuple[Map, Element]]:
    version = 6 if ":" in port.host_ip else 4
    target = endpoint.ipv6 if version == 6 else endpoint.ipv4
    if not target:
        return  # over another IP version than the container speaks: netd carries it
    maps = MAPS[version]
    if not port.host_port:  # routed: nothing is translated
        low: Row = (target, port.proto, port.container_port)
        yield _box(maps.open, low, (target, port.proto, port.container_port + port.count - 1))
        return
    last = port.host_port + port.count - 1
    anywhere = port.host_ip == _ANY[version]
    if port.count == 1 and not port.source:
        key: Row = (port.proto, port.host_port) if anywhere else (port.host_ip, port.proto, port.host_port)
        publish = maps.anywhere if anywhere else maps.on
        yield publish, Element(publish.pack_key(*key), publish.pack_value(target, port.container_port))
        return
    highest = _HIGHEST[version] if anywhere else port.host_ip
    clients = ip_network(port.source) if port.source else None
    first_client, last_client = (
        (str(clients.network_address), str(clients.broadcast_address))
        if clients
        else (_ANY[version], _HIGHEST[version])
    )
    low = (first_client, port.host_ip, port.proto, port.host_port)
    high: Row = (last_client, highest, port.proto, last)
    if port.count == 1:
        yield _box(maps.some, low, high, target, port.container_port)
    else:
        yield _box(maps.ranges, low, high, target)
    if port.source:
        yield _box(maps.guarded, low[1:], high[1:])


def _box(publish: Map, low: Row, high: Row, *value: str | int) -> tuple[Map, Element]:
    return publish, Element(publish.pack_key(*low), publish.pack_value(*value), publish.pack_key(*high))


def desired(
    instance_id: str, bridges: Iterable[Bridge], endpoints: Iterable[Endpoint], *, guard: frozenset[int]
) -> Table:
    """The whole table. ``guard``: IP versions whose forwarding we enabled: this host routes nothing else."""
    bridges = tuple(bridges)
    rows = elements(endpoints)
    maps = tuple(m._replace(elements=tuple(sorted(set(rows[m.name])))) for group in MAPS.values() for m in group)
    return Table(
        FAMILY,
        table_name(instance_id),
        maps,
        (
            Chain("raw", _raw(), Hook("filter", "prerouting", "raw")),
            Chain("published", _published()),
            Chain("prerouting", _to_published(), Hook("nat", "prerouting", "dstnat")),
            Chain("output", _to_published(), Hook("nat", "output", "dstnat")),
            Chain("postrouting", _postrouting(bridges), Hook("nat", "postrouting", "srcnat")),
            Chain("input", _input(), Hook("filter", "input", "filter")),
            Chain("clamp", _clamp(bridges)),
            *(Chain(b.chain, _to_bridge(b)) for b in bridges),
            Chain("forward", _forward(bridges, guard), Hook("filter", "forward", "filter")),
        ),
    )


def _raw() -> tuple[Rule, ...]:
    """route_localnet on our bridges lets 127/8 cross links; only the host itself may send there (moby#41872)."""
    return (
        rule(st.daddr(_LOOPBACK), st.iifname("lo", negated=True), st.drop(), comment="loopback is this host's own"),
    )


def _to_published() -> tuple[Rule, ...]:
    """One look at the routes a connection; what leaves for elsewhere asks no map."""
    return (rule(st.to_local_address(), st.jump("published")),)


def _published() -> tuple[Rule, ...]:
    comments = {
        "on": "published on one address", "some": "published for some clients", "ranges": "published ranges",
        "anywhere": "published on every address",
    }  # fmt: skip
    rules = []
    for version in (4, 6):
        for field, columns in _COLUMNS.items():
            parts = [st.dnat(version, getattr(MAPS[version], field), *columns)]
            if version == 6:  # ::1 can't be routed to a bridge: netd carries it
                parts.insert(0, st.daddr(_LOOPBACK6, negated=True))
            rules.append(rule(*parts, comment=comments[field]))
    return tuple(rules)


def _input() -> tuple[Rule, ...]:
    """Whom no map knew comes to the socket that holds the port: nobody is behind it."""
    return tuple(
        rule(
            st.is_in(version, MAPS[version].guarded, "daddr", "proto", "port"), st.drop(), comment="not for this client"
        )
        for version in (4, 6)
    )


def _postrouting(bridges: tuple[Bridge, ...]) -> tuple[Rule, ...]:
    rules: list[Rule] = []
    for bridge in bridges:
        out = st.oifname(bridge.link)
        if any(s.version == 4 for s in bridge.subnets):
            rules.append(rule(out, st.saddr(_LOOPBACK), st.masquerade(), comment="127.0.0.1 to a published port"))
        for subnet in bridge.subnets:
            own = st.saddr(subnet)
            rules.append(rule(out, own, st.ct_dnat(), st.masquerade(), comment="a neighbour by its published port"))
            if bridge.masquerade and not bridge.internal and bridge.mode_of(subnet.version).startswith("nat"):
                away = st.oifname(bridge.link, negated=True)
                rules.append(rule(away, own, st.masquerade(), comment="containers to the world"))
    return tuple(rules)


def _clamp(bridges: tuple[Bridge, ...]) -> tuple[Rule, ...]:
    """Both ways: a container's link may be wider than the way out, and its peer's too."""
    return tuple(rule(side(b.link), mss.clamp()) for b in bridges for side in (st.iifname, st.oifname))


def _to_bridge(bridge: Bridge) -> tuple[Rule, ...]:
    rules = []
    if bridge.icc:
        rules.append(rule(st.iifname(bridge.link), st.accept(), comment="between containers"))
    else:  # not by a published port either: where bridges filter, their ports' isolation says the same
        rules.append(rule(st.iifname(bridge.link), st.drop(), comment="not between containers"))
    if not bridge.internal:
        rules.append(rule(st.ct_dnat(), st.accept(), comment="by a published port"))
        for version in sorted({s.version for s in bridge.subnets}):
            rules += _without_nat(bridge.mode_of(version), version)
    rules.append(rule(st.drop(), comment="not published"))
    return tuple(rules)


def _without_nat(mode: str, version: int) -> Iterator[Rule]:
    if mode == "routed":
        published = st.is_in(version, MAPS[version].open, "daddr", "proto", "port")
        yield rule(published, st.accept(), comment="published at its own address")
        yield rule(st.icmp(version), st.accept())
    elif mode == "nat-unprotected":
        yield rule(st.family(version), st.accept(), comment="unprotected")


def _forward(bridges: tuple[Bridge, ...], guard: frozenset[int]) -> tuple[Rule, ...]:
    rules = [
        rule(mss.opens_tcp(), st.jump("clamp")),  # of both sides: the answer is of an established connection
        rule(st.ct_state("established", "related"), st.accept(), comment="most packets are of these"),
    ]
    rules += [
        rule(st.iifname(b.link), st.oifname(b.link, negated=True), st.drop(), comment="internal")
        for b in bridges
        if b.internal
    ]
    rules += [rule(st.oifname(b.link), st.jump(b.chain)) for b in bridges]
    for version in sorted(guard):
        rules += [
            rule(st.family(version), st.iifkind("bridge"), st.accept()),
            rule(st.family(version), st.oifkind("bridge"), st.accept()),
            rule(st.family(version), st.drop(), comment="forwarding was enabled for containers only"),
        ]
    return tuple(rules)
