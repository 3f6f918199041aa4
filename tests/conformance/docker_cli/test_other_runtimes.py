"""``--runtime``, ``--add-runtime``, ``--default-runtime``: the shim drives another OCI runtime's program.

Every verb of a container's life with Debian's crun and runc, and with our own program registered as if it were a stranger's.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.daemon import Daemon
from harness.eventually import eventually

pytestmark = pytest.mark.root

NAMES = ("crun", "runc")
SELF = str(Path(sys.executable).with_name("berth-runtime"))


@pytest.fixture(scope="module")
def house() -> Iterator[Daemon]:
    with Daemon("--add-runtime", f"stranger={SELF}") as daemon:
        daemon.load_busybox()
        yield daemon


@pytest.fixture(params=NAMES)
def runtime(request: pytest.FixtureRequest, house: Daemon) -> Iterator[str]:
    """After the test nothing of the runtime's is left, nor of the shim's."""
    yield str(request.param)
    house.remove_all()
    eventually(lambda: os.listdir(f"{house.run_root}/c") == [] or None, why="shim folders are gone")
    eventually(lambda: strangers(house) == [] or None, why="the runtime's groups are gone")


def strangers(house: Daemon) -> list[str]:
    """Control groups below the instance's that are neither the engine's own nor a parked shim's."""
    found: set[str] = set()
    for top in ("/sys/fs/cgroup", *(entry.path for entry in os.scandir("/sys/fs/cgroup") if entry.is_dir())):
        parent = f"{top}/berth-{house.instance_id}"
        if os.path.isdir(parent):
            found |= {entry.name for entry in os.scandir(parent) if entry.is_dir()}
    return [name for name in found if name != "engine" and not name.startswith("park-")]


def start(house: Daemon, runtime: str, *flags: str, script: str = "trap exit TERM; sleep 1000 & wait") -> str:
    return house.docker("run", "-d", "--runtime", runtime, *flags, "busybox", "sh", "-c", script).out.strip()


def test_run_with_streams_and_exit_code(house: Daemon, runtime: str) -> None:
    result = house.docker(
        "run", "--rm", "-i", "--runtime", runtime, "busybox", "sh", "-c", "cat; echo said >&2; exit 7", stdin="words\n",
        check=False,
    )  # fmt: skip
    assert (result.code, result.out, result.err) == (7, "words\n", "said\n")


def test_a_terminal(house: Daemon, runtime: str) -> None:
    with house.docker_pty("run", "--rm", "-it", "--runtime", runtime, "busybox", "sh") as terminal:
        terminal.expect("#")
        terminal.send("tty; stty size; exit 3\n")
        terminal.expect("/dev/pts/0")
        assert terminal.wait() == 3


def test_exec(house: Daemon, runtime: str) -> None:
    ident = start(house, runtime)
    done = house.docker("exec", "-i", "-u", "daemon", "-w", "/tmp", "-e", "A=b", ident, "sh", "-c",
                        "id -un; pwd; echo $A $HOME; cat; exit 9", stdin="in\n", check=False)  # fmt: skip
    assert (done.code, done.out) == (9, "daemon\n/tmp\nb /usr/sbin\nin\n")
    with house.docker_pty("exec", "-it", ident, "sh") as terminal:
        terminal.expect("#")
        terminal.send("tty; exit 4\n")
        terminal.expect("/dev/pts/")
        assert terminal.wait() == 4
    missing = house.docker("exec", ident, "nosuch", check=False)
    assert missing.code == 127


def test_stop_kill_and_logs(house: Daemon, runtime: str) -> None:
    ident = start(house, runtime, script="trap 'echo bye; exit 5' TERM; echo up; sleep 1000 & wait")
    eventually(lambda: house.docker("logs", ident).out == "up\n")
    house.docker("stop", ident)
    assert house.inspect(ident)["State"]["ExitCode"] == 5
    assert house.docker("logs", ident).out == "up\nbye\n"
    house.docker("start", ident)
    house.docker("kill", ident)
    assert house.docker("wait", ident).out == "137\n"
    house.docker("rm", ident)


