"""``--userns-remap``: containers in user namespaces, seen from inside and from the host, through the stock CLI."""

from __future__ import annotations

import glob
import io
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import reference
from harness.daemon import Daemon

pytestmark = pytest.mark.root


SHIFTED = {"BERTH_FAILPOINTS": "daemon.idmap=error:EINVAL"}
"""As on a kernel that has no id-mapped mounts."""


@pytest.fixture(scope="module", params=[{}, SHIFTED], ids=["mapped", "shifted"])
def remapping(request: pytest.FixtureRequest) -> Iterator[Daemon]:
    if reference.ADDRESS:
        pytest.skip("needs a daemon of its own")
    with Daemon("--userns-remap=default", env=request.param) as daemon:
        daemon.load_busybox()
        daemon.docker("run", "--rm", "busybox", "true")
        daemon.at_rest = daemon.settled()
        yield daemon


@pytest.fixture
def engine(remapping: Daemon) -> Iterator[Daemon]:
    yield remapping
    remapping.remove_all()
    remapping.docker("volume", "prune", "-af")
    remapping.assert_clean(remapping.at_rest)


def inside(engine: Daemon, script: str, *flags: str) -> list[str]:
    return engine.docker("run", "--rm", *flags, "busybox", "sh", "-c", script).lines


def first_id(engine: Daemon) -> int:
    """The host's id of a container's root."""
    return int(inside(engine, "cat /proc/self/uid_map")[0].split()[1])


def test_root_inside_is_nobody_outside(engine: Daemon) -> None:
    outside = first_id(engine)
    assert f"dockremap:{outside}:65536\n" in Path("/etc/subuid").read_text()
    assert inside(engine, "id -u; id -g; cat /proc/self/gid_map")[:2] == ["0", "0"]
    engine.docker("run", "-d", "--name", "box", "-u", "1000:50", "busybox", "sleep", "1000")
    pid = engine.inspect("box")["State"]["Pid"]
    status = Path(f"/proc/{pid}/status").read_text().split("\n")
    assert next(line for line in status if line.startswith("Uid")).split()[1] == str(outside + 1000)
    assert next(line for line in status if line.startswith("Gid")).split()[1] == str(outside + 50)
    assert os.readlink(f"/proc/{pid}/ns/user") != os.readlink("/proc/self/ns/user")


def test_the_engine_says_so(engine: Daemon) -> None:
    assert "name=userns" in engine.docker("info", "-f", "{{.SecurityOptions}}").out


def test_files_of_the_image_and_new_ones(engine: Daemon) -> None:
    """Owners are those of the image; on disk too where nothing had to be shifted."""
    show = "stat -c '%u:%g %n'"
    script = f"{show} / /etc/passwd /home/user /tmp; touch /new; chown 1000:50 /new; {show} /new; rm /etc/group"
    assert inside(engine, script) == ["0:0 /", "0:0 /etc/passwd", "1000:1000 /home/user", "0:0 /tmp", "1000:50 /new"]
    engine.docker(
        "run", "--name", "box", "busybox", "sh", "-c", "touch /new; chown 1000:50 /new; echo x >> /etc/passwd"
    )
    found = [Path(path) for path in glob.glob(f"{engine.data_root}/snapshots/*/fs/new")]
    base = first_id(engine) if engine.env == SHIFTED else 0
    assert [(p.stat().st_uid, p.stat().st_gid) for p in found] == [(base + 1000, base + 50)]
    assert engine.docker("start", "-a", "box").code == 0


def test_everything_is_the_containers_roots(engine: Daemon) -> None:
    """/dev, its terminal, shm, mqueue, the files of the network."""
    places = "/dev /dev/pts /dev/shm /etc/hosts /etc/hostname /etc/resolv.conf"
    assert set(inside(engine, f"stat -c %u:%g {places}")) == {"0:0"}
    assert inside(engine, "echo '1.2.3.4 x' >> /etc/hosts && tail -1 /etc/hosts") == ["1.2.3.4 x"]
    assert inside(engine, "touch /dev/shm/x && echo x > /dev/null && head -c 4 /dev/urandom | wc -c") == ["4"]
    with engine.docker_pty(
        "run", "--rm", "-t", "busybox", "sh", "-c", "stat -c %u:%g /dev/console $(tty); echo done"
    ) as terminal:
        assert terminal.expect("done").count("0:5") == 2
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    with engine.docker_pty(
        "exec", "-t", "-u", "1000", "box", "sh", "-c", "stat -c %u:%g $(tty); echo done"
    ) as terminal:
        assert "1000:5" in terminal.expect("done")


