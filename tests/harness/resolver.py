"""``StandIn``: a name server in a room. It knows two names, and who asked it for what.

small.test    one A record, 198.51.100.1
big.test      60 A records: 1,000 bytes, truncated over UDP for who does not say that it takes so much
anything else NXDOMAIN
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from typing import NamedTuple

from harness.rooms import Room, end

_SERVER = """
import socket, struct, sys, threading
address, log = sys.argv[1], open(sys.argv[2], "a", buffering=1)
def answer(packet, room):
    at, labels = 12, []
    while packet[at]:
        labels.append(packet[at + 1 : at + 1 + packet[at]].decode())
        at += packet[at] + 1
    name, kind, end = ".".join(labels).lower(), struct.unpack_from("!H", packet, at + 1)[0], at + 5
    if room and len(packet) > end + 5:
        room = struct.unpack_from("!H", packet, end + 3)[0]
    count = {"small.test": 1, "big.test": 60}.get(name, 0) if kind == 1 else 0
    records = b"".join(b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x3c\\0\\4" + bytes([198, 51, 100, n + 1]) for n in range(count))
    flags = 0x8180 | (0 if name in ("small.test", "big.test") else 3)
    if room and 12 + end - 12 + len(records) > room:
        flags, count, records = flags | 0x0200, 0, b""
    return name, packet[:2] + struct.pack("!HHHHH", flags, 1, count, 0, 0) + packet[12:end] + records
def udp():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, 53))
    ready.set()
    while True:
        packet, client = sock.recvfrom(4096)
        name, reply = answer(packet, 512)
        log.write(f"udp {name} {client[0]}\\n")
        sock.sendto(reply, client)
def tcp():
    server = socket.create_server((address, 53))
    while True:
        client, peer = server.accept()
        with client:
            size = int.from_bytes(client.recv(2), "big")
            name, reply = answer(client.recv(size), 0)
            log.write(f"tcp {name} {peer[0]}\\n")
            client.sendall(len(reply).to_bytes(2, "big") + reply)
ready = threading.Event()
for work in (udp, tcp):
    threading.Thread(target=work).start()
ready.wait()
print("ready", flush=True)
"""
_ASK = """
import socket, sys
name, proto, edns = sys.argv[1], sys.argv[2], int(sys.argv[3])
extra = b"\\0\\0\\x29" + edns.to_bytes(2, "big") + bytes(6) if edns else b""
question = b"".join(bytes([len(l)]) + l.encode() for l in name.split(".")) + b"\\0\\0\\1\\0\\1"
packet = b"\\x12\\x34\\1\\0\\0\\1\\0\\0\\0\\0" + len(extra and b"1").to_bytes(2, "big") + question + extra
if proto == "udp":
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(8)
    sock.sendto(packet, ("127.0.0.11", 53))
    reply = sock.recv(65535)
else:
    sock = socket.create_connection(("127.0.0.11", 53), 8)
    sock.sendall(len(packet).to_bytes(2, "big") + packet)
    size = int.from_bytes(sock.recv(2), "big")
    reply = b""
    while len(reply) < size:
        reply += sock.recv(size)
print(reply[3] & 15, int(bool(reply[2] & 2)), int.from_bytes(reply[6:8], "big"), len(reply))
"""


class Reply(NamedTuple):
    """What a container's resolver answered: code, truncated, how many answers, bytes."""

    rcode: int
    truncated: bool
    answers: int
    size: int


def ask(pid: int, name: str, proto: str = "udp", edns: int = 0) -> Reply:
    """A question for A records to 127.0.0.11 in the network namespace of a process. ``edns``: the size that it says it takes."""
    command = ["nsenter", "-t", str(pid), "-n", sys.executable, "-c", _ASK, name, proto, str(edns)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    rcode, truncated, answers, size = map(int, done.stdout.split())
    return Reply(rcode, bool(truncated), answers, size)


class StandIn:
    def __init__(self, room: Room, address: str) -> None:
        handle, self._log = tempfile.mkstemp(prefix="resolver")
        os.close(handle)
        command = [*room.enter, sys.executable, "-c", _SERVER, address, self._log]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None and self._process.stdout.readline() == "ready\n"

    def __enter__(self) -> StandIn:
        return self

    def __exit__(self, *_exc: object) -> None:
        end(self._process)
        os.unlink(self._log)

    def asked(self) -> list[tuple[str, ...]]:
        """(proto, name, client) of every question, in order."""
        with open(self._log, encoding="ascii") as file:
            return [tuple(line.split()) for line in file]
