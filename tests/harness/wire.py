"""Plain HTTP on a socket, for what http.client is too polite to send."""

from __future__ import annotations

import json
import socket
from typing import Any, NamedTuple


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """One connection. ``rest`` is what came after the last answer."""

    def __init__(self, sock: Any) -> None:
        self.sock = sock
        self.rest = b""

    def send(self, raw: bytes) -> None:
        self.sock.sendall(raw)

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Reply:
        """A well-formed request and its answer."""
        lines = [f"{method} {path} HTTP/1.1", "Host: x"]
        if body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        return self.reply(bodiless=method == "HEAD")

    def _more(self) -> None:
        chunk = self.sock.recv(65536)
        if not chunk:
            raise EOFError(self.rest)
        self.rest += chunk

    def _until(self, mark: bytes) -> bytes:
        while mark not in self.rest:
            self._more()
        found, _, self.rest = self.rest.partition(mark)
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self.rest) < size:
            self._more()
        found, self.rest = self.rest[:size], self.rest[size:]
        return found

    def head(self) -> tuple[int, dict[str, str]]:
        lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        return int(lines[0].split()[1]), headers

    def reply(self, *, bodiless: bool = False) -> Reply:
        status, headers = self.head()
        if status in (204, 304) or bodiless:
            return Reply(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            parts = []
            while size := int(self._until(b"\r\n"), 16):
                parts.append(self._exactly(size))
                self._until(b"\r\n")
            self._until(b"\r\n")
            return Reply(status, headers, b"".join(parts))
        if "content-length" in headers:
            return Reply(status, headers, self._exactly(int(headers["content-length"])))
        return Reply(status, headers, self.read_all())

    def read_all(self) -> bytes:
        """Up to the end of the connection."""
        try:
            while True:
                self._more()
        except EOFError:
            found, self.rest = self.rest, b""
            return found

    def ended(self) -> bool:
        """Whether the peer has closed: waits for it."""
        try:
            return not self.rest and self.sock.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self.sock.close()


def unix_wire(path: str, timeout_s: float = 10.0) -> Wire:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(timeout_s)
    sock.connect(path)
    return Wire(sock)
