"""``Room``: a network and mount namespace of a test's own, and neighbours on a wire to it.

    neighbour ══ veth ══ room (a daemon, its bridges, its firewall) ══ ...

What a test does to the firewall, to links or to /etc in a room, the machine never sees.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from harness.daemon import Daemon
from harness.eventually import eventually

_TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

_CONNECT = """
import socket, sys
address, port, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
sock = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM, 132 if kind == "sctp" else 0)
sock.settimeout(float(sys.argv[4]))
try:
    sock.connect((address, port))
    if kind == "udp":
        sock.send(b"who")
    print(sock.recv(200).decode().strip())
except OSError as err:
    print("-", err)
"""
_SERVE = """
import os, socket, sys, threading
def udp(family):
    sock = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6: sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind(("", port))
    while True:
        words, peer = sock.recvfrom(2048)
        sock.sendto(("from " + peer[0]).encode(), peer)
def tcp(family):
    accept(socket.create_server(("", port), family=family, backlog=64))
def sctp(family):
    try:
        sock = socket.socket(family, socket.SOCK_STREAM, 132)
    except OSError:
        return  # not this kernel
    if family == socket.AF_INET6: sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind(("", port))
    sock.listen(64)
    accept(sock)
def accept(sock):
    while True:
        client, peer = sock.accept()
        client.sendall(("from " + peer[0] + "\\n").encode())
        client.close()
port = int(sys.argv[1])
for family in (socket.AF_INET, socket.AF_INET6):
    for work in (udp, tcp, sctp):
        threading.Thread(target=work, args=(family,)).start()
print("ready", flush=True)
sys.stdin.read()
os._exit(0)
"""


_CLIENT = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
sock = socket.socket(family, socket.SOCK_DGRAM)
sock.settimeout(0.3)
sock.bind(("", 40000))
for line in sys.stdin:
    try:
        sock.sendto(b"who", (sys.argv[1], int(sys.argv[2])))
        print(sock.recv(200).decode().strip(), flush=True)
    except OSError as err:
        print("-", err, flush=True)
"""


_ECHO = """
import socket, sys
server = socket.create_server(("", int(sys.argv[1])))
print("ready", flush=True)
client, _peer = server.accept()
while words := client.recv(65536):
    client.sendall(words)
"""
_TALK = """
import socket, sys
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)
for line in sys.stdin:
    words = line.encode()
    sock.sendall(words)
    back = b""
    while len(back) < len(words):
        back += sock.recv(65536)
    print(back.decode().strip(), flush=True)
"""


class Talk:
    """One TCP connection that stays open: ``say`` gives back the echo."""

    def __init__(self, server: Sequence[str], port: int, client: Sequence[str], address: str, host_port: int) -> None:
        self._ends = [self._start([*server, sys.executable, "-c", _ECHO, str(port)])]
        assert self._ends[0].stdout is not None and self._ends[0].stdout.readline() == "ready\n"
        self._ends.append(self._start([*client, sys.executable, "-c", _TALK, address, str(host_port)]))

    @staticmethod
    def _start(command: list[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, *_exc: object) -> None:
        for process in self._ends:
            end(process)

    def say(self, words: str) -> str:
        client = self._ends[1]
        assert client.stdin is not None and client.stdout is not None
        client.stdin.write(f"{words}\n")
        client.stdin.flush()
        return client.stdout.readline().strip()


class UdpClient:
    """One flow: every question leaves from the same port."""

    def __init__(self, enter: Sequence[str], address: str, port: int) -> None:
        self._process = subprocess.Popen(
            [*enter, sys.executable, "-c", _CLIENT, address, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )  # fmt: skip

    def __enter__(self) -> UdpClient:
        return self

    def __exit__(self, *_exc: object) -> None:
        end(self._process)

    def ask(self) -> str:
        """The answer, "" for none."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        said = self._process.stdout.readline().strip()
        return "" if said.startswith("-") else said


class Room:
    """A namespace that lives until ``close``. ``run`` runs a program inside."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.rooms", "--", "cat"],
            cwd=_TOP,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )  # cat ends with whoever made the room
        self._wires = 0
        self._folders: list[str] = []
        self._more: list[subprocess.Popen[str]] = []
        eventually(lambda: open(f"/proc/{self.pid}/comm").read() == "cat\n", why="the room is made")  # noqa: SIM115

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def enter(self) -> list[str]:
        """What to put before a command."""
        return ["nsenter", "-t", str(self.pid), "-n", "-m", "--"]

    def run(self, *command: str, check: bool = True, stdin: str | None = None) -> str:
        done = subprocess.run([*self.enter, *command], capture_output=True, text=True, input=stdin, timeout=60)
        assert not check or done.returncode == 0, f"{command} ended with {done.returncode}: {done.stderr}"
        return done.stdout

    def own_etc(self) -> None:
        """A copy of /etc that the machine does not see."""
        folder = self.run("mktemp", "-d", "/dev/shm/room-XXXXXX").strip()
        self._folders.append(folder)
        self.run("cp", "-a", "/etc/.", folder)
        self.run("mount", "--bind", folder, "/etc")

    def write(self, path: str, text: str) -> None:
        """A file of the room's."""
        self.run("dd", f"of={path}", "status=none", stdin=text)

    def wire(self, other: Room, here: Sequence[str], there: Sequence[str]) -> str:
        """A cable to another room with these addresses at its ends; returns the name of our end."""
        name, peer = f"w{self._wires}", f"w{other._wires}"
        self._wires += 1
        other._wires += 1
        subprocess.run(
            ["ip", "link", "add", name, "netns", str(self.pid), "type", "veth", "peer", "name", peer, "netns", str(other.pid)],
            check=True,
        )  # fmt: skip
        for room, link, addresses in ((self, name, here), (other, peer, there)):
            for address in addresses:
                room.run("ip", "address", "add", address, "dev", link, *(["nodad"] if ":" in address else []))
            room.run("ip", "link", "set", link, "up")
        return name

    def ask(self, address: str, port: int, kind: str = "tcp", timeout_s: float = 1.0) -> str:
        """What a server of ``serve`` says: "from <the address it saw>"; "" when nobody answers."""
        said = self.run(sys.executable, "-c", _CONNECT, address, str(port), kind, str(timeout_s)).strip()
        return "" if said.startswith("-") else said

    def udp_client(self, address: str, port: int) -> UdpClient:
        """A client that keeps to one flow."""
        return UdpClient(self.enter, address, port)

    def serve(self, port: int) -> None:
        """A TCP, UDP and (where the kernel has it) SCTP server on both IP versions that says who came."""
        self._more.append(serve_in(self.enter, port))

    def close(self) -> None:
        for process in [*self._more, self._process]:
            end(process)
        for folder in self._folders:
            shutil.rmtree(folder)


