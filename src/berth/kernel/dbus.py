"""Just enough D-Bus for asking systemd: one connection, method calls, their answers.

Spec: D-Bus specification, "Authentication Protocol" (EXTERNAL) and "Message Protocol"; little endian.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Sequence
from typing import Any

PRIVATE = "/run/systemd/private"
SYSTEM_BUS = "/run/dbus/system_bus_socket"
_METHOD_CALL, _METHOD_RETURN, _ERROR = 1, 2, 3
_ALIGN = {"y": 1, "b": 4, "n": 2, "q": 2, "i": 4, "u": 4, "x": 8, "t": 8, "d": 8, "s": 4, "o": 4, "g": 1, "a": 4, "(": 8,
          "{": 8, "v": 1}  # fmt: skip
_FIXED = {"y": "B", "b": "I", "n": "h", "q": "H", "i": "i", "u": "I", "x": "q", "t": "Q", "d": "d"}
TIMEOUT_S = 30.0


class DBusError(OSError):
    """The peer's answer was an error: ``name`` is its D-Bus name."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(5, f"{name}: {message}")
        self.name = name


def split(signature: str) -> list[str]:
    """Complete types of a signature: "sa(sv)" → ["s", "a(sv)"]."""
    found, at = [], 0
    while at < len(signature):
        end = _end_of(signature, at)
        found.append(signature[at:end])
        at = end
    return found


def _end_of(signature: str, at: int) -> int:
    letter = signature[at]
    if letter == "a":
        return _end_of(signature, at + 1)
    if letter in "({":
        at += 1
        while signature[at] not in ")}":
            at = _end_of(signature, at)
        return at + 1
    return at + 1


class Writer:
    """Marshals values; alignment counts from the message's begin."""

    def __init__(self) -> None:
        self.raw = bytearray()

    def pad(self, size: int) -> None:
        self.raw += b"\0" * (-len(self.raw) % size)

    def put(self, kind: str, value: Any) -> None:
        letter = kind[0]
        self.pad(_ALIGN[letter])
        if letter in _FIXED:
            self.raw += struct.pack("<" + _FIXED[letter], value)
        elif letter in "so":
            text = str(value).encode()
            self.raw += struct.pack("<I", len(text)) + text + b"\0"
        elif letter == "g":
            text = str(value).encode()
            self.raw += bytes([len(text)]) + text + b"\0"
        elif letter == "v":
            signature, inner = value
            self.put("g", signature)
            self.put(signature, inner)
        elif letter == "(":
            for part, item in zip(split(kind[1:-1]), value, strict=True):
                self.put(part, item)
        elif letter == "a":
            self._array(kind[1:], value)

    def _array(self, kind: str, items: Sequence[Any]) -> None:
        at = len(self.raw)
        self.raw += b"\0\0\0\0"
        self.pad(_ALIGN[kind[0]])
        begin = len(self.raw)
        for item in items:
            self.put(kind, item)
        struct.pack_into("<I", self.raw, at, len(self.raw) - begin)


class Reader:
    """Unmarshals values of one message."""

    def __init__(self, raw: bytes, at: int = 0) -> None:
        self._raw = raw
        self.at = at

    def pad(self, size: int) -> None:
        self.at += -self.at % size

    def get(self, kind: str) -> Any:
        letter = kind[0]
        self.pad(_ALIGN[letter])
        if letter in _FIXED:
            (value,) = struct.unpack_from("<" + _FIXED[letter], self._raw, self.at)
            self.at += struct.calcsize(_FIXED[letter])
            return value
        if letter in "sog":
            size = self._raw[self.at] if letter == "g" else self.get("u")
            self.at += letter == "g"
            text = self._raw[self.at : self.at + size].decode()
            self.at += size + 1
            return text
        if letter == "v":
            return self.get(self.get("g"))
        if letter in "({":
            return tuple(self.get(part) for part in split(kind[1:-1]))
        size = self.get("u")
        self.pad(_ALIGN[kind[1]])
        end, items = self.at + size, []
        while self.at < end:
            items.append(self.get(kind[1:]))
        return items


class Connection:
    """systemd's own socket (root, no bus needed), or the system bus. Raises: OSError when neither is there."""

    def __init__(self, paths: Sequence[str] = (PRIVATE, SYSTEM_BUS)) -> None:
        self._sock, path = self._connect(paths)
        self._buffer = b""
        self._serial = 0
        self._authenticate()
        if path != PRIVATE:
            self.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello")

    @staticmethod
    def _connect(paths: Sequence[str]) -> tuple[socket.socket, str]:
        last: OSError | None = None
        for path in paths:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            sock.settimeout(TIMEOUT_S)
            try:
                sock.connect(path)
                return sock, path
            except OSError as err:
                sock.close()
                last = OSError(err.errno, err.strerror, path)
        assert last is not None
        raise last

    def _authenticate(self) -> None:
        uid = str(os.geteuid()).encode().hex()
        self._sock.sendall(b"\0AUTH EXTERNAL " + uid.encode() + b"\r\n")
        answer = self._line()
        if not answer.startswith(b"OK"):
            raise OSError(13, f"D-Bus: {answer.decode(errors='replace').strip()}")
        self._sock.sendall(b"BEGIN\r\n")

    def _line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            self._fill()
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def _fill(self) -> None:
        chunk = self._sock.recv(65536)
        if not chunk:
            raise OSError(104, "D-Bus: the peer closed the connection")
        self._buffer += chunk

    def call(
        self, destination: str, path: str, interface: str, member: str, signature: str = "", args: Sequence[Any] = ()
    ) -> list[Any]:
        """The answer's values. Raises: DBusError, OSError."""
        self._serial += 1
        self._sock.sendall(message(self._serial, destination, path, interface, member, signature, args))
        while True:
            kind, fields, body = self._receive()
            if fields.get(5) != self._serial:
                continue  # a signal
            reader = Reader(body)
            values = [reader.get(part) for part in split(str(fields.get(8) or ""))]
            if kind == _ERROR:
                raise DBusError(str(fields.get(4)), str(values[0] if values else ""))
            return values

    def _receive(self) -> tuple[int, dict[int, Any], bytes]:
        while len(self._buffer) < 16:
            self._fill()
        body_size, _, fields_size = struct.unpack_from("<III", self._buffer, 4)
        total = 16 + fields_size + -(16 + fields_size) % 8 + body_size
        while len(self._buffer) < total:
            self._fill()
        raw, self._buffer = self._buffer[:total], self._buffer[total:]
        fields = dict(Reader(raw, 12).get("a(yv)"))
        return raw[1], fields, raw[total - body_size :]

    def close(self) -> None:
        self._sock.close()


def message(
    serial: int, destination: str, path: str, interface: str, member: str, signature: str, args: Sequence[Any]
) -> bytes:
    """A method call as bytes."""
    body = Writer()
    for part, value in zip(split(signature), args, strict=True):
        body.put(part, value)
    fields: list[tuple[int, tuple[str, str]]] = [
        (1, ("o", path)), (6, ("s", destination)), (2, ("s", interface)), (3, ("s", member)),
    ]  # fmt: skip
    if signature:
        fields.append((8, ("g", signature)))
    head = Writer()
    head.raw += struct.pack("<BBBBII", ord("l"), _METHOD_CALL, 0, 1, len(body.raw), serial)
    head.put("a(yv)", fields)
    head.pad(8)
    return bytes(head.raw + body.raw)
