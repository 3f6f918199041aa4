"""Cases of networks: attaching, streams and small requests through a published port and between containers, names.

    neighbour ══ the engine's room ══ bridges ══ containers

Servers run in a container's network namespace, clients in a neighbour's or another container's: what is measured is the engine's
network, not its exec. Both engines get the same programs.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from bench import load, peer, rooms
from bench.engines import Engine

HOST, NEIGHBOUR = "192.0.2.1", "192.0.2.2"
PORT = 8080
SECONDS = 1.0
ROUNDS = 9
MEMBERS = 200
NETWORK = "bench-net"
Samples = dict[str, list[float]]
Way = TypeVar("Way")

_SERVER = """
import socket, sys
server = socket.create_server(("", int(sys.argv[1])), backlog=512)
print("ready", flush=True)
while True:
    client, _peer = server.accept()
    client.sendall(client.recv(64))
    client.close()
"""
_CLIENT = """
import socket, sys, time
address, seconds = (sys.argv[1], int(sys.argv[2])), float(sys.argv[3])
done, end = 0, time.perf_counter() + seconds
while time.perf_counter() < end:
    with socket.create_connection(address, 5) as sock:
        sock.sendall(b"question")
        assert sock.recv(64) == b"question"
    done += 1
print(done / seconds)
"""
_RESOLVE = """
import socket, sys, time
names = sys.argv[1:]
def ask(sock, name):
    question = bytes([len(name)]) + name.encode() + b"\\0\\0\\1\\0\\1"
    sock.send(b"\\x12\\x34\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0" + question)
    answer = sock.recv(512)
    assert answer[6:8] == b"\\0\\1" and answer[3] & 15 == 0, (name, answer)
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(5)
sock.connect(("127.0.0.11", 53))
begin = time.perf_counter()
for _ in range(10):
    for name in names:
        ask(sock, name)
print(10 * len(names) / (time.perf_counter() - begin))
"""


def enter(pid: int) -> list[str]:
    return ["nsenter", "-t", str(pid), "-n", "--"]


@contextlib.contextmanager
def neighbour(engine: Engine) -> Iterator[list[str]]:
    """A host beside the engine's; what to put before a command that shall run there."""
    with subprocess.Popen([sys.executable, rooms.__file__, "--", "cat"], stdin=subprocess.PIPE) as room:
        while Path(f"/proc/{room.pid}/comm").read_text() != "cat\n":
            time.sleep(0.01)
        subprocess.run(["ip", "link", "add", "w0", "netns", str(engine.pid), "type", "veth", "peer", "name", "w0", "netns",
                        str(room.pid)], check=True)  # fmt: skip
        for pid, address in ((engine.pid, HOST), (room.pid, NEIGHBOUR)):
            subprocess.run([*enter(pid), "ip", "address", "add", f"{address}/24", "dev", "w0"], check=True)
            subprocess.run([*enter(pid), "ip", "link", "set", "w0", "up"], check=True)
        try:
            yield enter(room.pid)
        finally:
            subprocess.run([*enter(engine.pid), "ip", "link", "delete", "w0"], check=True)
            room.kill()


def container(engine: Engine, name: str, network: str = "bridge", *, published: bool = False) -> dict[str, Any]:
    """A running one, as inspect shows it."""
    bindings = {f"{PORT}/tcp": [{"HostPort": str(PORT)}], "5201/tcp": [{"HostPort": "5201"}]} if published else {}
    body = {
        "Image": "busybox", "Cmd": ["sleep", "100000"], "ExposedPorts": {port: {} for port in bindings},
        "HostConfig": {"NetworkMode": network, "PortBindings": bindings},
    }  # fmt: skip
    load.ask(engine.socket, "POST", f"/containers/create?name={name}", body)
    load.ask(engine.socket, "POST", f"/containers/{name}/start")
    found: dict[str, Any] = load.ask(engine.socket, "GET", f"/containers/{name}/json")
    return found


def remove(engine: Engine, *names: str, network: str = "") -> None:
    for name in names:
        load.ask(engine.socket, "DELETE", f"/containers/{name}?force=1")
    if network:
        load.ask(engine.socket, "DELETE", f"/networks/{network}")