def serve_in(enter: Sequence[str], port: int) -> subprocess.Popen[str]:
    """The server of ``Room.serve`` behind any nsenter. The caller kills it."""
    server = subprocess.Popen(
        [*enter, sys.executable, "-c", _SERVE, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    assert server.stdout.readline() == "ready\n"
    return server


def end(process: subprocess.Popen[Any]) -> None:
    """Kill it and close its pipes."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


class RoomDaemon(Daemon):
    """A daemon inside a room. Its bridge is chosen by itself: docker0 with 172.17.0.0/16 are free there."""

    def __init__(self, room: Room, *flags: str, **how: object) -> None:
        super().__init__(*flags, **how)  # type: ignore[arg-type]
        self.room = room
        self._servers: list[subprocess.Popen[str]] = []

    def command(self) -> list[str]:
        return [
            *self.room.enter, sys.executable, "-m", "berth.daemon.main", "--host", self.host, "--data-root", self.data_root,
            "--exec-root", self.run_root, "--pidfile", f"{self.root}/pid", *self.flags,
        ]  # fmt: skip

    def serve(self, container: str, port: int = 80) -> None:
        """The server that says who came, inside a container's network."""
        pid = self.inspect(container)["State"]["Pid"]
        self._servers.append(serve_in(["nsenter", "-t", str(pid), "-n", "--"], port))

    def talk(self, container: str, port: int, client: Room, address: str, host_port: int) -> Talk:
        """A connection from another room to an echo in a container, by the host's address and port."""
        pid = self.inspect(container)["State"]["Pid"]
        return Talk(["nsenter", "-t", str(pid), "-n", "--"], port, client.enter, address, host_port)

    def ask_from(self, container: str, address: str, port: int, kind: str = "tcp", timeout_s: float = 1.0) -> str:
        """``Room.ask`` from inside a container's network."""
        pid = self.inspect(container)["State"]["Pid"]
        command = ["nsenter", "-t", str(pid), "-n", "--", sys.executable, "-c", _CONNECT]
        said = subprocess.run(
            [*command, address, str(port), kind, str(timeout_s)], capture_output=True, text=True
        ).stdout
        return "" if said.startswith("-") else said.strip()

    def start_container(self, name: str, *flags: str, serving: int = 80) -> dict[str, Any]:
        """A container that serves; its networks as inspect shows them."""
        self.docker("run", "-d", "--name", name, *flags, "busybox", "sleep", "1000")
        if serving:
            self.serve(name, serving)
        return dict(self.inspect(name)["NetworkSettings"]["Networks"])

    def power_off(self) -> None:
        """The daemon and everything of its containers is gone at once, and so is what was in /run."""
        self.kill9()
        self.end_servers()
        self.end_processes()
        shutil.rmtree(self.run_root)

    def end_servers(self) -> None:
        """They keep the namespaces of their containers alive."""
        for server in self._servers:
            end(server)
        self._servers = []

    def close(self) -> None:
        self.end_servers()
        super().close()


class Lan:
    """A host with a daemon, and a neighbour that routes every bridge's subnet and 127.0.0.1 to it, as a malicious one would.

    neighbour 192.0.2.2, 2001:db8::2 ══ host 192.0.2.1, 2001:db8::1 ══ bridges
    """

    HOST, NEIGHBOUR = "192.0.2.1", "192.0.2.2"
    HOST6, NEIGHBOUR6 = "2001:db8::1", "2001:db8::2"

    def __init__(self, *flags: str) -> None:
        self.host, self.neighbour = Room(), Room()
        self.host.wire(
            self.neighbour, [f"{self.HOST}/24", f"{self.HOST6}/64"], [f"{self.NEIGHBOUR}/24", f"{self.NEIGHBOUR6}/64"]
        )
        self.neighbour.run("ip", "route", "add", "172.16.0.0/12", "via", self.HOST)
        self.neighbour.run("ip", "route", "add", "fd00::/8", "via", self.HOST6)
        self.neighbour.run("ip", "route", "add", "127.0.0.1/32", "via", self.HOST, "table", "7")
        self.host.run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0")
        self.neighbour.serve(7)
        self.daemon = RoomDaemon(self.host, *flags)

    def __enter__(self) -> Lan:
        try:
            self.daemon.start()
            self.daemon.load_busybox()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        self.daemon.close()
        self.host.close()
        self.neighbour.close()

    @staticmethod
    def address(networks: dict[str, Any], key: str = "IPAddress", network: str | None = None) -> str:
        """Of what ``start_container`` gave: of the first network, or of one."""
        return str(networks[network or next(iter(networks))][key])
