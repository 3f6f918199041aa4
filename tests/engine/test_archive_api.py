"""``/containers/{id}/archive``: statuses, the header, what is refused, clients that stall or vanish."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import signal
import socket
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from harness import leaks, reference
from harness.attack import shared_folder
from harness.daemon import Daemon, UnixConnection
from harness.eventually import PATIENCE, eventually

pytestmark = pytest.mark.root


def tar_of(*entries: tuple[str, bytes, Any]) -> bytes:
    """(name, type, content or link or device)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, kind, what in entries:
            member = tarfile.TarInfo(name)
            member.type, member.uid, member.gid = kind, 7, 8
            content = what if isinstance(what, bytes) else b""
            member.size = len(content)
            if isinstance(what, str):
                member.linkname = what
            elif isinstance(what, tuple):
                member.devmajor, member.devminor = what
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


FILE, DIR, LINK, HARD, CHAR = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE
PATH = "/v1.51/containers/box/archive?path="


@pytest.fixture
def box(engine: Daemon) -> Daemon:
    setup = (
        "mkdir -p /d/sub; echo hi >/d/f; ln -s f /d/l; ln -s loop /loop; mkfifo /d/pipe; touch /ready; exec sleep 1000"
    )
    engine.docker("run", "-d", "--name", "box", "-v", "/vol", "-u", "3:4", "--user", "0", "busybox", "sh", "-c", setup)
    engine.docker("exec", "box", "sh", "-c", "until [ -e /ready ]; do true; done")
    return engine


def stat_of(engine: Daemon, path: str) -> dict[str, Any]:
    answer = engine.api("HEAD", PATH + path)
    assert answer.status == 200, answer
    return dict(json.loads(base64.b64decode(answer.headers["X-Docker-Container-Path-Stat"])))


@pytest.mark.parametrize(
    ("path", "name", "mode", "target"),
    [
        ("/d", "d", 0x800001ED, ""), ("/d/", "d", 0x800001ED, ""), ("/d/.", ".", 0x800001ED, ""), ("/", "/", 0x800001ED, ""),
        ("/d/f", "f", 0o644, ""), ("d/f", "f", 0o644, ""), ("/d/l", "l", 0x080001FF, "/d/f"), ("/tmp", "tmp", 0x801001FF, ""),
        ("/d/pipe", "pipe", 0x020001A4, ""), ("../../d/f", "f", 0o644, ""),
    ],
)  # fmt: skip
def test_what_a_path_is(box: Daemon, path: str, name: str, mode: int, target: str) -> None:
    found = stat_of(box, path)
    assert (found["name"], found["mode"], found["linkTarget"]) == (name, mode, target)
    assert set(found) == {"name", "mode", "linkTarget", "size", "mtime"}


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "", 400, "bad parameter: pathcannot be empty"),
        ("GET", "/nope", 404, "Could not find the file /nope in container box"),
        ("GET", "/d/f/", 400, "lstat /d/f/: not a directory"),
        ("GET", "/d/f/x", 400, "lstat /d/f/x: not a directory"),
        ("GET", "/loop", 400, "evalSymlinksInScope: too many links in /loop"),
        ("GET", "/proc/1/environ", 404, "Could not find the file /proc/1/environ in container box"),
        ("GET", "/sys/kernel", 404, "Could not find the file /sys/kernel in container box"),
        ("GET", "/" + "x" * 5000, 400, "file name too long"),
        ("PUT", "/nope", 404, "Could not find the file /nope in container box"),
        ("PUT", "/d/f", 400, "extraction point is not a directory"),
        ("PUT", "/proc", 400, "on a file system of the kernel's"),
    ],
)
def test_paths_that_are_refused(box: Daemon, method: str, path: str, status: int, words: str) -> None:
    answer = box.api(method, PATH + path, tar_of(("x", FILE, b"x")) if method == "PUT" else None)
    assert answer.status == status, answer
    assert words in answer.body["message"]


