"""``docker network``: user-defined bridge networks through the stock CLI."""

from __future__ import annotations

import json

import pytest

from harness.daemon import Daemon
from harness.eventually import eventually

pytestmark = pytest.mark.root


def address(engine: Daemon, container: str, network: str) -> str:
    return str(engine.inspect(container)["NetworkSettings"]["Networks"][network]["IPAddress"])


def interfaces(engine: Daemon, container: str) -> list[str]:
    return engine.docker("exec", container, "ls", "/sys/class/net").out.split()


def test_create_list_inspect_remove(engine: Daemon) -> None:
    ident = engine.docker(
        "network", "create", "--label", "a=b", "--subnet", "10.233.7.0/24", "--gateway", "10.233.7.9", "n1"
    ).out.strip()
    assert len(ident) == 64
    listed = engine.docker("network", "ls", "--filter", "label=a", "--format", "{{.Name}} {{.Driver}} {{.Scope}}").lines
    assert listed == ["n1 bridge local"]
    found = json.loads(engine.docker("network", "inspect", ident[:8]).out)[0]
    assert found["Name"] == "n1" and found["Labels"] == {"a": "b"} and found["Containers"] == {}
    assert found["IPAM"]["Config"] == [{"Subnet": "10.233.7.0/24", "Gateway": "10.233.7.9"}]
    assert engine.docker("network", "rm", "n1").lines == ["n1"]
    gone = engine.docker("network", "inspect", "n1", check=False)
    assert gone.code == 1 and "network n1 not found" in gone.err


def test_what_is_refused(engine: Daemon) -> None:
    engine.docker("network", "create", "--subnet", "10.233.8.0/24", "n1")
    for words, sentence in (
        (("n1",), "network with name n1 already exists"),
        (("--subnet", "10.233.8.128/25", "n2"), "Pool overlaps with other one on this address space"),
        (("--subnet", "10.233.9.1/24", "n2"), "invalid subnet 10.233.9.1/24: it should be 10.233.9.0/24"),
        (("-d", "nope", "n2"), "could not find plugin nope in v1 plugin registry: plugin not found"),
        (("-d", "host", "n2"), 'only one instance of "host" network is allowed'),
        (("bridge",), "operation is not permitted on predefined bridge network"),
        (("-o", "com.docker.network.driver.mtu=x", "n2"), "invalid value for option"),
        (("-o", "com.docker.network.bridge.name=a_name_too_long_for_it", "n2"), "at most 15 characters"),
    ):  # fmt: skip
        result = engine.docker("network", "create", *words, check=False)
        assert result.code == 1 and sentence in result.err, (words, result)
    assert "pre-defined network and cannot be removed" in engine.docker("network", "rm", "bridge", check=False).err
    missing = engine.docker("run", "--rm", "--network", "nope", "busybox", "true", check=False)
    assert missing.code == 125 and "network nope not found" in missing.err


def test_several_networks_at_create(engine: Daemon) -> None:
    for name, subnet in (("front", "10.233.10.0/24"), ("back", "10.233.11.0/24")):
        engine.docker("network", "create", "--subnet", subnet, name)
    engine.docker(
        "run", "-d", "--name", "c1", "--network", "name=front,ip=10.233.10.77,alias=web,mac-address=02:11:22:33:44:55",
        "--network", "name=back,gw-priority=1,driver-opt=com.docker.network.endpoint.ifname=inner0", "busybox", "sleep", "1000",
    )  # fmt: skip
    networks = engine.inspect("c1")["NetworkSettings"]["Networks"]
    assert networks["front"]["IPAddress"] == "10.233.10.77" and networks["front"]["MacAddress"] == "02:11:22:33:44:55"
    assert networks["front"]["Aliases"] == ["web"] and networks["front"]["DNSNames"][:2] == ["c1", "web"]
    assert networks["back"]["GwPriority"] == 1
    assert interfaces(engine, "c1") == ["eth0", "inner0", "lo"]
    assert "default via 10.233.11.1 dev inner0" in engine.docker("exec", "c1", "ip", "route").out
    hosts = engine.docker("exec", "c1", "cat", "/etc/hosts").out
    assert "10.233.10.77\t" in hosts and networks["back"]["IPAddress"] in hosts


def test_connect_and_disconnect_live(engine: Daemon) -> None:
    engine.docker("network", "create", "n1")
    engine.docker("run", "-d", "--name", "a1", "busybox", "sleep", "1000")
    engine.docker("run", "-d", "--name", "b1", "--network", "n1", "busybox", "sleep", "1000")
    engine.docker("network", "connect", "--alias", "other", "n1", "a1")
    assert interfaces(engine, "a1") == ["eth0", "eth1", "lo"]
    ping = ("exec", "a1", "ping", "-c1", "-W10", address(engine, "b1", "n1"))
    eventually(lambda: engine.docker(*ping, check=False).code == 0)
    assert {c["Name"] for c in engine.api("GET", "/networks/n1").body["Containers"].values()} == {"a1", "b1"}
    busy = engine.docker("network", "rm", "n1", check=False)
    assert busy.code == 1 and "has active endpoints" in busy.err
    again = engine.docker("network", "connect", "n1", "a1", check=False)
    assert again.code == 1 and "already exists in network n1" in again.err
    engine.docker("network", "disconnect", "bridge", "a1")
    assert interfaces(engine, "a1") == ["eth1", "lo"]
    assert f"default via {engine.api('GET', '/networks/n1').body['IPAM']['Config'][0]['Gateway']}" in engine.docker(
        "exec", "a1", "ip", "route"
    ).out  # fmt: skip
    engine.docker("restart", "-t0", "a1")
    assert interfaces(engine, "a1") == ["eth0", "lo"] and address(engine, "a1", "n1")
    engine.docker("network", "disconnect", "n1", "a1")
    gone = engine.docker("network", "disconnect", "n1", "a1", check=False)
    assert gone.code == 1 and "is not connected to network n1" in gone.err


