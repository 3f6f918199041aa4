"""Network and IPAM plugins by Docker's remote protocols: a stand-in on a socket, in a room of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.eventually import eventually
from harness.network_plugin import BRIDGE
from harness.network_plugin import __file__ as program
from harness.rooms import Room, RoomDaemon, end

pytestmark = pytest.mark.root


class Plugged(RoomDaemon):
    """A daemon beside a plugin called ``standin``; ``calls`` is what the plugin was asked since the last ``forget``."""

    def begin(self, stack: ExitStack) -> None:
        self.room.run("mount", "-t", "tmpfs", "tmpfs", "/run")  # the room's own; the machine keeps its /run
        self.room.run("mkdir", "-p", "/run/docker/plugins")
        self._calls = f"{self.root}/calls"
        plugin = subprocess.Popen(
            [*self.room.enter, sys.executable, program, "/run/docker/plugins/standin.sock", self._calls],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        stack.callback(end, plugin)
        assert plugin.stdout is not None and plugin.stdout.readline() == "ready\n"
        self.start()
        self.load_busybox()

    def forget(self) -> None:
        if os.path.exists(self._calls):
            os.unlink(self._calls)

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """The plugin answers nothing meanwhile."""
        Path(f"{self._calls}.stall").touch()
        try:
            yield
        finally:
            os.unlink(f"{self._calls}.stall")

    def calls(self, method: str = "") -> list[Any]:
        """The bodies of a method's calls; without one, the names of all methods."""
        if not os.path.exists(self._calls):
            return []
        with open(self._calls, encoding="utf-8") as file:
            found = [json.loads(line) for line in file]
        return [body for name, body in found if name == method] if method else [name for name, _body in found]


@pytest.fixture(scope="module")
def _engine() -> Iterator[Plugged]:
    with ExitStack() as stack:
        room = Room()
        stack.callback(room.close)
        engine = Plugged(room)
        stack.callback(engine.close)
        engine.begin(stack)
        yield engine


@pytest.fixture
def engine(_engine: Plugged) -> Iterator[Plugged]:
    yield _engine
    _engine.remove_all()
    _engine.forget()


def create(engine: Plugged, *flags: str) -> str:
    made = engine.docker("network", "create", "-d", "standin", "--subnet", "10.66.0.0/24", *flags, "theirs").out
    return made.strip()


def test_a_network_of_a_plugins(engine: Plugged) -> None:
    made = create(engine, "-o", "color=blue", "--aux-address", "router=10.66.0.9")
    (asked,) = engine.calls("NetworkDriver.CreateNetwork")
    assert asked["NetworkID"] == made and asked["Options"]["com.docker.network.generic"] == {"color": "blue"}
    assert asked["IPv4Data"] == [{
        "AddressSpace": "LocalDefault", "Pool": "10.66.0.0/24", "Gateway": "10.66.0.1/24",
        "AuxAddresses": {"router": "10.66.0.9/24"},
    }]  # fmt: skip
    shown = json.loads(engine.docker("network", "inspect", "theirs").out)[0]
    assert (shown["Driver"], shown["Scope"], shown["Options"]) == ("standin", "local", {"color": "blue"})
    engine.docker("network", "rm", "theirs")
    assert engine.calls("NetworkDriver.DeleteNetwork") == [{"NetworkID": made}]


def test_containers_in_it(engine: Plugged) -> None:
    """Its link, its name for it, its MAC, its gateway and routes; our addresses and names."""
    create(engine)
    engine.docker("run", "-d", "--name", "one", "--network", "theirs", "-p", "8080:80", "busybox", "sleep", "1000")
    engine.docker("run", "-d", "--name", "two", "--network", "theirs", "--mac-address", "02:00:00:00:00:22", "busybox", "sleep",
                  "1000")  # fmt: skip
    assert "1 packets received" in engine.docker("exec", "two", "ping", "-c1", "-W2", "one").out
    routes = [line.split() for line in engine.docker("exec", "one", "ip", "route").lines]
    assert ["default", "via", "10.66.0.1", "dev", "plug0"] in routes
    assert ["10.67.0.0/16", "via", "10.66.0.1", "dev", "plug0"] in routes
    assert any(r[:3] == ["10.68.0.0/16", "dev", "plug0"] for r in routes)
    one, two = (engine.inspect(n)["NetworkSettings"]["Networks"]["theirs"] for n in ("one", "two"))
    created = engine.calls("NetworkDriver.CreateEndpoint")
    assert created[0]["Interface"] == {"Address": f"{one['IPAddress']}/24", "AddressIPv6": "", "MacAddress": ""}
    assert created[1]["Interface"]["MacAddress"] == two["MacAddress"] == "02:00:00:00:00:22"
    assert one["MacAddress"].startswith("02:70:")
    assert one["MacAddress"] in engine.docker("exec", "one", "ip", "link", "show", "plug0").out
    (ports,) = (
        c["Options"]["com.docker.network.portmap"]
        for c in engine.calls("NetworkDriver.ProgramExternalConnectivity")[:1]
    )
    assert [(p["Proto"], p["Port"], p["HostPort"]) for p in ports] == [(6, 80, 8080)]
    engine.forget()
    engine.docker("stop", "-t", "0", "one")
    names = {"NetworkID": one["NetworkID"], "EndpointID": one["EndpointID"]}
    eventually(lambda: engine.calls("NetworkDriver.DeleteEndpoint") == [names])
    assert engine.calls() == [f"NetworkDriver.{m}" for m in ("RevokeExternalConnectivity", "Leave", "DeleteEndpoint")]


