"""-v, --mount, --tmpfs, --volumes-from: what is seen inside, and what reaches the host."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.daemon import Daemon

pytestmark = pytest.mark.root


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder whose path the engine and a Docker in a room both have."""
    path = Path(f"/var/tmp/berth-test-mounts-{os.getpid()}")
    path.mkdir(exist_ok=True)
    (path / "file").write_text("words\n")
    yield path
    while subprocess.run(["umount", "-l", str(path)], capture_output=True).returncode == 0:
        pass
    subprocess.run(["umount", "-l", str(path / "below")], capture_output=True)
    subprocess.run(["rm", "-rf", str(path)], check=True)


@pytest.fixture
def fresh(make_daemon: object) -> Daemon:
    """Named volumes outlive their containers: a daemon of its own."""
    return make_daemon()  # type: ignore[operator, no-any-return]


def inside(engine: Daemon, *words: str) -> str:
    return engine.docker("run", "--rm", *words).out.strip()


def refused(engine: Daemon, *words: str) -> str:
    result = engine.docker("run", "--rm", *words, check=False)
    assert result.code != 0
    return result.out + result.err


def options_of(engine: Daemon, target: str, *flags: str) -> list[str]:
    """The mount's options inside."""
    script = f"grep ' {target} ' /proc/self/mountinfo"
    return inside(engine, *flags, "busybox", "sh", "-c", script).split()[5].split(",")


@pytest.mark.parametrize("flag", ["-v{0}:/data:ro", "--mount=type=bind,src={0},dst=/data,readonly"])
def test_a_bind_read_only(engine: Daemon, place: Path, flag: str) -> None:
    assert inside(engine, flag.format(place), "busybox", "cat", "/data/file") == "words"
    assert "Read-only file system" in refused(engine, flag.format(place), "busybox", "touch", "/data/x")


def test_a_bind_of_one_file(engine: Daemon, place: Path) -> None:
    assert inside(engine, "-v", f"{place}/file:/etc/word", "busybox", "cat", "/etc/word") == "words"


def test_binds_make_their_source_and_mounts_do_not(engine: Daemon, place: Path) -> None:
    inside(engine, "-v", f"{place}/made/here:/data", "busybox", "touch", "/data/x")
    assert (place / "made/here/x").exists()
    assert "bind source path does not exist" in refused(
        engine, "--mount", f"type=bind,src={place}/not/here,dst=/data", "busybox", "true"
    )
    assert not (place / "not").exists()


def test_what_is_mounted_below_comes_along_and_is_read_only_too(engine: Daemon, place: Path) -> None:
    below = place / "below"
    below.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", str(below)], check=True)
    (below / "deep").write_text("deep\n")
    assert inside(engine, "-v", f"{place}:/data", "busybox", "cat", "/data/below/deep") == "deep"
    assert "Read-only" in refused(engine, "-v", f"{place}:/data:ro", "busybox", "touch", "/data/below/x")
    top_only = f"type=bind,src={place},dst=/data,readonly,bind-recursive=writable"
    inside(engine, "--mount", top_only, "busybox", "touch", "/data/below/x")
    without = f"type=bind,src={place},dst=/data,bind-recursive=disabled"
    assert inside(engine, "--mount", without, "busybox", "ls", "/data/below") == ""


def test_propagation_goes_where_it_was_asked_to(engine: Daemon, place: Path) -> None:
    subprocess.run(["mount", "--bind", str(place), str(place)], check=True)
    subprocess.run(["mount", "--make-shared", str(place)], check=True)
    os.makedirs(place / "in")
    script = "mount -t tmpfs none /data/in && touch /data/in/seen && ls /data/in"
    both = ("--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined", "-v", f"{place}:/data:rshared")
    assert inside(engine, *both, "busybox", "sh", "-c", script) == "seen"
    assert (place / "in/seen").exists(), "a shared mount reaches the host"
    subprocess.run(["umount", str(place / "in")], check=True)
    private = (*both[:4], "-v", f"{place}:/data")
    assert inside(engine, *private, "busybox", "sh", "-c", script) == "seen"
    assert not (place / "in/seen").exists()


def test_a_slave_sees_what_the_host_mounts_later(engine: Daemon, place: Path) -> None:
    subprocess.run(["mount", "--bind", str(place), str(place)], check=True)
    subprocess.run(["mount", "--make-shared", str(place)], check=True)
    os.makedirs(place / "later")
    ident = engine.docker("run", "-d", "-v", f"{place}:/data:rslave", "busybox", "sleep", "1000").out.strip()
    subprocess.run(["mount", "-t", "tmpfs", "none", str(place / "later")], check=True)
    (place / "later/seen").write_text("")
    assert engine.docker("exec", ident, "ls", "/data/later").out == "seen\n"
    engine.docker("rm", "-f", ident)
    subprocess.run(["umount", str(place / "later")], check=True)


@pytest.mark.parametrize(("mode", "kind"), [("shared", "shared"), ("rslave", "shared or slave")])
def test_what_the_host_keeps_to_itself_cannot_be_passed_on(engine: Daemon, place: Path, mode: str, kind: str) -> None:
    subprocess.run(["mount", "--bind", str(place), str(place)], check=True)
    subprocess.run(["mount", "--make-private", str(place)], check=True)
    (place / "in side").mkdir()
    said = refused(engine, "-v", f"{place}/in side:/data:{mode}", "busybox", "true")
    assert f"path {place}/in side is mounted on {place} but it is not a {kind} mount" in said