@pytest.mark.parametrize("user", ["0", "1000", "user:staff"])
def test_standard_streams_can_be_opened(engine: Daemon, user: str) -> None:
    script = "echo out > /dev/stdout; echo err > /dev/stderr; cat < /dev/stdin"
    result = engine.docker("run", "--rm", "-i", "-u", user, "busybox", "sh", "-c", script, stdin="in\n")
    assert (result.out, result.err) == ("out\nin\n", "err\n")
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    assert engine.docker("exec", "-u", user, "box", "sh", "-c", "echo out > /dev/stdout").out == "out\n"


def test_cgroups_and_proc_are_read_only_and_its_own(engine: Daemon) -> None:
    script = (
        "find /sys/fs/cgroup -type f | while read f; do (: >> $f) 2>/dev/null && echo $f; done; mkdir /sys/fs/cgroup/x"
    )
    assert engine.docker("run", "--rm", "-m", "64m", "busybox", "sh", "-c", script, check=False).out == ""
    refused = "echo 1 > /proc/sys/kernel/panic; echo 1 > /proc/irq/default_smp_affinity; mount -t tmpfs x /mnt; dmesg"
    result = engine.docker("run", "--rm", "busybox", "sh", "-c", refused, check=False)
    assert (
        result.err.count("ead-only") + result.err.count("ermission denied") + result.err.count("not permitted") == 4
    ), result


def test_its_own_network_is_its_own(engine: Daemon) -> None:
    """CAP_NET_ADMIN counts in the container's own namespaces, and nowhere else."""
    flags = ("--cap-add", "NET_ADMIN", "--sysctl", "net.ipv4.ip_forward=1", "-p", "127.0.0.1::80")
    lines = inside(
        engine, "ip link set lo down && ip link show lo | grep -c UP; cat /proc/sys/net/ipv4/ip_forward", *flags
    )
    assert lines == ["0", "1"]
    server = ("--name", "web", "-p", "127.0.0.1::80", "busybox", "httpd", "-f", "-h", "/var/www")
    engine.docker("run", "-d", *server)
    address = engine.docker("port", "web", "80").out.strip()
    fetched = subprocess.run(["curl", "-sS", f"http://{address}/"], capture_output=True, text=True)
    if fetched.returncode != 127:
        assert fetched.stdout == "hello from busybox\n", fetched


def host_id(engine: Daemon, number: int) -> int:
    """What a container's id is on the disk: itself where mounts show it mapped."""
    return number + (first_id(engine) if engine.env == SHIFTED else 0)


def owners_on_disk(engine: Daemon, volume: str) -> dict[str, tuple[int, int]]:
    root = Path(engine.data_root, "volumes", volume, "_data")
    return {str(p.relative_to(root)): (p.stat().st_uid, p.stat().st_gid) for p in [root, *root.rglob("*")]}


def test_volumes(engine: Daemon) -> None:
    """A volume has the container's ids, copied up or written, and keeps them for whoever mounts it next."""
    engine.docker("create", "--name", "keeper", "-v", "/data", "-v", "/home/user", "busybox")
    script = "stat -c %u:%g /home/user; touch /data/new; chown 1000:50 /data/new; stat -c %u:%g /data /data/new"
    assert inside(engine, script, "--volumes-from", "keeper") == ["1000:1000", "0:0", "1000:50"]
    assert inside(engine, "stat -c %u:%g /data/new", "--volumes-from", "keeper", "--userns", "host") == ["1000:50"]
    assert inside(engine, "stat -c %u:%g /data/new", "--volumes-from", "keeper") == ["1000:50"]


