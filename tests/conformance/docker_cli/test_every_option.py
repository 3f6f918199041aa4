"""Options of ``docker run`` that have no subject of their own elsewhere, each with its effect from inside.

``test_no_option_is_without_a_test`` reads the stock CLI's own help: an option that no test names fails it.
"""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from harness import cli
from harness.daemon import Daemon

pytestmark = pytest.mark.root

V2 = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
TESTS = Path(__file__).parents[2]


def has(path: str) -> bool:
    """Whether this kernel has a file of the root cgroup's children."""
    return V2 or os.path.exists(f"/sys/fs/cgroup/{path}")


def run(engine: Daemon, *words: str) -> list[str]:
    return engine.docker("run", "--rm", *words).lines


def disk() -> tuple[str, str]:
    """A block device of the host's: (node, numbers)."""
    for line in Path("/proc/partitions").read_text().splitlines()[2:]:
        major, minor, _, name = line.split()
        if os.path.exists(f"/dev/{name}") and os.path.exists(f"/sys/block/{name}"):
            return f"/dev/{name}", f"{major}:{minor}"
    raise AssertionError("this machine has no disk")


@pytest.mark.parametrize(
    ("flags", "v1", "v2", "value"),
    [
        (("--cpu-period", "50000", "--cpu-quota", "25000"), "cpu/cpu.cfs_period_us", "cpu.max", r"50000|25000 50000"),
        (("--cpu-shares", "512"), "cpu/cpu.shares", "cpu.weight", r"512|\d+"),
        (("--cpuset-cpus", "0"), "cpuset/cpuset.cpus", "cpuset.cpus", "0"),
        (("--cpuset-mems", "0"), "cpuset/cpuset.mems", "cpuset.mems", "0"),
        (("--memory-reservation", "32m"), "memory/memory.soft_limit_in_bytes", "memory.low", str(32 << 20)),
        (("--memory", "64m", "--memory-swap", "128m"), "memory/memory.memsw.limit_in_bytes", "memory.swap.max",
         rf"{128 << 20}|{64 << 20}"),
    ],
)  # fmt: skip
def test_limits(engine: Daemon, flags: tuple[str, ...], v1: str, v2: str, value: str) -> None:
    if not has(v1):
        pytest.skip(f"this kernel has no {v1}")
    (found,) = run(engine, *flags, "busybox", "cat", f"/sys/fs/cgroup/{v2 if V2 else v1}")
    assert re.fullmatch(value, found)


@pytest.mark.skipif(V2, reason="cgroup v1 only")
@pytest.mark.parametrize(
    ("flags", "path", "value"),
    [
        (("--memory-swappiness", "7"), "memory/memory.swappiness", "7"),
        (("--memory", "64m", "--oom-kill-disable"), "memory/memory.oom_control", "oom_kill_disable 1"),
    ],
)
def test_limits_of_cgroup_v1(engine: Daemon, flags: tuple[str, ...], path: str, value: str) -> None:
    assert value in run(engine, *flags, "busybox", "cat", f"/sys/fs/cgroup/{path}")


@pytest.mark.parametrize(
    ("flag", "v1", "word"),
    [
        ("--device-read-bps", "blkio.throttle.read_bps_device", "rbps"),
        ("--device-write-bps", "blkio.throttle.write_bps_device", "wbps"),
        ("--device-read-iops", "blkio.throttle.read_iops_device", "riops"),
        ("--device-write-iops", "blkio.throttle.write_iops_device", "wiops"),
    ],
)
def test_throttles(engine: Daemon, flag: str, v1: str, word: str) -> None:
    if not has(f"blkio/{v1}"):
        pytest.skip(f"this kernel has no {v1}")
    node, numbers = disk()
    path = "/sys/fs/cgroup/io.max" if V2 else f"/sys/fs/cgroup/blkio/{v1}"
    (found,) = run(engine, flag, f"{node}:5000", "busybox", "cat", path)
    assert found.startswith(numbers) and (f"{word}=5000" in found if V2 else found.endswith(" 5000"))