def test_df_names_the_filesystems(engine: Daemon) -> None:
    lines = inside(engine, "busybox", "df", "/", "/dev", "/dev/shm").splitlines()
    assert [(line.split()[0], line.split()[-1]) for line in lines[1:]] == [
        ("overlay", "/"), ("tmpfs", "/dev"), ("shm", "/dev/shm")
    ]  # fmt: skip


def test_tmpfs_with_size_and_mode(engine: Daemon) -> None:
    script = "df -m /t | tail -1 | awk '{print $2}'; stat -c %a /t; touch /t/x"
    assert inside(engine, "--tmpfs", "/t:size=2m,mode=1770", "busybox", "sh", "-c", script) == "2\n1770"
    mount = "type=tmpfs,dst=/t,tmpfs-size=3m,tmpfs-mode=0700"
    assert inside(engine, "--mount", mount, "busybox", "sh", "-c", script) == "3\n700"
    assert {"noexec", "nosuid", "nodev"} <= set(options_of(engine, "/t", "--tmpfs", "/t"))
    assert "noexec" not in options_of(engine, "/t", "--tmpfs", "/t:exec")
    assert "Read-only" in refused(engine, "--mount", "type=tmpfs,dst=/t,readonly", "busybox", "touch", "/t/x")


def test_tmpfs_that_the_kernel_refuses(engine: Daemon) -> None:
    assert 'error mounting "tmpfs" to rootfs at "/t"' in refused(engine, "--tmpfs", "/t:nonsense", "busybox", "true")


def test_named_volumes_and_their_parts(fresh: Daemon) -> None:
    fill = "mkdir -p /v/a/b && echo part > /v/a/b/word && ln -s /etc /v/out && ln -s a/b /v/in"
    inside(fresh, "-v", "parts:/v", "busybox", "sh", "-c", fill)
    assert inside(fresh, "--mount", "src=parts,dst=/d,volume-subpath=a/b", "busybox", "cat", "/d/word") == "part"
    assert inside(fresh, "--mount", "src=parts,dst=/d,volume-subpath=in", "busybox", "cat", "/d/word") == "part"
    assert "no such file or directory" in refused(
        fresh, "--mount", "src=parts,dst=/d,volume-subpath=out", "busybox", "true"
    ), "a link leads nowhere but inside the volume"
    assert "no such file or directory" in refused(
        fresh, "--mount", "src=parts,dst=/d,volume-subpath=missing", "busybox", "true"
    )


def test_a_new_volume_starts_with_what_the_image_has(fresh: Daemon) -> None:
    assert "sh" in inside(fresh, "-v", "copied:/bin", "busybox", "ls", "/bin").split()
    script = "ls /v | wc -l"
    assert inside(fresh, "-v", "copied:/v", "busybox", "sh", "-c", script) != "0"
    empty = "type=volume,src=plain,dst=/etc,volume-nocopy"
    assert inside(fresh, "--mount", empty, "busybox", "sh", "-c", "ls /etc | grep -vc 'host\\|resolv'; true") == "0"


def test_volumes_from(fresh: Daemon, place: Path) -> None:
    fresh.docker("create", "--name", "donor", "-v", "named:/n", "-v", f"{place}:/b:ro", "-v", "/anonymous", "busybox")
    script = "echo 1 > /n/x && echo 2 > /anonymous/x && cat /b/file"
    assert inside(fresh, "--volumes-from", "donor", "busybox", "sh", "-c", script) == "words"
    assert inside(fresh, "--volumes-from", "donor:ro", "busybox", "cat", "/n/x", "/anonymous/x") == "1\n2"
    assert "Read-only" in refused(fresh, "--volumes-from", "donor:ro", "busybox", "touch", "/n/y")
    assert "Read-only" in refused(fresh, "--volumes-from", "donor", "busybox", "touch", "/b/y")
    assert inside(fresh, "--volumes-from", "donor", "-v", "/n", "busybox", "ls", "/n") == "x"
    assert inside(fresh, "--volumes-from", "donor", "--tmpfs", "/n", "busybox", "ls", "/n") == ""


def test_an_image_as_a_mount(engine: Daemon) -> None:
    mount = ("--mount", "type=image,src=busybox,dst=/other")
    assert "sh" in inside(engine, *mount, "busybox", "ls", "/other/bin").split()
    assert "Read-only" in refused(engine, *mount, "busybox", "touch", "/other/x")
    part = ("--mount", "type=image,src=busybox,dst=/other,image-subpath=bin")
    assert "sh" in inside(engine, *part, "busybox", "ls", "/other").split()


def test_the_engines_socket_works_inside(engine: Daemon) -> None:
    """The folder of the stock CLI and the socket: an engine's client in one of its containers."""
    script = 'printf "GET /_ping HTTP/1.0\\r\\n\\r\\n" | nc local:/engine.sock'
    found = engine.docker(
        "run", "--rm", "-v", f"{engine.socket}:/engine.sock", "busybox", "sh", "-c", script, check=False
    )
    if (
        "bad address" in found.err or "bad port" in found.err
    ):  # this busybox's nc speaks no unix sockets: look at it alone
        assert (
            inside(engine, "-v", f"{engine.socket}:/engine.sock", "busybox", "stat", "-c", "%F", "/engine.sock")
            == "socket"
        )
        return
    assert "OK" in found.out