def test_connected_and_disconnected_while_it_runs(engine: Plugged) -> None:
    create(engine)
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    engine.docker("network", "connect", "theirs", "box")
    assert "inet 10.66.0." in engine.docker("exec", "box", "ip", "address", "show", "plug1").out
    engine.docker("network", "disconnect", "theirs", "box")
    assert "plug1" not in engine.docker("exec", "box", "ip", "link").out
    assert engine.calls()[-2:] == ["NetworkDriver.Leave", "NetworkDriver.DeleteEndpoint"]
    assert BRIDGE in engine.room.run("ip", "link") and "ph" not in engine.room.run(
        "ip", "-o", "link", "show", "master", BRIDGE
    )


def test_the_daemon_is_killed(engine: Plugged) -> None:
    """The plugin keeps what it has: nothing is made twice, and it is told of what ended meanwhile."""
    create(engine)
    for name in ("stays", "ends"):
        engine.docker("run", "-d", "--name", name, "--network", "theirs", "busybox", "sleep", "1000")
    pid, gone = (engine.inspect(n)["State"]["Pid"] for n in ("stays", "ends"))
    ended = engine.inspect("ends")["NetworkSettings"]["Networks"]["theirs"]["EndpointID"]
    engine.kill9()
    os.kill(gone, 9)
    eventually(lambda: not os.path.exists(f"/proc/{gone}") or open(f"/proc/{gone}/stat").read().split()[2] == "Z")  # noqa: SIM115
    engine.forget()
    engine.start()
    assert engine.inspect("stays")["State"]["Pid"] == pid
    assert "NetworkDriver.CreateNetwork" not in engine.calls()
    eventually(lambda: [c["EndpointID"] for c in engine.calls("NetworkDriver.Leave")] == [ended])
    engine.docker("exec", "stays", "ping", "-c1", "-W2", "10.66.0.1")
    engine.docker("rm", "-f", "stays", "ends")
    engine.docker("network", "rm", "theirs")
    assert BRIDGE not in engine.room.run("ip", "link")


def test_what_a_plugin_refuses(engine: Plugged) -> None:
    refused = engine.docker("network", "create", "-d", "standin", "--subnet", "10.66.0.0/24", "-o", "refuse=not today", "theirs",
                            check=False)  # fmt: skip
    assert refused.code == 1 and "NetworkDriver.CreateNetwork: not today" in refused.err
    assert "theirs" not in engine.docker("network", "ls").out
    refused = engine.docker("network", "create", "-d", "nobody", "theirs", check=False)
    assert "could not find plugin nobody in v1 plugin registry: plugin not found" in refused.err
    refused = engine.docker("network", "create", "--ipam-driver", "nobody", "theirs", check=False)
    assert "could not find plugin nobody in v1 plugin registry: plugin not found" in refused.err


