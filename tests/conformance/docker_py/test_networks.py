"""The network parts of docker-py's client."""

from __future__ import annotations

import docker
import pytest
from docker.errors import APIError, NotFound
from docker.types import IPAMConfig, IPAMPool

from harness.eventually import eventually

pytestmark = pytest.mark.root

Client = docker.DockerClient


def sleeper(client: Client, name: str, **how: object) -> docker.models.containers.Container:
    return client.containers.run("busybox", "sleep 1000", name=name, detach=True, **how)


def test_made_found_shown_removed(client: Client) -> None:
    made = client.networks.create("n1", driver="bridge", labels={"a": "b"}, internal=True, check_duplicate=True)
    assert made.attrs["Labels"] == {"a": "b"} and made.attrs["Internal"] is True and made.attrs["Driver"] == "bridge"
    assert client.networks.get(made.id[:12]).name == client.networks.get("n1").name == "n1"
    assert [n.name for n in client.networks.list(names=["n1"])] == ["n1"]
    assert {n.name for n in client.networks.list()} >= {"bridge", "host", "none", "n1"}
    assert [n.id for n in client.networks.list(filters={"label": "a=b"}, greedy=True)] == [made.id]
    made.remove()
    with pytest.raises(NotFound):
        client.networks.get("n1")


def test_addresses_of_ones_choice(newest: Client) -> None:
    pool = IPAMPool(
        subnet="10.234.7.0/24", iprange="10.234.7.128/25", gateway="10.234.7.254", aux_addresses={"r": "10.234.7.128"}
    )
    network = newest.networks.create("n1", ipam=IPAMConfig(driver="default", pool_configs=[pool]), attachable=True)
    assert network.attrs["IPAM"]["Config"] == [{
        "Subnet": "10.234.7.0/24", "IPRange": "10.234.7.128/25", "Gateway": "10.234.7.254",
        "AuxiliaryAddresses": {"r": "10.234.7.128"},
    }]  # fmt: skip
    one = sleeper(newest, "one", network="n1")
    assert one.attrs["NetworkSettings"]["Networks"]["n1"]["IPAddress"] in ("", "10.234.7.129")
    one.reload()
    assert one.attrs["NetworkSettings"]["Networks"]["n1"]["IPAddress"] == "10.234.7.129"
    fixed = newest.api.create_endpoint_config(
        ipv4_address="10.234.7.9", aliases=["nine"], mac_address="02:42:0a:ea:07:09"
    )
    two = newest.api.create_container(
        "busybox", "sleep 1000", name="two", networking_config=newest.api.create_networking_config({"n1": fixed}),
        host_config=newest.api.create_host_config(network_mode="n1"),
    )  # fmt: skip
    newest.api.start(two)
    shown = newest.api.inspect_container(two)["NetworkSettings"]["Networks"]["n1"]
    assert (shown["IPAddress"], shown["MacAddress"], shown["Aliases"]) == ("10.234.7.9", "02:42:0a:ea:07:09", ["nine"])
    assert one.exec_run("ping -c1 -W2 nine").exit_code == 0
    with pytest.raises(APIError, match="Pool overlaps with other one on this address space") as caught:
        newest.networks.create("n2", ipam=IPAMConfig(pool_configs=[IPAMPool(subnet="10.234.7.0/25")]))
    assert caught.value.status_code == 403


def test_connect_and_disconnect(client: Client) -> None:
    network = client.networks.create("n1")
    one, two = sleeper(client, "one"), sleeper(client, "two", network="n1")
    network.connect(one, aliases=["uno"])
    assert two.exec_run("ping -c1 -W2 uno").exit_code == 0
    network.reload()
    assert {c.name for c in network.containers} == {"one", "two"}
    with pytest.raises(APIError) as caught:
        network.remove()
    assert caught.value.status_code == 403
    network.disconnect("one")
    network.reload()
    assert [c.name for c in network.containers] == ["two"]
    assert two.exec_run("ping -c1 -W1 uno").exit_code == 1
    network.disconnect(two, force=True)
    network.remove()


def test_options_of_an_endpoint(newest: Client) -> None:
    newest.networks.create("n1")
    newest.networks.create("n2")
    one = sleeper(newest, "one", network="n1")
    body = {"Container": one.id, "EndpointConfig": {
        "GwPriority": 5, "DriverOpts": {"com.docker.network.endpoint.ifname": "wan0"}
    }}  # fmt: skip
    response = newest.api._post_json(newest.api._url("/networks/n2/connect"), data=body)
    assert response.status_code == 200
    assert (
        b"default via" in one.exec_run("ip route").output
        and b"dev wan0" in one.exec_run("ip route").output.split(b"\n")[0]
    )


def test_prune_and_events(newest: Client) -> None:
    newest.networks.create("n1", labels={"keep": "no"})
    newest.networks.create("n2")
    events = newest.events(decode=True, filters={"type": "network"})
    assert newest.networks.prune(filters={"label": ["keep=no"]})["NetworksDeleted"] == ["n1"]
    told = next(events)
    assert (told["Action"], told["Actor"]["Attributes"]["name"]) == ("destroy", "n1")
    events.close()
    assert [n.name for n in newest.networks.list(names=["n2"])] == ["n2"]


def test_ports(client: Client) -> None:
    one = sleeper(client, "one", ports={"80/tcp": None, "81/udp": ("127.0.0.1", None), "82/tcp": [None, None]})

    def published() -> bool:
        one.reload()
        return len(one.ports.get("82/tcp") or ()) in (2, 4)

    eventually(published)
    assert one.ports["81/udp"][0]["HostIp"] == "127.0.0.1" and int(one.ports["80/tcp"][0]["HostPort"]) > 0
