"""Encrypted overlays between two hosts: what is on the wire, who may forge, how keys change. Needs a kernel with ESP.

CVE-2023-28840, CVE-2023-28841, CVE-2023-28842: encrypted overlays that took or sent frames in the clear.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from harness.eventually import eventually
from harness.hosts import KEYS, Hosts, address, names, pings, run
from harness.rooms import Room, RoomDaemon, end

pytestmark = [pytest.mark.vm, pytest.mark.root]

MARKER = "the-words-that-nobody-may-read"
_SNIFF = """
import json, select, socket, sys
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
sock.bind((sys.argv[1], 0))
seen = {"esp": 0, "4789": 0, "4790": 0, "marker": 0}
print("ready", flush=True)
while True:
    ready, _, _ = select.select([sock, sys.stdin], [], [])
    if sock in ready:
        frame = sock.recv(9000)
        seen["esp"] += frame[12:14] == b"\\x08\\x00" and frame[23] == 50
        for port in (4789, 4790):
            seen[str(port)] += frame[12:14] == b"\\x08\\x00" and frame[23] == 17 and frame[36:38] == port.to_bytes(2, "big")
        seen["marker"] += sys.argv[2].encode() in frame
    elif sys.stdin in ready:
        break
print(json.dumps(seen))
"""
_LISTEN = """
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("", 99))
print("ready", flush=True)
while True:
    print(sock.recv(100).decode(), flush=True)
"""
_SAY = """
import socket, sys
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(sys.argv[3].encode(), (sys.argv[1], int(sys.argv[2])))
"""
_FORGE = """
import socket, struct, sys
host, port, vni, mac, src, dst = sys.argv[1:]
words = b"forged"
udp = struct.pack("!4H", 1000, 99, 8 + len(words), 0) + words
head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, socket.inet_aton(src), socket.inet_aton(dst))
total = sum(struct.unpack("!10H", head))
while total >> 16:
    total = (total & 0xffff) + (total >> 16)