def test_pause_update_top_and_stats(house: Daemon, runtime: str) -> None:
    ident = start(house, runtime, "--memory", "64m", "--name", "held")
    house.docker("pause", ident)
    assert house.inspect(ident)["State"]["Status"] == "paused"
    house.docker("unpause", ident)
    assert house.docker("exec", ident, "echo", "awake").out == "awake\n"
    house.docker("update", "--memory", "96m", "--memory-swap", "192m", "--pids-limit", "50", ident)
    shown = house.docker(
        "exec",
        ident,
        "sh",
        "-c",
        "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes pids/pids.max || cat memory.max pids.max",
    ).out.split()
    assert shown == [str(96 << 20), "50"]
    assert "sleep 1000" in house.docker("top", ident).out
    stats = json.loads(house.docker("stats", "--no-stream", "--format", "json", ident).out)
    assert stats["MemUsage"].endswith("96MiB") and int(stats["PIDs"]) >= 2


def test_network_and_published_ports(house: Daemon, runtime: str) -> None:
    house.docker("network", "create", "n1")
    serve = "echo hello > /i; exec busybox httpd -f -p 80 -h /"
    start(house, runtime, "--name", "web", "--network", "n1", "-p", "127.0.0.1::80", script=serve)
    port = house.docker("port", "web", "80").out.strip()
    assert eventually(lambda: fetch(f"http://{port}/i"), why="the published port answers") == b"hello\n"
    assert house.docker("run", "--rm", "--network", "n1", "busybox", "ping", "-c1", "-W5", "web").code == 0
    joined = ("--runtime", runtime, "--network", "container:web")
    assert ":80 " in house.docker("run", "--rm", *joined, "busybox", "netstat", "-ltn").out