def test_addresses_from_a_plugin(engine: Plugged) -> None:
    """--ipam-driver, on a bridge of ours."""
    engine.docker("network", "create", "--ipam-driver", "standin", "--ipam-opt", "area=7", "theirs")
    (pool,) = engine.calls("IpamDriver.RequestPool")
    assert (pool["AddressSpace"], pool["Pool"], pool["Options"], pool["V6"]) == ("here", "", {"area": "7"}, False)
    shown = json.loads(engine.docker("network", "inspect", "theirs").out)[0]["IPAM"]
    assert shown["Driver"] == "standin" and shown["Config"] == [{"Subnet": "10.69.0.0/24", "Gateway": "10.69.0.254"}]
    engine.docker("run", "-d", "--name", "box", "--network", "theirs", "busybox", "sleep", "1000")
    given = engine.inspect("box")["NetworkSettings"]["Networks"]["theirs"]
    assert given["IPAddress"].startswith("10.69.0.1") and given["Gateway"] == "10.69.0.254"
    assert "1 packets received" in engine.docker("exec", "box", "ping", "-c1", "-W2", "10.69.0.254").out
    engine.docker("rm", "-f", "box")
    released = {"PoolID": "pool-1", "Address": given["IPAddress"]}
    eventually(lambda: engine.calls("IpamDriver.ReleaseAddress") == [released])
    engine.docker("network", "rm", "theirs")
    assert engine.calls("IpamDriver.ReleasePool") == [{"PoolID": "pool-1"}]


def test_a_plugin_that_wants_to_be_told_again(engine: Plugged) -> None:
    """RequiresRequestReplay: pools, gateways and addresses of containers that ran on, when the engine starts again."""
    engine.docker("network", "create", "--ipam-driver", "standin", "--ipam-opt", "area=7", "theirs")
    engine.docker("run", "-d", "--name", "box", "--network", "theirs", "busybox", "sleep", "1000")
    own = engine.inspect("box")["NetworkSettings"]["Networks"]["theirs"]
    engine.kill9()
    engine.forget()
    engine.start()
    eventually(lambda: len(engine.calls("IpamDriver.RequestAddress")) == 2)
    (pool,) = engine.calls("IpamDriver.RequestPool")
    assert (pool["AddressSpace"], pool["Pool"], pool["Options"]) == ("here", "10.69.0.0/24", {"area": "7"})
    gateway, address = engine.calls("IpamDriver.RequestAddress")
    assert gateway["Address"] == "10.69.0.254" and gateway["Options"]["RequestAddressType"].endswith(".gateway")
    assert (address["PoolID"], address["Address"]) == ("pool-1", own["IPAddress"])
    assert address["Options"] == {"com.docker.network.endpoint.macaddress": own["MacAddress"]}


def test_a_plugin_that_does_not_answer_holds_up_nobody_else(engine: Plugged) -> None:
    """Neither networks that are made meanwhile, nor containers that start, nor the daemon's own start."""
    taken = ("network", "create", "--subnet", "10.66.0.0/25", "taken")
    create(engine)  # it is known as a driver from now on
    engine.docker("network", "rm", "theirs")
    with waiting(engine, ["network", "create", "-d", "standin", "--subnet", "10.66.0.0/24", "theirs"],
                 ["network", "create", "--ipam-driver", "standin", "addressed"]):  # fmt: skip
        assert "Pool overlaps with other one" in engine.docker(*taken, check=False).err
        assert "theirs" not in engine.docker("network", "ls").out, "it is not there before its plugin has made it"
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    with waiting(engine, ["run", "-d", "--name", "held", "--network", "theirs", "busybox", "sleep", "1000"],
                 ["network", "connect", "addressed", "box"], ["network", "connect", "theirs", "box"]):  # fmt: skip
        engine.docker("exec", "box", "ip", "address")
    assert "10.66.0." in engine.docker("exec", "held", "ip", "address", "show", "plug0").out
    assert "1 packets received" in engine.docker("exec", "box", "ping", "-c1", "-W2", "held").out
    with engine.stalled():
        engine.kill9()
        engine.start()
        engine.docker("run", "--rm", "busybox", "true")


@contextmanager
def waiting(engine: Plugged, *commands: list[str]) -> Iterator[None]:
    """These commands wait for the plugin, and nothing else does."""
    with engine.stalled():
        engine.forget()
        clients = [engine.docker_popen(*commands[0])]
        eventually(lambda: engine.calls(), why="the first of them is with the plugin")
        clients += [engine.docker_popen(*words) for words in commands[1:]]
        engine.docker("network", "create", "ours")
        engine.docker("run", "-d", "--name", "web", "--network", "ours", "-p", "8080:80", "busybox", "sleep", "1000")
        engine.docker("network", "connect", "bridge", "web")
        engine.docker("rm", "-f", "web")
        engine.docker("network", "rm", "ours")
        yield
        assert [client.poll() for client in clients] == [None] * len(clients)
    said = [client.communicate(timeout=30) for client in clients]
    assert [client.returncode for client in clients] == [0] * len(clients), said
