"""D-Bus messages against bytes written by hand from the specification, a conversation with a peer, the names of units."""

from __future__ import annotations

import socket
import struct
import threading
from pathlib import Path

import pytest

from berth.base.errors import InvalidArgument
from berth.kernel.cgroups.systemd import check_path, expand_slice, place_of, properties_of
from berth.kernel.dbus import Connection, DBusError, Reader, Writer, message, split


def test_signatures_are_split_into_complete_types() -> None:
    assert split("ssa(sv)a(sa(sv))") == ["s", "s", "a(sv)", "a(sa(sv))"]
    assert split("a{sv}aau(i(ss))") == ["a{sv}", "aau", "(i(ss))"]


def test_values_are_aligned_as_the_specification_says() -> None:
    writer = Writer()
    for kind, value in (("y", 1), ("u", 2), ("s", "ab"), ("t", 3), ("au", [4]), ("v", ("b", True))):
        writer.put(kind, value)
    assert bytes(writer.raw) == (
        b"\x01\0\0\0" b"\x02\0\0\0" b"\x02\0\0\0ab\0" b"\0"
        b"\x03\0\0\0\0\0\0\0" b"\x04\0\0\0\x04\0\0\0" b"\x01b\0\0" b"\x01\0\0\0"
    )  # fmt: skip


def test_what_is_written_is_read() -> None:
    kinds = "sa(sv)a(sa(sv))bxg"
    values = ["x", [("Slice", ("s", "a.slice")), ("PIDs", ("au", [1, 2]))], [], True, -7, "a(sv)"]
    writer = Writer()
    for kind, value in zip(split(kinds), values, strict=True):
        writer.put(kind, value)
    reader = Reader(bytes(writer.raw))
    assert [reader.get(kind) for kind in split(kinds)] == [
        "x",
        [("Slice", "a.slice"), ("PIDs", [1, 2])],
        [],
        1,
        -7,
        "a(sv)",
    ]


def answer(kind: int, serial: int, signature: str, *values: object) -> bytes:
    body = Writer()
    for part, value in zip(split(signature), values, strict=True):
        body.put(part, value)
    head = Writer()
    head.raw += struct.pack("<BBBBII", ord("l"), kind, 0, 1, len(body.raw), 99)
    fields: list[tuple[int, tuple[str, object]]] = [(5, ("u", serial)), (8, ("g", signature))]
    if kind == 3:
        fields.append((4, ("s", "org.example.Wrong")))
    head.put("a(yv)", fields)
    head.pad(8)
    return bytes(head.raw + body.raw)


def test_a_conversation(tmp_path: Path) -> None:
    path = str(tmp_path / "bus")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1)
    heard: list[bytes] = []

    def peer() -> None:
        sock, _ = listener.accept()
        with sock, sock.makefile("rb") as stream:
            heard.append(stream.readline())
            sock.sendall(b"OK 0123\r\n")
            assert stream.readline() == b"BEGIN\r\n"
            for replies in (
                [answer(2, 1, "s", ":1.1")],
                [answer(4, 0, "s", "a signal"), answer(2, 2, "o", "/job/1")],
                [answer(3, 3, "s", "no such unit")],
            ):
                head = stream.read(16)
                body_size, _, fields_size = struct.unpack_from("<III", head, 4)
                heard.append(head + stream.read(fields_size + -fields_size % 8 + body_size))
                for raw in replies:
                    sock.sendall(raw)

    thread = threading.Thread(target=peer)
    thread.start()
    bus = Connection([str(tmp_path / "none"), path])
    assert bus.call("org.example", "/p", "org.example.I", "Start", "ss", ["a", "b"]) == ["/job/1"]
    with pytest.raises(DBusError, match="no such unit"):
        bus.call("org.example", "/p", "org.example.I", "Stop", "s", ["a"])
    bus.close()
    thread.join()
    listener.close()
    assert heard[0].startswith(b"\0AUTH EXTERNAL ")
    assert heard[2] == message(2, "org.example", "/p", "org.example.I", "Start", "ss", ["a", "b"])


def test_paths_of_units() -> None:
    assert place_of("machine.slice:libpod:abc") == ("libpod-abc.scope", "machine.slice", "/machine.slice")
    assert place_of(":x:abc")[1:] == ("system.slice", "/system.slice")
    assert place_of("::abc")[0] == "abc.scope"
    assert expand_slice("a-b-c.slice") == "/a.slice/a-b.slice/a-b-c.slice"
    assert expand_slice("-.slice") == ""
    for wrong in ("a", "-a.slice", "a--b.slice", ".slice", "a-.slice"):
        with pytest.raises(InvalidArgument):
            expand_slice(wrong)
    for wrong in ("/a/b", "a:b", "a:b:", "a:b:c/d"):
        with pytest.raises(InvalidArgument):
            check_path(wrong)


def test_limits_as_properties() -> None:
    assert properties_of({"memory": {"limit": -1}, "pids": {"limit": 5}, "cpu": {"quota": 50000, "period": 100000}}) == [
        ("MemoryMax", ("t", 2**64 - 1)), ("CPUQuotaPerSecUSec", ("t", 500_000)), ("CPUQuotaPeriodUSec", ("t", 100_000)),
        ("TasksMax", ("t", 5)),
    ]  # fmt: skip
    assert properties_of({}) == []