def fetch(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bytes(answer.read())
    except OSError:
        return b""


def test_mounts(house: Daemon, runtime: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("bound")
    house.docker("run", "--rm", "-v", "vol:/v", "busybox", "sh", "-c", "mkdir /v/sub; echo deep > /v/sub/x")
    script = "cat /b/f /v/x; ls /img/bin/sh; touch /t/x && echo t; touch /b/x /x 2>&1 | grep -c Read-only"
    out = house.docker(
        "run", "--rm", "--runtime", runtime, "-v", f"{tmp_path}:/b:ro", "--tmpfs", "/t",
        "--mount", "type=volume,src=vol,dst=/v,volume-subpath=sub", "--mount", "type=image,src=busybox,dst=/img",
        "--read-only", "busybox", "sh", "-c", script,
    ).out  # fmt: skip
    house.docker("volume", "rm", "vol", check=False)
    assert out == "bounddeep\n/img/bin/sh\nt\n2\n"


def test_user_capabilities_and_confinement(house: Daemon, runtime: str) -> None:
    script = (
        "id -u; id -g; cat /proc/keys | wc -c; grep -e CapBnd -e NoNewPrivs -e Seccomp: /proc/self/status; ulimit -n"
    )
    out = house.docker(
        "run", "--rm", "--runtime", runtime, "--user", "daemon", "--cap-drop", "ALL", "--cap-add", "CHOWN",
        "--security-opt", "no-new-privileges", "--ulimit", "nofile=77:77", "busybox", "sh", "-c", script, check=False,
    ).out.split()  # fmt: skip
    assert out == ["1", "1", "0", "CapBnd:", "0000000000000001", "NoNewPrivs:", "1", "Seccomp:", "2", "77"]


def test_devices(house: Daemon, runtime: str) -> None:
    script = "mknod /k c 1 11 && cat /k; ls /dev/full /dev/z; head -c 2 /dev/z | wc -c"
    done = house.docker(
        "run", "--rm", "--runtime", runtime, "--device", "/dev/zero:/dev/z", "busybox", "sh", "-c", script
    )
    assert "Operation not permitted" in done.err
    assert done.out == "/dev/full\n/dev/z\n2\n"
    everything = house.docker(
        "run", "--rm", "--runtime", runtime, "--privileged", "busybox", "sh", "-c", "test -c /dev/kmsg"
    )
    assert everything.code == 0


def test_init_and_host_namespaces(house: Daemon, runtime: str) -> None:
    first = house.docker("run", "--rm", "--init", "--runtime", runtime, "busybox", "cat", "/proc/1/comm").out
    assert first == "docker-init\n"
    flags = ("--network", "host", "--pid", "host", "--uts", "host", "--ipc", "host")
    shown = house.docker(
        "run", "--rm", *flags, "--runtime", runtime, "busybox", "sh", "-c", "hostname; cat /proc/1/comm"
    ).out
    assert shown.split() == [os.uname().nodename, Path("/proc/1/comm").read_text().strip()]


@pytest.mark.parametrize(("command", "code", "words"), [
    ("nosuch", 127, "nosuch"), ("/etc/passwd", 126, "ermission denied"),
])  # fmt: skip
def test_a_command_that_cannot_run(house: Daemon, runtime: str, command: str, code: int, words: str) -> None:
    done = house.docker("run", "--rm", "--runtime", runtime, "busybox", command, check=False)
    assert done.code == code
    assert "OCI runtime create failed" in done.err and words in done.err


def test_our_own_program_driven_like_a_strangers(house: Daemon) -> None:
    ident = start(house, "stranger", script="trap 'exit 5' TERM; echo up; sleep 1000 & wait")
    assert house.docker("exec", "-u", "daemon", ident, "id", "-un").out == "daemon\n"
    house.docker("pause", ident)
    house.docker("unpause", ident)
    house.docker("restart", ident)
    house.docker("stop", ident)
    assert house.inspect(ident)["State"]["ExitCode"] == 5
    assert house.docker("logs", ident).out == "up\nup\n"
    house.docker("rm", ident)


def test_a_killed_daemon_takes_it_over(make_daemon: Callable[..., Daemon]) -> None:
    engine = make_daemon("--default-runtime", "runc")
    ident = engine.docker("run", "-d", "busybox", "sh", "-c", "trap 'exit 6' TERM; sleep 1000 & wait").out.strip()
    before = engine.inspect(ident)
    assert before["HostConfig"]["Runtime"] == "runc"
    engine.kill9()
    engine.start()
    assert engine.inspect(ident)["State"]["Pid"] == before["State"]["Pid"]
    assert engine.docker("exec", ident, "echo", "there").out == "there\n"
    engine.docker("stop", ident)
    assert engine.inspect(ident)["State"]["ExitCode"] == 6


def test_what_there_is_and_what_is_not(make_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    config = tmp_path / "daemon.json"
    config.write_text(json.dumps({"runtimes": {"gone": {"path": "/nosuch/runtime", "runtimeArgs": ["--debug"]}}}))
    engine = make_daemon("--config-file", str(config))
    info = engine.api("GET", "/info").body
    assert info["DefaultRuntime"] == "berth"
    assert info["Runtimes"]["gone"] == {"path": "/nosuch/runtime", "runtimeArgs": ["--debug"]}
    assert {"berth", "crun", "runc"} <= set(info["Runtimes"])
    unknown = engine.docker("run", "--runtime", "nosuch", "busybox", "true", check=False)
    assert "unknown or invalid runtime name: nosuch" in unknown.err
    missing = engine.docker("run", "--rm", "--runtime", "gone", "busybox", "true", check=False)
    assert "run the runtime gone: no such file or directory" in missing.err
    subprocess.run(["mount", "--bind", "--make-shared", str(tmp_path), str(tmp_path)], check=True)
    try:
        bind = f"{tmp_path}:/t:rshared"
        shared = engine.docker("run", "--rm", "--runtime", "crun", "-v", bind, "busybox", "true", check=False)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
    assert "the mount at /t is shared, which the runtime crun cannot have: use berth" in shared.err
    config.write_text(json.dumps({"runtimes": {"late": {"path": "runc"}}, "default-runtime": "late"}))
    os.kill(engine.pid, signal.SIGHUP)
    eventually(lambda: engine.api("GET", "/info").body["DefaultRuntime"] == "late")
    assert engine.docker("run", "--rm", "busybox", "echo", "by another name").out == "by another name\n"


@pytest.mark.parametrize(("flags", "words"), [
    (["--default-runtime", "nosuch"], "specified default runtime 'nosuch' does not exist"),
    (["--add-runtime", "berth=/bin/true"], "runtime name 'berth' is reserved"),
])  # fmt: skip
def test_a_table_that_is_wrong(make_daemon: Callable[..., Daemon], flags: list[str], words: str) -> None:
    engine = make_daemon(*flags, start=False)
    assert engine.spawn().wait(20) != 0
    assert words in engine.log()
