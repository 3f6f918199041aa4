"""The load generator: requests of the Engine API over raw connections that are kept alive, no CLI, no library."""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import Any


class Connection:
    """One HTTP/1.1 connection to a unix socket."""

    def __init__(self, path: str) -> None:
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.connect(path)
        self._left = b""

    def request(self, method: str, target: str, body: Any = None) -> tuple[int, bytes]:
        """Status and body of one exchange. Raises: ConnectionError when the engine hangs up."""
        raw = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {target} HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(raw)}\r\n"
        self._sock.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + raw)
        while b"\r\n\r\n" not in self._left:
            self._more()
        text, _, self._left = self._left.partition(b"\r\n\r\n")
        lines = text.decode("latin-1").split("\r\n")
        headers = {key.lower(): value for key, _, value in (line.partition(": ") for line in lines[1:])}
        status = int(lines[0].split()[1])
        if headers.get("transfer-encoding") == "chunked":
            return status, self._chunks()
        return status, self._take(int(headers.get("content-length", "0")))

    def _chunks(self) -> bytes:
        out: list[bytes] = []
        while True:
            while b"\r\n" not in self._left:
                self._more()
            size, _, self._left = self._left.partition(b"\r\n")
            chunk = self._take(int(size, 16) + 2)
            if len(chunk) == 2:
                return b"".join(out)
            out.append(chunk[:-2])

    def _take(self, size: int) -> bytes:
        while len(self._left) < size:
            self._more()
        taken, self._left = self._left[:size], self._left[size:]
        return taken

    def _more(self) -> None:
        chunk = self._sock.recv(1 << 18)
        if not chunk:
            raise ConnectionError("the engine hung up")
        self._left += chunk

    def close(self) -> None:
        self._sock.close()


def ask(path: str, method: str, target: str, body: Any = None) -> Any:
    """One request on a connection of its own; the decoded answer. Raises: RuntimeError with the engine's words."""
    connection = Connection(path)
    try:
        status, raw = connection.request(method, target, body)
    finally:
        connection.close()
    if status >= 400:
        raise RuntimeError(f"{method} {target}: {status} {raw.decode(errors='replace')}")
    return json.loads(raw) if raw[:1] in (b"{", b"[") else raw


def starts_per_second(path: str, count: int, connections: int, config: dict[str, Any]) -> tuple[float, list[str]]:
    """Create and start ``count`` containers through ``connections`` at once; the rate, and the ids."""
    idents: list[str] = []
    errors: list[str] = []
    numbers = iter(range(count))
    guard = threading.Lock()
    opened = [Connection(path) for _ in range(connections)]

    def work(connection: Connection) -> None:
        while True:
            with guard:
                if errors or next(numbers, None) is None:
                    return
            status, raw = connection.request("POST", "/containers/create", config)
            if status != 201:
                errors.append(raw.decode(errors="replace"))
                return
            ident = json.loads(raw)["Id"]
            idents.append(ident)
            status, raw = connection.request("POST", f"/containers/{ident}/start")
            if status != 204:
                errors.append(raw.decode(errors="replace"))

    threads = [threading.Thread(target=work, args=(connection,)) for connection in opened]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - begin
    for connection in opened:
        connection.close()
    if errors:
        raise RuntimeError(f"a start failed: {errors[0]}")
    return count / took, idents


def requests_per_second(path: str, target: str, seconds: float) -> float:
    """How often one connection gets an answer to GET ``target``."""
    connection = Connection(path)
    count = 0
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds:
        status, _ = connection.request("GET", target)
        if status != 200:
            raise RuntimeError(f"GET {target}: {status}")
        count += 1
    took = time.perf_counter() - begin
    connection.close()
    return count / took