def attach(engines: Sequence[Engine]) -> Samples:
    """Milliseconds of creating a network, creating a container, connecting it, starting it; by the API."""
    taken: Samples = {engine.name: [] for engine in engines}
    for turn in range(2 * ROUNDS + 1):
        for engine in engines:
            begin = time.perf_counter()
            load.ask(engine.socket, "POST", "/networks/create", {"Name": NETWORK})
            load.ask(
                engine.socket, "POST", "/containers/create?name=one", {"Image": "busybox", "Cmd": ["sleep", "100"]}
            )
            load.ask(engine.socket, "POST", f"/networks/{NETWORK}/connect", {"Container": "one"})
            load.ask(engine.socket, "POST", "/containers/one/start")
            if turn:
                taken[engine.name].append((time.perf_counter() - begin) * 1e3)
            remove(engine, "one", network=NETWORK)
    return taken


Measure = Callable[[list[str], int, list[str], str, int], float]
"""Server's namespace, its port, client's namespace, address and port that it asks."""


def requests(server: list[str], port: int, client: list[str], address: str, asked: int) -> float:
    """Connections a second that ask one thing, one after another."""
    with subprocess.Popen([*server, sys.executable, "-c", _SERVER, str(port)], stdout=subprocess.PIPE) as serving:
        assert serving.stdout is not None and serving.stdout.readline()
        try:
            return float(output([*client, sys.executable, "-c", _CLIENT, address, str(asked), str(SECONDS)]))
        finally:
            serving.kill()


def stream(server: list[str], port: int, client: list[str], address: str, asked: int) -> float:
    """iperf3's Gbit a second of one TCP stream."""
    iperf = peer.ensure_program("iperf3")
    with subprocess.Popen(
        [*server, *iperf, "-s", "-1", "-p", str(port), "--forceflush"], stdout=subprocess.PIPE
    ) as serving:
        assert serving.stdout is not None
        while b"listening" not in serving.stdout.readline():
            continue
        try:
            said = output([*client, *iperf, "-J", "-c", address, "-p", str(asked), "-t", str(int(SECONDS))])
        finally:
            serving.kill()
    return float(json.loads(said)["end"]["sum_received"]["bits_per_second"]) / 1e9


def output(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:8])}: {done.stderr or done.stdout}")
    return done.stdout


def in_turn(ways: list[Way], turn: int) -> list[Way]:
    """Who is first changes: what the machine does beside wanders."""
    return ways[::-1] if turn % 2 else ways


def through_a_port(engines: Sequence[Engine], measure: Measure) -> Samples:
    """From a neighbour on the LAN through a published port."""
    taken: Samples = {engine.name: [] for engine in engines}
    with contextlib.ExitStack() as stack:
        ways = []
        for engine in engines:
            asker = stack.enter_context(neighbour(engine))
            inside = enter(container(engine, "web", published=True)["State"]["Pid"])
            stack.callback(remove, engine, "web")
            ways.append((engine, inside, asker))
        for turn in range(ROUNDS):
            for engine, inside, client in in_turn(ways, turn):
                taken[engine.name].append(measure(inside, PORT, client, HOST, PORT))
    return taken


def between(engines: Sequence[Engine], measure: Measure) -> Samples:
    """From one container to another on a network of their own."""
    taken: Samples = {engine.name: [] for engine in engines}
    with contextlib.ExitStack() as stack:
        ways = []
        for engine in engines:
            load.ask(engine.socket, "POST", "/networks/create", {"Name": NETWORK})
            stack.callback(remove, engine, "web", "client", network=NETWORK)
            web, other = (container(engine, name, NETWORK) for name in ("web", "client"))
            address = web["NetworkSettings"]["Networks"][NETWORK]["IPAddress"]
            ways.append((engine, enter(web["State"]["Pid"]), enter(other["State"]["Pid"]), address))
        for turn in range(ROUNDS):
            for engine, server, client, address in in_turn(ways, turn):
                taken[engine.name].append(measure(server, PORT, client, address, PORT))
    return taken


def names(engines: Sequence[Engine]) -> Samples:
    """Names a second that one of 200 containers resolves, every one of them right."""
    taken: Samples = {engine.name: [] for engine in engines}
    members = [f"member{n}" for n in range(MEMBERS)]
    with contextlib.ExitStack() as stack:
        ways = []
        for engine in engines:
            load.ask(engine.socket, "POST", "/networks/create", {"Name": NETWORK})
            stack.callback(remove, engine, *members, network=NETWORK)
            ways.append((engine, [container(engine, name, NETWORK)["State"]["Pid"] for name in members][-1]))
        for turn in range(ROUNDS):
            for engine, pid in in_turn(ways, turn):
                taken[engine.name].append(float(output([*enter(pid), sys.executable, "-c", _RESOLVE, *members])))
    return taken
