"""Shared networks without a store: settings, blocks, and what a picture of the store means."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth.base.errors import InvalidArgument
from berth.networks.cluster.blocks import blocks_of, free_block
from berth.networks.cluster.etcd import Entry, Picture
from berth.networks.cluster.records import Block, Esp, Host, Keys, Place, Secret, Secrets, encode
from berth.networks.cluster.settings import parse_cluster
from berth.networks.cluster.tunnels import derive, plan_tunnels
from berth.networks.cluster.view import View
from berth.networks.drivers.esp import Tunnel
from berth.networks.records import NetworkRecord, Subnet


def test_settings() -> None:
    found = parse_cluster("etcd://a:2379,[fd00::1]:2379/mine", "10.0.0.1:2376", {"discovery.ttl": "9"})
    assert found is not None
    assert (found.urls, found.path, found.address) == (("http://a:2379", "http://[fd00::1]:2379"), "mine", "10.0.0.1")
    assert (found.ttl_s, found.heartbeat_s) == (9, 3)
    assert parse_cluster("", "", {}) is None


@pytest.mark.parametrize(("store", "advertise", "options", "word"), [
    ("consul://a:1", "10.0.0.1", {}, "etcd://host:port"),
    ("etcd://a", "10.0.0.1", {}, "etcd://host:port"),
    ("etcd://a:1", "nolink0", {}, "--cluster-advertise nolink0"),
    ("etcd://127.0.0.1:1", "", {}, "give --cluster-advertise"),
    ("etcd://a:1", "10.0.0.1", {"kv.x": "1"}, "kv.x"),
    ("etcd://a:1", "10.0.0.1", {"discovery.ttl": "5", "discovery.heartbeat": "5"}, "longer"),
    ("etcd://a:1", "10.0.0.1", {"discovery.forget": "20"}, "longer"),
    ("etcd://a:1", "10.0.0.1", {"kv.cacertfile": "/none"}, "kv.cacertfile"),
    ("", "10.0.0.1", {}, "--cluster-store"),
])  # fmt: skip
def test_settings_that_are_wrong(store: str, advertise: str, options: dict[str, str], word: str) -> None:
    with pytest.raises(InvalidArgument, match=word):
        parse_cluster(store, advertise, options)


@given(st.integers(min_value=16, max_value=32), st.integers(min_value=0, max_value=250))
def test_blocks_are_the_subnet_cut_up(length: int, host: int) -> None:
    subnet = ip_network(f"10.{host}.0.0/{length}")
    blocks = [ip_network(block) for block in blocks_of(Subnet(str(subnet)))]
    assert sum(block.num_addresses for block in blocks) == subnet.num_addresses
    assert len(set(blocks)) == len(blocks) and all(block.subnet_of(subnet) for block in blocks)  # type: ignore[arg-type]


def test_the_gateways_block_comes_first() -> None:
    subnet = Subnet("10.1.0.0/24", "10.1.0.100")
    assert free_block(subnet, ()) == "10.1.0.96/28"
    assert free_block(subnet, {"10.1.0.96/28"}) == "10.1.0.0/28"
    assert free_block(Subnet("10.1.0.0/24", ip_range="10.1.0.128/25"), ()) == "10.1.0.128/28"
    assert free_block(Subnet("10.1.0.0/31"), {"10.1.0.0/31"}) is None
    assert free_block(Subnet("fd00::/64"), {"fd00::/80"}) == "fd00::1:0:0:0/80"


def test_what_the_store_says() -> None:
    keys = Keys("p")
    view = View(keys, "me")
    them = Host("them", "host", "10.0.0.2")
    place = Place("them", "e1", "c1", "web", "10.1.0.17", names=("web",))
    view.replace(Picture(7, [
        Entry(keys.host("them"), encode(them), 3),
        Entry(keys.block("n", "10.1.0.16/28"), encode(Block("them", "host", "10.0.0.2")), 4),
        Entry(keys.address("n", "10.1.0.17"), encode(place), 5), Entry(keys.address("n", "10.1.0.2"), encode(Place("me")), 6),
        Entry(keys.network("torn"), b"{", 7),
    ]))  # fmt: skip
    network = NetworkRecord("n", "net", "overlay", 0, shared=True)
    assert view.peers("n") == {"10.0.0.2"}
    assert [(m.endpoint, m.names) for m in view.members([network])] == [("remote/them/e1", ("web",))]
    assert (
        view.owner_of("n", "10.1.0.18") == Block("them", "host", "10.0.0.2") and view.owner_of("n", "10.1.0.3") is None
    )
    assert list(view.mine()) == [keys.address("n", "10.1.0.2")]
    view.apply([Entry(keys.host("them"), None, 6)])  # the picture is newer
    assert view.hosts
    view.apply([Entry(keys.host("them"), None, 8)])
    assert not view.members([network]) and view.peers("n") == {"10.0.0.2"}, "its containers may run on"
    view.replace(Picture(7, []))
    assert view.places["n"], "an older picture is passed over"


def test_what_is_encrypted_with_which_key() -> None:
    """A key of its own for each sender, receiver, secret and nonce; a new secret is sent under once the other one takes it."""
    keys = Keys("p")
    view = View(keys, "me")
    secrets = Secrets([Secret(1, bytes(32)), Secret(2, bytes(31) + b"1")], 0.0)
    view.replace(Picture(3, [
        Entry(keys.secrets, encode(secrets), 1), Entry(keys.esp("them"), encode(Esp("them", "10.0.0.2", "their nonce", 1)), 2),
        Entry(keys.block("n", "10.1.0.16/28"), encode(Block("them", "host", "10.0.0.2")), 3),
    ]))  # fmt: skip
    me = Esp("me", "10.0.0.1", "my nonce", 2)
    network = NetworkRecord("n", "net", "overlay", 0, shared=True, blocks=["10.1.0.0/28"], options={"encrypted": ""})
    (tunnel,) = plan_tunnels(view, me, [network])
    assert tunnel.peer == "10.0.0.2" and len({a.key for a in (*tunnel.inbound, tunnel.outbound)}) == 3
    assert all(len(a.key) == 36 and a.spi > 0xFF for a in tunnel.inbound)
    assert tunnel.outbound == derive(secrets.keys[0], "10.0.0.1", "10.0.0.2", "my nonce")
    view.apply([Entry(keys.esp("them"), encode(Esp("them", "10.0.0.2", "their nonce", 2)), 4)])
    (later,) = plan_tunnels(view, me, [network])
    assert (
        later.outbound == derive(secrets.keys[1], "10.0.0.1", "10.0.0.2", "my nonce")
        and later.inbound == tunnel.inbound
    )
    theirs = plan_tunnels_of_them(view, secrets)
    assert later.outbound in theirs.inbound and theirs.outbound in later.inbound
    assert not plan_tunnels(view, me, [NetworkRecord("n", "net", "overlay", 0, shared=True, blocks=["10.1.0.0/28"])])


def plan_tunnels_of_them(view: View, secrets: Secrets) -> Tunnel:
    """What the other host makes of the same store."""
    keys = Keys("p")
    mirror = View(keys, "them")
    mirror.replace(Picture(1, [
        Entry(keys.secrets, encode(secrets), 1), Entry(keys.esp("me"), encode(Esp("me", "10.0.0.1", "my nonce", 2)), 1),
        Entry(keys.block("n", "10.1.0.0/28"), encode(Block("me", "host", "10.0.0.1")), 1),
    ]))  # fmt: skip
    network = NetworkRecord("n", "net", "overlay", 0, shared=True, blocks=["10.1.0.16/28"], options={"encrypted": ""})
    (tunnel,) = plan_tunnels(mirror, view.esp["them"], [network])
    return tunnel