@pytest.mark.parametrize(
    ("archive", "status", "words"),
    [
        (tar_of(("../esc", FILE, b"x")), 400, 'invalid entry name "../esc"'),
        (tar_of(("..", DIR, None)), 400, 'invalid entry name "../"'),
        (tar_of(("a/../../esc", FILE, b"x")), 400, 'invalid entry name "a/../../esc"'),
        (tar_of(("h", HARD, "../etc/passwd")), 400, 'invalid hardlink target "../etc/passwd"'),
        (tar_of(("h", HARD, "none")), 400, "'none', which the archive does not have"),
        (tar_of(("f/below", FILE, b"x")), 400, "not a directory"),
        (b"garbage" * 200, 400, "archive/tar: invalid tar header"),
        (tar_of(("cut", FILE, b"x" * 5000))[:2000], 400, "unexpected EOF"),
        (b"\x1f\x8b\x08 no gzip" * 9, 400, "gzip stream"),
    ],
)
def test_archives_that_are_refused(box: Daemon, archive: bytes, status: int, words: str) -> None:
    before = box.docker("exec", "box", "find", "/d", "/etc").lines
    answer = box.api("PUT", PATH + "/d", archive)
    assert answer.status == status, answer
    assert words in answer.body["message"]
    assert box.docker("exec", "box", "find", "/d", "/etc").lines == before


def test_what_an_archive_may_hold(box: Daemon) -> None:
    entries = (
        ("dir", DIR, None), ("dir/file", FILE, b"x"), ("implied/deep/file", FILE, b"x"), ("/abs", FILE, b"x"),
        ("out", LINK, "../../etc"), ("null", CHAR, (1, 3)), ("twin", HARD, "f"), (".", DIR, None), (".wh.f", FILE, b"x"),
    )  # fmt: skip
    assert box.api("PUT", PATH + "/d", tar_of(*entries)).status == 200
    look = "stat -c '%n %F %u %g %h' /d/dir /d/dir/file /d/implied /d/abs /d/out /d/null /d/twin /d/.wh.f /d"
    assert box.docker("exec", "box", "sh", "-c", look).lines == [
        "/d/dir directory 7 8 2", "/d/dir/file regular file 7 8 1", "/d/implied directory 0 0 3",
        "/d/abs regular file 7 8 1", "/d/out symbolic link 7 8 1", "/d/null character special file 7 8 1",
        "/d/twin regular file 0 0 2", "/d/.wh.f regular file 7 8 1", "/d directory 0 0 5",
    ]  # fmt: skip


def test_kinds_that_differ(box: Daemon) -> None:
    for entries, words in (
        ((("sub", FILE, b"x"),), 'cannot overwrite directory "sub" with non-directory "/d"'),
        ((("f", DIR, None),), 'cannot overwrite non-directory "f" with directory "/d"'),
    ):
        answer = box.api("PUT", PATH + "/d&noOverwriteDirNonDir=true", tar_of(*entries))
        assert (answer.status, answer.body["message"]) == (400, words)
        assert box.api("PUT", PATH + "/d", tar_of(*entries)).status == 200
    assert box.docker("exec", "box", "stat", "-c", "%F", "/d/sub", "/d/f").lines == ["regular file", "directory"]


def test_the_containers_user_owns_it_where_asked(engine: Daemon) -> None:
    engine.docker("run", "-d", "--name", "box", "-u", "user:50", "busybox", "sleep", "1000")
    assert engine.api("PUT", PATH + "/tmp&copyUIDGID=1", tar_of(("mine", FILE, b""))).status == 200
    assert engine.api("PUT", PATH + "/tmp", tar_of(("theirs", FILE, b""))).status == 200
    look = ("exec", "box", "stat", "-c", "%u:%g", "/tmp/mine", "/tmp/theirs")
    assert engine.docker(*look).lines == ["1000:50", "7:8"]


def test_what_is_mounted_stays_mounted(box: Daemon) -> None:
    """A name in the archive that is a mount in the container is refused; nothing in the volume goes."""
    box.docker("exec", "box", "sh", "-c", "echo v > /vol/kept")
    for path, name in (("/etc", "hostname"), ("/", "vol")):
        answer = box.api("PUT", PATH + path, tar_of((name, FILE, b"x")))
        assert (answer.status, answer.body["message"]) == (400, f"RemoveAll {name}: device or resource busy")
    assert box.docker("exec", "box", "cat", "/vol/kept").out == "v\n"
    assert "/etc/hostname" in box.docker("exec", "box", "cat", "/proc/mounts").out


def test_the_whole_of_it_has_nothing_of_the_kernels(box: Daemon) -> None:
    connection = UnixConnection(box.socket)
    connection.request("GET", PATH + "/")
    with contextlib.closing(connection), tarfile.open(fileobj=connection.getresponse(), mode="r|") as tar:
        names = {member.name for member in tar}
    assert {"/proc", "/sys", "/dev/null", "/vol", "/d/f"} <= names
    assert not [name for name in names if name.startswith(("/proc/", "/sys/"))]