@pytest.mark.parametrize("made_before", [False, True])
def test_a_new_volume_is_the_containers(engine: Daemon, made_before: bool) -> None:
    if made_before:
        engine.docker("volume", "create", "fresh")
    script = "touch /fresh/x; mkdir /fresh/d; chown 7:8 /fresh/d; stat -c '%u:%g %a' /fresh /fresh/x /fresh/d"
    assert inside(engine, script, "-v", "fresh:/fresh") == ["0:0 755", "0:0 644", "7:8 755"]
    zero = host_id(engine, 0)
    assert owners_on_disk(engine, "fresh") == {
        ".": (zero, zero), "x": (zero, zero), "d": (host_id(engine, 7), host_id(engine, 8)),
    }  # fmt: skip
    assert inside(engine, "stat -c %u:%g /fresh /fresh/d", "-v", "fresh:/fresh:ro", "-u", "1000") == ["0:0", "7:8"]


def test_what_the_image_has_is_copied_with_its_ids(engine: Daemon) -> None:
    engine.docker("volume", "create", "old")
    for volume in ("new", "old"):
        shown = inside(engine, "stat -c %u:%g /home /home/user", "-v", f"{volume}:/home")
        assert shown == ["0:0", "1000:1000"]
        zero, thousand = host_id(engine, 0), host_id(engine, 1000)
        assert owners_on_disk(engine, volume) == {".": (zero, zero), "user": (thousand, thousand)}


def test_an_image_that_is_mounted(engine: Daemon) -> None:
    for more in ("", ",image-subpath=home"):
        mount = ("--mount", f"type=image,src=busybox,dst=/other{more}")
        place = "/other" if more else "/other/home"
        assert inside(engine, f"stat -c %u:%g /other {place}/user", *mount) == ["0:0", "1000:1000"]
    engine.docker("create", "--name", "box", "--mount", "type=image,src=busybox,dst=/other", "busybox")
    raw = engine.docker_popen("cp", "box:/other/home", "-").communicate()[0]
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        assert {m.name: (m.uid, m.gid) for m in tar} == {"home": (0, 0), "home/user": (1000, 1000)}


def test_memory_is_the_containers(engine: Daemon) -> None:
    flags = ("--tmpfs", "/one", "--mount", "type=tmpfs,target=/two,tmpfs-mode=0750", "--tmpfs", "/home/user")
    script = "touch /one/x /two/x /home/user/x; chown 7:8 /two/x; stat -c '%u:%g' /one /two /one/x /two/x"
    assert inside(engine, script, *flags) == ["0:0", "0:0", "0:0", "7:8"]


@pytest.mark.parametrize("life", ["created", "running", "ended"])
def test_copies_in_and_out_of_a_volume(engine: Daemon, tmp_path: Path, life: str) -> None:
    """``docker cp`` speaks of the container's ids, whatever is on the disk, and whoever else has the volume."""
    (tmp_path / "put").write_text("x")
    os.chown(tmp_path / "put", 7, 8)
    engine.docker("run", "-d", "--name", "other", "-v", "shared:/data", "busybox", "sleep", "1000")
    verb = ("run", "-d") if life == "running" else ("create",)
    engine.docker(
        *verb, "--name", "box", "-v", "shared:/data", "busybox", "sleep", "1000" if life == "running" else "0"
    )
    if life == "ended":
        engine.docker("start", "-a", "box")
    engine.docker("cp", str(tmp_path / "put"), "box:/data/put")
    engine.docker("cp", str(tmp_path / "put"), "box:/root/put")
    assert engine.docker("exec", "other", "sh", "-c", "stat -c %u:%g /data /data/put").lines == ["0:0", "7:8"]
    for place, base in (("/data", "data"), ("/root", "root")):
        raw = engine.docker_popen("cp", f"box:{place}", "-").communicate()[0]
        with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
            found = {m.name: (m.uid, m.gid) for m in tar}
        assert (found[base], found[f"{base}/put"]) == ((0, 0), (7, 8))


