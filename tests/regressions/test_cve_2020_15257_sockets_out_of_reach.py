"""CVE-2020-15257: the shim's API was an abstract socket, so a container in the host's network could command it.

Abstract names belong to a network namespace, and the shim trusted any root. The defence: none of our processes has one; a shim's
socket is a file in a folder of root's, and it asks who is there.

Fails when: ``shim/main.py`` ``_listen`` binds ``"\\0" + path`` (first), ``_accept`` does not look at SO_PEERCRED (second).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.daemon import Daemon
from harness.leaks import processes

pytestmark = pytest.mark.root


def sockets_of(engine: Daemon) -> set[str]:
    """Inodes of all sockets that the engine's processes have open."""
    found = set()
    for pid in {engine.pid, *(pid for pid, _ in processes(engine.instance_id, engine.run_root))}:
        for fd in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                match = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(fd))
            except FileNotFoundError:
                continue
            if match:
                found.add(match[1])
    return found


def test_no_abstract_socket_is_ours(engine: Daemon) -> None:
    """Seen from a container in the host's network, while all kinds of our processes live."""
    engine.docker("run", "-d", "--name", "box", "-p", "127.0.0.1::80", "busybox", "sleep", "1000")
    table = engine.docker("run", "--rm", "--network", "host", "busybox", "cat", "/proc/net/unix").lines[1:]
    abstract = {line.split()[6] for line in table if len(line.split()) > 7 and line.split()[7].startswith("@")}
    ours = sockets_of(engine)
    assert ours & {line.split()[6] for line in table}, "none of our sockets was seen: the test is blind"
    assert not ours & abstract


ASK = """
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(10)
os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
s.connect(sys.argv[1])
raw = b'{"op": "hello", "seq": 1, "args": {}, "fds": 0}'
try:
    s.sendall(len(raw).to_bytes(4, "big") + raw)
    print(s.recv(4096))
except (BrokenPipeError, ConnectionResetError):
    print(b"")
"""


def test_a_shim_speaks_to_root_only(engine: Daemon) -> None:
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    path = f"{engine.run_root}/c/{engine.inspect('box')['Id']}/shim.sock"
    if not os.path.exists(path):
        path = str(next(Path(engine.run_root).rglob("shim.sock")))
    folders = [p for p in Path(path).parents if str(p).startswith(engine.run_root)]
    assert any(os.stat(p).st_mode & 0o077 == 0 for p in folders), "a folder of root's is around it"
    modes = {str(p): os.stat(p).st_mode & 0o7777 for p in (Path(path), *folders)}
    try:
        for place in modes:
            os.chmod(place, 0o777)  # were it ever open, it asks all the same
        answers = {
            uid: subprocess.run(
                [sys.executable, "-c", ASK, path, str(uid)], capture_output=True, text=True, check=True
            ).stdout
            for uid in (0, 1000)
        }
    finally:
        for place, mode in modes.items():
            os.chmod(place, mode)
    assert "version" in answers[0]
    assert answers[1000] == "b''\n"