def test_a_client_that_vanishes_leaves_no_half_of_a_file(box: Daemon) -> None:
    archive = tar_of(("whole", FILE, b"x"), ("cut", FILE, b"x" * 100_000))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(box.socket)
        head = f"PUT {PATH}/d HTTP/1.1\r\nHost: x\r\nContent-Length: {len(archive)}\r\n\r\n"
        sock.sendall(head.encode() + archive[:50_000])
        eventually(lambda: box.api("HEAD", PATH + "/d/cut").status == 200, why="the file is being written")
    eventually(lambda: box.api("HEAD", PATH + "/d/cut").status == 404, why="the half is taken away")
    assert box.api("HEAD", PATH + "/d/whole").status == 200


def test_clients_that_stall_hold_nobody_up(box: Daemon) -> None:
    """Forty downloads that nobody reads and an upload that stands still: the engine answers, and the container ends."""
    box.docker("exec", "box", "dd", "if=/dev/zero", "of=/big", "bs=1M", "count=20")
    stalled = []
    for number in range(40):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(box.socket)
        if number:
            sock.sendall(f"GET {PATH}/big HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        else:
            sock.sendall(f"PUT {PATH}/d HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n".encode())
        stalled.append(sock)
    try:
        assert box.docker("exec", "box", "echo", "alive", timeout_s=20).out == "alive\n"
        box.docker("rm", "-fv", "box", timeout_s=20)
    finally:
        for sock in stalled:
            sock.close()


def test_a_stopped_one_is_copied_from_while_it_starts(engine: Daemon) -> None:
    """A reader that stalls does not keep a container from being started, nor from being removed."""
    engine.docker(
        "create", "--name", "box", "busybox", "sh", "-c", "[ -e /big ] || dd if=/dev/zero of=/big bs=1M count=20"
    )
    engine.docker("start", "-a", "box")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(engine.socket)
        sock.sendall(f"GET {PATH}/big HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert sock.recv(100).startswith(b"HTTP/1.1 200")
        engine.docker("start", "-a", "box", timeout_s=20)
        engine.docker("rm", "box", timeout_s=20)


@pytest.fixture(scope="module")
def remapping() -> Iterator[Daemon]:
    if reference.ADDRESS:
        pytest.skip("needs a daemon of its own")
    with Daemon("--userns-remap=default") as daemon:
        daemon.load_busybox()
        yield daemon


@pytest.mark.parametrize("running", [True, False])
def test_owners_in_a_user_namespace(remapping: Daemon, running: bool) -> None:
    verb = ("run", "-d") if running else ("create",)
    remapping.docker(*verb, "--name", "box", "-v", "/vol", "busybox", "sleep", "1000")
    try:
        for path in ("/tmp", "/vol"):
            assert remapping.api("PUT", PATH + path, tar_of(("own", FILE, b"x"))).status == 200
            raw = remapping.api("GET", PATH + path + "/own").body.encode()
            with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
                assert [(m.uid, m.gid) for m in tar] == [(7, 8)]
        remapping.docker("start", "box")
        look = ("exec", "box", "stat", "-c", "%u:%g", "/tmp/own", "/vol/own")
        assert remapping.docker(*look).lines == ["7:8", "7:8"]
    finally:
        remapping.docker("rm", "-fv", "box")


def test_nothing_stays_mounted(engine: Daemon) -> None:
    with shared_folder() as folder:
        Path(folder, "file").write_text("x")
        engine.docker("create", "--name", "box", "-v", f"{folder}:/shared", "busybox", "true")
        before = leaks.difference(engine.at_rest, engine.picture())
        for _ in range(5):
            assert engine.api("GET", PATH + "/shared/file").status == 200
            assert engine.api("PUT", PATH + "/shared", tar_of(("came", FILE, b"x"))).status == 200
        assert leaks.difference(engine.at_rest, engine.picture()) == before
        engine.docker("rm", "box")


def test_an_init_that_ended_before_its_shim_says_so(engine: Daemon) -> None:
    """Who reads meanwhile waits for the news, and does not keep them out."""
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    pid = engine.inspect("box")["State"]["Pid"]
    status = Path(f"/proc/{pid}/status").read_text()
    shim = int(next(line.split()[1] for line in status.splitlines() if line.startswith("PPid")))
    os.kill(shim, signal.SIGSTOP)
    try:
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: "State:\tZ" in Path(f"/proc/{pid}/status").read_text())
        with ThreadPoolExecutor(1) as reader:
            answer = reader.submit(engine.api, "GET", "/containers/box/archive?path=/etc/passwd")
            with pytest.raises(TimeoutError):
                answer.result(timeout=0.3)
            os.kill(shim, signal.SIGCONT)
            assert answer.result(timeout=5 * PATIENCE).status == 200
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(shim, signal.SIGCONT)
