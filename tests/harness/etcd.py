"""``EtcdServer``: a real etcd (Debian's etcd-server) in a room, which can be killed and started again on its data."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from base64 import b64decode, b64encode
from typing import Any

from harness.eventually import eventually
from harness.rooms import Room, end

_ASK = """
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], sys.argv[2].encode() if len(sys.argv) > 2 else None, timeout=5).read().decode())
"""


class EtcdServer:
    """``address``: one of the room's own. ``keys`` reads what stands in it."""

    def __init__(self, room: Room, address: str, port: int = 2379) -> None:
        self._room = room
        self._root = tempfile.mkdtemp(prefix="be", dir="/tmp")
        self._address, self._port = address, port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> EtcdServer:
        every = f"http://0.0.0.0:{self._port}"
        command = [
            "etcd", "--data-dir", f"{self._root}/d", "--listen-client-urls", every, "--advertise-client-urls",
            f"http://{self._address}:{self._port}", "--listen-peer-urls", "http://127.0.0.1:2380", "--log-level", "error",
        ]  # fmt: skip
        self._process = subprocess.Popen(
            [*self._room.enter, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        eventually(lambda: "true" in self._ask("health", None), why="etcd is healthy")
        return self

    def kill(self) -> None:
        if self._process is not None:
            end(self._process)
            self._process = None

    def keys(self, prefix: str) -> dict[str, Any]:
        """Every key below a prefix with its JSON value."""
        after = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        found = json.loads(self._ask("v3/kv/range", {"key": _b64(prefix), "range_end": _b64(after)}))
        return {b64decode(kv["key"]).decode(): json.loads(b64decode(kv["value"])) for kv in found.get("kvs", ())}

    def put(self, key: str, value: Any) -> None:
        encoded = b64encode(json.dumps(value).encode()).decode()
        assert "revision" in self._ask("v3/kv/put", {"key": _b64(key), "value": encoded})

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self._root, ignore_errors=True)

    def _ask(self, path: str, body: Any) -> str:
        words = [json.dumps(body)] if body is not None else []
        return self._room.run(sys.executable, "-c", _ASK, f"http://127.0.0.1:{self._port}/{path}", *words, check=False)


def _b64(text: str) -> str:
    return b64encode(text.encode()).decode()
