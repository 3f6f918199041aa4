"""The chapter on networks of a beginner's guide, command by command (with busybox's httpd where the guide has nginx)."""

from __future__ import annotations

import urllib.request

import pytest

from harness.daemon import Daemon
from harness.eventually import eventually
from harness.ports import free_port

pytestmark = pytest.mark.root

WEB = ("busybox", "httpd", "-f", "-h", "/var/www")


def run(engine: Daemon, name: str, network: str, *flags: str) -> None:
    engine.docker("run", "-d", "--name", name, "--network", network, *flags, *WEB)


def fetch(engine: Daemon, container: str, host: str) -> str:
    return engine.docker("exec", container, "wget", "-q", "-O", "-", f"http://{host}/", check=False).out


def address(engine: Daemon, container: str) -> str:
    return next(iter(engine.inspect(container)["NetworkSettings"]["Networks"].values()))["IPAddress"]


def test_bridge_the_default(engine: Daemon) -> None:
    for name in ("container1", "container2"):
        run(engine, name, "bridge")
    assert fetch(engine, "container2", address(engine, "container1")) == "hello from busybox\n"
    assert engine.docker("exec", "container2", "ping", "-c1", "-W2", "container1", check=False).code == 1, (
        "no names here"
    )


def test_host_and_none(engine: Daemon) -> None:
    engine.docker("run", "-d", "--name", "container1", "--network", "host", "busybox", "sleep", "1000")
    engine.docker("run", "-d", "--name", "container2", "--network", "none", "busybox", "sleep", "1000")
    assert engine.docker("exec", "container2", "ls", "/sys/class/net").lines == ["lo"]
    assert engine.inspect("container1")["NetworkSettings"]["Networks"]["host"]["IPAddress"] == ""


def test_a_custom_network_finds_names_and_is_apart(engine: Daemon) -> None:
    engine.docker("network", "create", "--driver", "bridge", "my_custom_network")
    for name in ("container1", "container2"):
        run(engine, name, "my_custom_network")
    ping = engine.docker("exec", "container2", "ping", "-c", "2", "-W", "2", "container1").out
    assert f"PING container1 ({address(engine, 'container1')})" in ping and "0% packet loss" in ping
    assert fetch(engine, "container2", "container1") == "hello from busybox\n"
    run(engine, "outside", "bridge")
    apart = engine.docker("exec", "outside", "ping", "-c1", "-W1", address(engine, "container1"), check=False)
    assert apart.code == 1


def test_subnet_ls_inspect_connect_disconnect_rm(engine: Daemon) -> None:
    created = engine.docker(
        "network", "create", "--driver", "bridge", "--subnet", "192.168.199.0/24", "my_custom_network"
    )
    assert len(created.out.strip()) == 64
    listed = [line.split() for line in engine.docker("network", "ls").lines]
    assert listed[0] == ["NETWORK", "ID", "NAME", "DRIVER", "SCOPE"]
    assert [created.out[:12], "my_custom_network", "bridge", "local"] in listed
    assert {row[1] for row in listed[1:]} >= {"bridge", "host", "none"}
    run(engine, "my_container", "bridge")
    engine.docker("network", "connect", "my_custom_network", "my_container")
    what = "{{(index .IPAM.Config 0).Subnet}} {{range .Containers}}{{.Name}} {{.IPv4Address}}{{end}}"
    shown = engine.docker("network", "inspect", "my_custom_network", "-f", what).out
    assert shown == "192.168.199.0/24 my_container 192.168.199.2/24\n"
    busy = engine.docker("network", "rm", "my_custom_network", check=False)
    assert busy.code == 1 and "has active endpoints" in busy.err
    engine.docker("network", "disconnect", "my_custom_network", "my_container")
    assert engine.docker("network", "rm", "my_custom_network").out == "my_custom_network\n"
    assert engine.docker("network", "inspect", "my_custom_network", check=False).err.strip().endswith("not found")


def test_ports_are_published(engine: Daemon) -> None:
    port = free_port()
    run(engine, "web", "bridge", "-p", f"{port}:80")

    def answers() -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=3) as answer:
            return bool(answer.read() == b"hello from busybox\n")

    eventually(answers)


def test_services_of_an_application_find_one_another(engine: Daemon) -> None:
    """What Compose does with its file: a network, containers with their services' names as aliases."""
    engine.docker(
        "network", "create", "--driver", "bridge", "--label", "com.docker.compose.network=my_network", "app_my_network"
    )
    run(engine, "app-web-1", "app_my_network", "--network-alias", "web")
    run(engine, "app-app-1", "app_my_network", "--network-alias", "app")
    assert fetch(engine, "app-app-1", "web") == fetch(engine, "app-web-1", "app") == "hello from busybox\n"