@pytest.mark.parametrize("life", ["created", "running", "ended"])
def test_copies_in_and_out_of_a_bind(engine: Daemon, tmp_path: Path, life: str) -> None:
    """What stands there with the host's ids is seen and made as the container sees and makes it."""
    base = first_id(engine)
    (tmp_path / "put").write_text("x")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "roots").touch()
    for path in (tmp_path / "put", folder):
        os.chown(path, 7, 8) if path.is_file() else os.chown(path, base, base)
    verb = ("run", "-d") if life == "running" else ("create",)
    engine.docker(
        *verb, "--name", "box", "-v", f"{folder}:/data", "busybox", "sleep", "1000" if life == "running" else "0"
    )
    if life == "ended":
        engine.docker("start", "-a", "box")
    engine.docker("cp", str(tmp_path / "put"), "box:/data/put")
    assert (folder / "put").stat().st_uid == base + 7
    raw = engine.docker_popen("cp", "box:/data", "-").communicate()[0]
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        found = {m.name: (m.uid, m.gid) for m in tar}
    assert found == {"data": (0, 0), "data/put": (7, 8), "data/roots": (65534, 65534)}


@pytest.mark.parametrize("fstype", ["tmpfs", "ramfs"])
def test_volumes_with_a_filesystem_of_their_own(engine: Daemon, tmp_path: Path, fstype: str) -> None:
    """One that takes no map shows the host's ids; what is copied up gets those of the container."""
    subprocess.run(["mount", "-t", fstype, "berth-test", str(tmp_path)], check=True)
    try:
        engine.docker("volume", "create", "--opt=type=none", "--opt=o=bind", f"--opt=device={tmp_path}", "own")
        shown = inside(engine, "stat -c %u:%g /home /home/user; touch /home/new", "-v", "own:/home")
        mapped = engine.env != SHIFTED and fstype == "tmpfs"
        assert (tmp_path / "user").stat().st_uid == 1000 + (0 if mapped else first_id(engine))
        assert shown == ["0:0", "1000:1000"]
        engine.docker("volume", "rm", "own")
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_a_source_that_is_made_is_the_containers(engine: Daemon, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert inside(engine, "touch /x/new; stat -c %u:%g /x", "-v", f"{tmp_path}/a/b:/x") == ["0:0"]
    base = first_id(engine)
    assert [p.stat().st_uid for p in (tmp_path / "a", tmp_path / "a/b", tmp_path / "a/b/new")] == [base] * 3
    assert tmp_path.stat().st_uid == 0


def test_who_comes_to_a_used_volume_with_other_ids(engine: Daemon) -> None:
    """Its files are not moved below a container that runs; they are for the next one."""
    engine.docker(
        "run", "-d", "--name", "first", "-v", "both:/data", "busybox", "sh", "-c", "touch /data/x; sleep 1000"
    )
    outside = inside(engine, "stat -c %u /data/x", "-v", "both:/data", "--userns=host")
    assert outside == [str(host_id(engine, 0))]
    assert engine.docker("exec", "first", "stat", "-c", "%u", "/data/x").out == "0\n"
    engine.restart()
    assert inside(engine, "stat -c %u /data/x", "-v", "both:/data", "--userns=host") == outside
    engine.docker("rm", "-f", "first")
    assert inside(engine, "stat -c %u /data/x", "-v", "both:/data", "--userns=host") == ["0"]


def test_a_bind_of_the_hosts_stays_the_hosts(engine: Daemon, tmp_path: Path) -> None:
    (tmp_path / "roots").write_text("x")
    tmp_path.chmod(0o755)
    script = "stat -c %u /host/roots; touch /host/new; echo x >> /host/roots"
    result = engine.docker("run", "--rm", "-v", f"{tmp_path}:/host", "busybox", "sh", "-c", script, check=False)
    assert result.out == "65534\n" and result.err.count("ermission denied") == 2
    outside = first_id(engine)
    os.chown(tmp_path, outside, outside)
    assert engine.docker("run", "--rm", "-v", f"{tmp_path}:/host", "busybox", "touch", "/host/new").code == 0
    assert (tmp_path / "new").stat().st_uid == outside


def test_a_container_may_stay_outside(engine: Daemon) -> None:
    assert inside(engine, "cat /proc/self/uid_map", "--userns", "host")[0].split() == ["0", "0", "4294967295"]
    assert inside(engine, "id -u", "--userns=host", "--privileged", "--network", "host") == ["0"]
    engine.docker("create", "--name", "box", "--userns", "host", "busybox")
    assert engine.inspect("box")["HostConfig"]["UsernsMode"] == "host"


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (("--privileged",), "privileged mode is incompatible with user namespaces"),
        (("--network", "host"), "cannot share the host's network namespace when user namespaces are enabled"),
        (("--pid", "host"), "cannot share the host PID namespace when user namespaces are enabled"),
    ],
)
def test_what_needs_the_hosts_ids_is_refused(engine: Daemon, flags: tuple[str, ...], why: str) -> None:
    result = engine.docker("run", "--rm", *flags, "busybox", "true", check=False)
    assert result.code == 125 and why in result.err