head = head[:10] + struct.pack("!H", total ^ 0xffff) + head[12:]
frame = bytes.fromhex(mac.replace(":", "")) + bytes.fromhex("02aaaaaaaaaa0800") + head + udp
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.sendto(struct.pack("!II", 0x08000000, int(vni) << 8) + frame, (host, int(port)))
"""
_UNFRAGMENTED = """
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.IPPROTO_IP, 10, 2)
sock.settimeout(30)
sock.sendto(bytes(int(sys.argv[2])), (sys.argv[1], 80))
print(sock.recv(100).decode())
"""


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    with ExitStack() as stack:
        made = Hosts(stack, "encryption.rotation=120")
        for name, flags in (("plain", ()), ("secret", ("--opt", "encrypted"))):
            made.east.docker("network", "create", "-d", "overlay", *flags, name, timeout_s=300)
            eventually(lambda name=name: name in names(made.west), 60)
            run(made.east, f"sun-{name}", "--network", name)
            run(made.west, f"moon-{name}", "--network", name)
        for name in ("plain", "secret"):
            eventually(lambda name=name: pings(made.east, f"sun-{name}", f"moon-{name}"), 60)
            eventually(lambda name=name: pings(made.west, f"moon-{name}", f"sun-{name}"), 60)
        yield made


@contextmanager
def sniffing(room: Room, link: str) -> Iterator[dict[str, int]]:
    """What crosses a link meanwhile is counted."""
    seen: dict[str, int] = {}
    process = subprocess.Popen(
        [*room.enter, sys.executable, "-c", _SNIFF, link, MARKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    try:
        yield seen
        seen |= json.loads(process.communicate()[0])
    finally:
        end(process)


def inside(daemon: RoomDaemon, container: str, script: str, *words: str) -> list[str]:
    pid = daemon.inspect(container)["State"]["Pid"]
    return ["nsenter", "-t", str(pid), "-n", "--", sys.executable, "-c", script, *words]


def say(hosts: Hosts, name: str, words: str) -> None:
    moon = address(hosts.west, f"moon-{name}", name)
    subprocess.run(inside(hosts.east, f"sun-{name}", _SAY, moon, "99", words), check=True)


@contextmanager
def listening(hosts: Hosts, name: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(inside(hosts.west, f"moon-{name}", _LISTEN), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    try:
        yield process
    finally:
        end(process)


def heard(hosts: Hosts, name: str, port: int) -> str:
    """What moon hears first after a stranger's frame and sun's own word: the stranger is no host of the network."""
    made = next(n for n in hosts.etcd.keys(f"{KEYS}networks/").values() if n["name"] == name)
    moon = hosts.west.inspect(f"moon-{name}")["NetworkSettings"]["Networks"][name]
    sun = address(hosts.east, f"sun-{name}", name)
    with listening(hosts, name) as listener:
        forged = ("10.99.2.2", str(port), str(made["vni"]), moon["MacAddress"], sun, moon["IPAddress"])
        hosts.store_room.run(sys.executable, "-c", _FORGE, *forged)
        say(hosts, name, "honest")
        assert listener.stdout is not None
        return listener.stdout.readline().strip()


def test_nothing_is_on_the_wire_in_the_clear(hosts: Hosts) -> None:
    with sniffing(hosts.east_room, hosts.wire) as plain, listening(hosts, "plain") as listener:
        say(hosts, "plain", MARKER)
        assert listener.stdout is not None and listener.stdout.readline().strip() == MARKER
    assert plain["marker"] and plain["4789"]
    with sniffing(hosts.east_room, hosts.wire) as secret, listening(hosts, "secret") as listener:
        say(hosts, "secret", MARKER)
        assert listener.stdout is not None and listener.stdout.readline().strip() == MARKER
    assert secret["esp"] and not secret["marker"] and not secret["4790"]


def test_strangers_frames_are_dropped(hosts: Hosts) -> None:
    assert heard(hosts, "plain", 4789) == "forged", "what a network that is not encrypted takes"
    assert heard(hosts, "secret", 4790) == "honest"
    assert heard(hosts, "secret", 4789) == "honest"


def test_what_fits_crosses_in_one_piece(hosts: Hosts) -> None:
    hosts.west.serve("moon-secret")
    moon, sun = address(hosts.west, "moon-secret", "secret"), address(hosts.east, "sun-secret", "secret")
    assert "mtu 1416" in hosts.east.docker("exec", "sun-secret", "ip", "link", "show", "eth0").out
    done = subprocess.run(inside(hosts.east, "sun-secret", _UNFRAGMENTED, moon, "1388"), capture_output=True, text=True)
    assert done.stdout == f"from {sun}\n", done.stderr


def test_keys_change_and_a_host_begins_anew(hosts: Hosts) -> None:
    """Every host takes a new key before anybody sends under it; a host that has lost the kernel's counters has other keys."""

    def ids() -> list[int]:
        return [key["id"] for key in hosts.etcd.keys(f"{KEYS}secrets")[f"{KEYS}secrets"]["keys"]]

    def spi() -> str:
        _, _, out = hosts.east_room.run("ip", "xfrm", "policy").partition("src 10.99.0.1/32 dst 10.99.0.2/32")
        return next(word for word in out.split() if word.startswith("0x"))

    before, first = spi(), ids()
    eventually(lambda: ids()[-1] > first[-1], 60, why="there is a new secret")
    eventually(lambda: spi() != before, 60, why="east sends under it")
    assert pings(hosts.east, "sun-secret", "moon-secret") and pings(hosts.west, "moon-secret", "sun-secret")
    moon = address(hosts.west, "moon-secret", "secret")
    hosts.west.kill9()
    hosts.west_room.run("ip", "xfrm", "state", "flush")
    assert not pings(hosts.east, "sun-secret", moon)
    hosts.west.start()
    eventually(lambda: pings(hosts.east, "sun-secret", "moon-secret"), 60)
    eventually(lambda: pings(hosts.west, "moon-secret", "sun-secret"), 60)


def test_the_last_one_leaves_nothing(hosts: Hosts) -> None:
    for name in ("plain", "secret"):
        hosts.east.docker("rm", "-f", f"sun-{name}")
        hosts.west.docker("rm", "-f", f"moon-{name}")
        hosts.east.docker("network", "rm", name)
    for room, daemon in ((hosts.east_room, hosts.east), (hosts.west_room, hosts.west)):
        eventually(lambda daemon=daemon: "secret" not in names(daemon), 60)
        assert room.run("ip", "xfrm", "policy") == ""
        eventually(
            lambda room=room: room.run("ip", "xfrm", "state") == "", 200
        )  # what the kernel asked for ends by itself