def test_a_stopped_container_is_connected_at_its_start(engine: Daemon) -> None:
    engine.docker("network", "create", "--subnet", "10.233.12.0/24", "n1")
    engine.docker("create", "--name", "a1", "busybox", "sleep", "1000")
    engine.docker("network", "connect", "--ip", "10.233.12.50", "n1", "a1")
    engine.docker("start", "a1")
    assert address(engine, "a1", "n1") == "10.233.12.50"
    taken = engine.docker("run", "--rm", "--network", "n1", "--ip", "10.233.12.50", "busybox", "true", check=False)
    assert taken.code == 125 and "Address already in use" in taken.err
    outside = engine.docker("run", "--rm", "--network", "n1", "--ip", "10.9.9.9", "busybox", "true", check=False)
    assert "no configured subnet or ip-range contain the IP address 10.9.9.9" in outside.err


def test_static_addresses_need_a_subnet_of_the_users(engine: Daemon) -> None:
    engine.docker("network", "create", "n1")
    for network, sentence in (
        ("n1", "user specified IP address is supported only when connecting to networks with user configured subnets"),
        ("bridge", "user specified IP address is supported on user defined networks only"),
    ):
        result = engine.docker("run", "--rm", "--network", network, "--ip", "10.9.9.9", "busybox", "true", check=False)
        assert result.code == 125 and sentence in result.err


def test_prune_takes_what_nobody_uses(engine: Daemon) -> None:
    for name in ("n1", "n2", "n3"):
        engine.docker("network", "create", "--label", f"name={name}", name)
    engine.docker("run", "-d", "--network", "n1", "busybox", "sleep", "1000")
    engine.docker("create", "--network", "n2", "busybox", "true")
    assert engine.docker("network", "ls", "-q", "--filter", "dangling=true", "--no-trunc").lines
    assert engine.docker("network", "prune", "-f", "--filter", "label!=name=n3").lines in (
        [],
        ["Total reclaimed space: 0B"],
    )
    assert engine.docker("network", "prune", "-f").lines[:2] == ["Deleted Networks:", "n3"]
    names = engine.docker("network", "ls", "--filter", "type=custom", "--format", "{{.Name}}").lines
    assert sorted(names) == ["n1", "n2"]


def test_events(engine: Daemon) -> None:
    since = engine.docker("info", "--format", "{{.SystemTime}}").out.strip()
    engine.docker("network", "create", "n1")
    engine.docker("run", "--rm", "--network", "n1", "busybox", "true")
    engine.docker("network", "rm", "n1")

    def told() -> bool:
        lines = engine.docker("events", "--since", since, "--until", "0s", "--filter", "type=network",
                              "--format", "{{.Action}} {{.Actor.Attributes.name}} {{.Actor.Attributes.type}}").lines  # fmt: skip
        return lines == [f"{action} n1 bridge" for action in ("create", "connect", "disconnect", "destroy")]

    eventually(told)


def test_options_of_the_bridge(engine: Daemon) -> None:
    name = f"x{engine.bridge[2:]}"
    engine.docker(
        "network",
        "create",
        "-o",
        f"com.docker.network.bridge.name={name}",
        "--opt",
        "com.docker.network.driver.mtu=1400",
        "n1",
    )
    engine.docker("run", "-d", "--name", "c1", "--network", "n1", "busybox", "sleep", "1000")
    with open(f"/sys/class/net/{name}/mtu", encoding="ascii") as file:
        assert file.read().strip() == "1400"
    assert engine.docker("exec", "c1", "cat", "/sys/class/net/eth0/mtu").out.strip() == "1400"


def test_containers_of_icc_false_reach_the_gateway_only(engine: Daemon) -> None:
    engine.docker("network", "create", "-o", "com.docker.network.bridge.enable_icc=false", "n1")
    for name in ("a1", "b1"):
        engine.docker("run", "-d", "--name", name, "--network", "n1", "busybox", "sleep", "1000")
    gateway = engine.inspect("a1")["NetworkSettings"]["Networks"]["n1"]["Gateway"]
    engine.docker("exec", "a1", "ping", "-c1", "-W2", gateway)
    assert engine.docker("exec", "a1", "ping", "-c1", "-W1", address(engine, "b1", "n1"), check=False).code == 1


def test_an_endpoints_sysctls(engine: Daemon) -> None:
    engine.docker("network", "create", "n1")
    option = "com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1"
    out = engine.docker("run", "--rm", "--network", f'name=n1,"driver-opt={option}"', "busybox",
                        "cat", "/proc/sys/net/ipv4/conf/eth0/log_martians").out  # fmt: skip
    assert out.strip() == "1"


def test_our_own_cli_speaks_the_same(engine: Daemon) -> None:
    engine.berth("network", "create", "--subnet", "10.233.13.0/24", "--ip-range", "10.233.13.128/25",
                 "--gateway", "10.233.13.1", "--aux-address", "router=10.233.13.129", "n1")  # fmt: skip
    engine.berth("run", "-d", "--name", "c1", "--network", "name=n1,alias=web", "busybox", "sleep", "1000")
    assert address(engine, "c1", "n1") == "10.233.13.128"
    engine.berth("network", "disconnect", "n1", "c1")
    engine.berth("network", "connect", "--ip", "10.233.13.7", "n1", "c1")
    assert address(engine, "c1", "n1") == "10.233.13.7"
    engine.berth("rm", "-f", "c1")
    assert engine.berth("network", "prune", "-f").lines[:2] == ["Deleted Networks:", "n1"]
    assert engine.berth("network", "rm", "n1", check=False).code == 1