@pytest.mark.parametrize("kind", ["network", "pid", "ipc"])
@pytest.mark.parametrize("first", [(), ("--userns=host",)])
def test_who_joins_shares_the_user_namespace(engine: Daemon, kind: str, first: tuple[str, ...]) -> None:
    share = ("--ipc", "shareable") if kind == "ipc" else ()
    engine.docker("run", "-d", "--name", "first", *share, *first, "busybox", "sleep", "1000")
    engine.docker("run", "-d", "--name", "second", f"--{kind}", "container:first", "busybox", "sleep", "1000")
    pids = [engine.inspect(name)["State"]["Pid"] for name in ("first", "second")]
    spaces = {"network": "net"}.get(kind, kind)
    for space in ("user", spaces):
        assert len({os.readlink(f"/proc/{pid}/ns/{space}") for pid in pids}) == 1, space
    assert engine.docker("exec", "second", "id", "-u").out == "0\n"


def test_it_lives_through_a_restart_of_the_daemon(make_daemon: Callable[..., Daemon]) -> None:
    """The map may even be another one then: what is on disk has none."""
    engine = make_daemon("--userns-remap=default")
    engine.docker("run", "-d", "--name", "box", "busybox", "sh", "-c", "touch /mine; sleep 1000")
    engine.restart()
    assert engine.docker("exec", "box", "stat", "-c", "%u", "/mine").out == "0\n"
    engine.docker("restart", "-t", "0", "box")
    assert engine.docker("exec", "box", "stat", "-c", "%u", "/mine").out == "0\n"
    engine.stop()
    engine.flags.remove("--userns-remap=default")
    engine.start()
    engine.docker("restart", "-t", "0", "box")
    assert engine.docker("exec", "box", "sh", "-c", "stat -c %u /mine; cat /proc/self/uid_map").lines[0] == "0"


def test_whole_copies_are_mapped_too(make_daemon: Callable[..., Daemon]) -> None:
    engine = make_daemon("--userns-remap=default", "--storage-driver=vfs")
    assert inside(engine, "stat -c %u:%g / /home/user; touch /new && stat -c %u /new") == ["0:0", "1000:1000", "0"]


def test_a_filesystem_that_takes_no_map(make_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "ramfs", "berth-test", str(tmp_path)], check=True)
    engine = make_daemon("--userns-remap=default", start=False)
    try:
        engine.data_root = str(tmp_path / "d")
        engine.start()
        engine.load_busybox()
        script = "stat -c %u:%g / /home/user /etc/passwd; touch /new && stat -c %u /new"
        assert inside(engine, script) == ["0:0", "1000:1000", "0:0", "0"]
        assert inside(engine, "touch /home/x; stat -c %u /home/user /home/x", "-v", "vol:/home") == ["1000", "0"]
        assert "no id-mapped mounts" in engine.log()
        assert inside(engine, "cat /proc/self/uid_map", "--userns=host")[0].split()[2] == "4294967295"
    finally:
        engine.close()
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_an_option_that_names_nobody(make_daemon: Callable[..., Daemon]) -> None:
    engine = make_daemon("--userns-remap=no-such-user", start=False)
    assert engine.spawn().wait(30) != 0
    assert "no-such-user" in engine.log()