@pytest.mark.parametrize("flags", [("--blkio-weight", "300"), ("--blkio-weight-device", "{}:300")])
def test_weights_hold_or_are_told_to_be_dropped(engine: Daemon, flags: tuple[str, str]) -> None:
    """Most kernels have no scheduler for them: then there is a warning, and the container runs."""
    result = engine.docker("run", "--rm", flags[0], flags[1].format(disk()[0]), "busybox", "true")
    lacks = [w for w in engine.docker("info", "-f", "{{json .Warnings}}").out.split(",") if "blkio weight" in w.lower()]
    assert not lacks or "discarded" in result.err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--cpu-rt-period", "1000000"), ""),
        (("--cpu-rt-runtime", "95000"), ""),
        (("--cpu-count", "1"), "is only supported on a Docker daemon running on windows"),
        (("--cpu-percent", "10"), "is only supported on a Docker daemon running on windows"),
        (("--io-maxbandwidth", "1m"), "is only supported on a Docker daemon running on windows"),
        (("--io-maxiops", "10"), "is only supported on a Docker daemon running on windows"),
        (("--kernel-memory", "50m"), ""),
        (
            ("--storage-opt", "size=10m"),
            "--storage-opt is supported only for overlay over xfs with 'pquota' mount option",
        ),
        (("--volume-driver", "nope", "-v", "named:/x"), "Error response from daemon"),
        (("--disable-content-trust",), ""),
    ],
)
def test_what_holds_elsewhere_only(engine: Daemon, flags: tuple[str, ...], words: str) -> None:
    """Of Windows, of swarms and of kernels that lack it: taken, or refused with a sentence; never a crash."""
    result = engine.docker("run", "--rm", *flags, "busybox", "echo", "ran", check=False)
    assert result.code in (0, 1, 125)
    assert words in result.err if words else result.out == "ran\n" or "Error response from daemon" in result.err
    assert "internal error" not in result.err


def test_resolver_options(engine: Daemon) -> None:
    flags = (
        "--dns",
        "10.9.8.7",
        "--dns-search",
        "example.test",
        "--dns-option",
        "timeout:3",
        "--dns-opt",
        "attempts:2",
    )
    lines = run(engine, *flags, "busybox", "cat", "/etc/resolv.conf")
    assert "nameserver 10.9.8.7" in lines and "search example.test" in lines
    assert any("timeout:3" in line and "attempts:2" in line for line in lines if line.startswith("options"))


def test_detach_keys(engine: Daemon) -> None:
    terminal = engine.docker_pty(
        "run", "-it", "--name", "box", "--detach-keys", "ctrl-x,x", "busybox", "sh", "-c", "echo up; cat"
    )
    terminal.expect("up")
    terminal.send("\x18x")
    assert terminal.wait() == 0
    assert engine.inspect("box")["State"]["Running"]


@pytest.mark.parametrize("passed_on", [True, False])
def test_signals_are_passed_on_unless_nobody_wants_it(engine: Daemon, passed_on: bool) -> None:
    script = "trap 'echo heard' USR1; echo up; while true; do sleep 0.1; done"
    flag = f"--sig-proxy={str(passed_on).lower()}"
    client = engine.docker_popen("run", flag, "--name", "box", "busybox", "sh", "-c", script)
    assert client.stdout is not None
    assert client.stdout.readline() == b"up\n"
    client.send_signal(signal.SIGUSR1)
    if passed_on:
        assert client.stdout.readline() == b"heard\n"
    client.kill()
    client.wait(20)
    assert engine.inspect("box")["State"]["Running"]
    assert engine.docker("logs", "box").lines == (["up", "heard"] if passed_on else ["up"])


def test_the_engines_socket_in_a_container(engine: Daemon) -> None:
    """What CI runners and dashboards do: the client in the container drives the engine that it runs on."""
    mounts = ("-v", f"{engine.socket}:/var/run/docker.sock")
    flags = ("--name", "box", *mounts, "-v", f"{cli.docker_program()}:/docker:ro")
    result = engine.docker("run", "--rm", *flags, "busybox", "/docker", "ps", "--format", "{{.Names}}", check=False)
    assert result.out == "box\n", result
    nested = ("/docker", "run", "--rm", "--name", "nested", "busybox", "echo", "from inside")
    assert run(engine, *flags, "busybox", *nested) == ["from inside"]


def test_use_api_socket(engine: Daemon) -> None:
    """The stock CLI mounts its own host's /var/run/docker.sock: where there is none, the engine says so."""
    result = engine.docker("run", "--rm", "--use-api-socket", "busybox", "true", check=False)
    assert result.code == 0 or "docker.sock" in result.err


def test_link_local_addresses(engine: Daemon) -> None:
    result = engine.docker("run", "--rm", "--link-local-ip", "169.254.7.7", "busybox", "ip", "-4", "addr", check=False)
    assert "169.254.7.7" in result.out or "Error response from daemon" in result.err


def test_no_option_is_without_a_test() -> None:
    help_text = cli.run([cli.docker_program(), "run", "--help"], env=dict(os.environ)).out
    sources = "".join(path.read_text() for path in TESTS.rglob("test_*.py"))
    missing = []
    for short, option in re.findall(r"^ +(?:-(\w), )?--([a-z0-9-]+)", help_text, re.MULTILINE):
        named = rf'[" ]--{option}[" =]' + (rf'|"-{short}"|[" ]-{short} ' if short else "")
        if not re.search(named, sources):
            missing.append(option)
    assert missing == []
