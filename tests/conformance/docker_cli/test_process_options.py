"""What the program finds around it: environment, user, groups, limits of its own, devices, kernel parameters."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from harness.daemon import Daemon
from harness.eventually import eventually

pytestmark = pytest.mark.root


def inside(engine: Daemon, *words: str) -> str:
    return engine.docker("run", "--rm", *words).out.strip()


def refused(engine: Daemon, *words: str) -> str:
    result = engine.docker("run", "--rm", *words, check=False)
    assert result.code != 0
    return result.out + result.err


def test_environment_and_its_files(engine: Daemon, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("A=1\n# comment\nB=x y\nFROM_CLIENT\n")
    found = engine.docker(
        "run", "--rm", "--env-file", str(tmp_path / "env"), "-e", "A=2", "-e", "UNSET", "busybox", "env",
        env={"FROM_CLIENT": "here"},
    ).out.splitlines()  # fmt: skip
    assert {"A=2", "B=x y", "FROM_CLIENT=here"} <= set(found)
    assert not any(line.startswith("UNSET") for line in found)


def test_labels_and_their_files(engine: Daemon, tmp_path: Path) -> None:
    (tmp_path / "labels").write_text("a=1\nb\n")
    ident = engine.docker("create", "--label-file", str(tmp_path / "labels"), "-l", "a=2", "busybox").out.strip()
    assert engine.inspect(ident)["Config"]["Labels"] == {"a": "2"}


def test_cidfile(engine: Daemon, tmp_path: Path) -> None:
    path = tmp_path / "cid"
    ident = engine.docker("create", "--cidfile", str(path), "busybox").out.strip()
    assert path.read_text() == ident
    assert "container ID file found" in refused(engine, "--cidfile", str(path), "busybox", "true")


def test_user_and_groups(engine: Daemon) -> None:
    assert inside(engine, "-u", "7:8", "--group-add", "9", "--group-add", "10", "busybox", "id") .startswith(
        "uid=7 gid=8 groups="
    )  # fmt: skip
    assert set(inside(engine, "-u", "7:8", "--group-add", "9", "busybox", "id", "-G").split()) == {"8", "9"}
    assert "nobodyhere" in refused(engine, "--group-add", "nobodyhere", "busybox", "true")


def test_ulimits(engine: Daemon) -> None:
    script = "ulimit -Sn; ulimit -Hn; ulimit -c"
    assert (
        inside(engine, "--ulimit", "nofile=100:200", "--ulimit", "core=0", "busybox", "sh", "-c", script)
        == "100\n200\n0"
    )


def test_shm_size(engine: Daemon) -> None:
    assert (
        inside(engine, "--shm-size", "5m", "busybox", "sh", "-c", "df -m /dev/shm | tail -1 | awk '{print $2}'") == "5"
    )


def test_sysctls(engine: Daemon) -> None:
    assert inside(engine, "--sysctl", "net.ipv4.ip_forward=0", "busybox", "cat", "/proc/sys/net/ipv4/ip_forward") == "0"
    assert inside(engine, "--sysctl", "kernel.shmmax=65536", "busybox", "cat", "/proc/sys/kernel/shmmax") == "65536"
    body = {"Image": "busybox", "HostConfig": {"Sysctls": {"kernel.panic": "1"}}}
    ident = engine.api("POST", "/containers/create", body).body["Id"]
    assert engine.api("POST", f"/containers/{ident}/start").status >= 400


def test_low_ports_and_ping_need_no_root(engine: Daemon) -> None:
    """Docker's two parameters: anybody inside binds port 80 and opens an ICMP socket."""
    ident = engine.docker("run", "-d", "busybox", "sleep", "1000").out.strip()
    values = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/ping_group_range"
    assert engine.docker("exec", ident, "sh", "-c", values).out.split() == ["0", "0", "2147483647"]
    code = "import socket as s; s.socket().bind(('127.0.0.1', 80)); s.socket(s.AF_INET, s.SOCK_DGRAM, s.IPPROTO_ICMP)"
    pid = str(engine.inspect(ident)["State"]["Pid"])
    subprocess.run(["nsenter", "-t", pid, "-n", "-S", "1000", "-G", "1000", "python3", "-c", code], check=True)


def test_sysctls_of_the_users_own_win(engine: Daemon) -> None:
    name = "net.ipv4.ip_unprivileged_port_start"
    script = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start"
    assert inside(engine, "--sysctl", f"{name}=1024", "busybox", "sh", "-c", script) == "1024"
    host = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text().strip()
    assert inside(engine, "--network", "host", "busybox", "sh", "-c", script) == host


def test_a_device_and_what_may_be_done_with_it(engine: Daemon) -> None:
    assert inside(engine, "--device", "/dev/zero:/dev/nil", "busybox", "stat", "-c", "%t:%T", "/dev/nil") == "1:5"
    write = ("--device", "/dev/full:/dev/x:r", "--device-cgroup-rule", "c 1:7 r", "busybox", "sh", "-c")
    assert inside(engine, *write, "head -c 1 /dev/x | wc -c") == "1"
    missing = refused(engine, "--device", "/dev/nowhere", "busybox", "true")
    assert 'error gathering device information while adding custom device "/dev/nowhere": no such file' in missing
    none = refused(engine, "--device", "/usr/bin", "busybox", "true")
    assert 'error gathering device information while adding custom device "/usr/bin": not a device node' in none


def test_device_cgroup_rules(engine: Daemon) -> None:
    """/dev/loop-control (10:237) is none of the defaults."""
    script = "mknod /tmp/d c 10 237 && head -c 0 < /tmp/d && echo opened"
    assert "opened" not in refused(engine, "busybox", "sh", "-c", script)
    if not os.path.exists("/dev/loop-control"):
        pytest.skip("this machine has no /dev/loop-control")
    assert inside(engine, "--device-cgroup-rule", "c 10:* rwm", "busybox", "sh", "-c", script) == "opened"


def test_gpus_and_named_devices_have_no_driver_here(engine: Daemon) -> None:
    gpu = refused(engine, "--gpus", "all", "busybox", "true")
    assert 'could not select device driver "" with capabilities: [[gpu]]' in gpu
    cdi = refused(engine, "--device", "vendor.com/class=name", "busybox", "true")
    assert "CDI device injection failed: unresolvable CDI devices vendor.com/class=name" in cdi


def test_an_init_reaps(engine: Daemon) -> None:
    assert "docker-init" in inside(engine, "--init", "busybox", "cat", "/proc/1/cmdline")
    assert inside(engine, "--init", "--pid", "host", "busybox", "echo", "alive") == "alive"


def test_oom_score(engine: Daemon) -> None:
    assert inside(engine, "--oom-score-adj", "300", "busybox", "cat", "/proc/self/oom_score_adj") == "300"


def test_security_options(engine: Daemon) -> None:
    status = ("busybox", "grep", "NoNewPrivs\\|Seccomp:", "/proc/self/status")
    assert inside(engine, "--security-opt", "no-new-privileges", *status).split() == [
        "NoNewPrivs:",
        "1",
        "Seccomp:",
        "2",
    ]
    assert inside(engine, "--security-opt", "seccomp=unconfined", *status).split() == [
        "NoNewPrivs:",
        "0",
        "Seccomp:",
        "0",
    ]
    script = "cat /proc/keys > /dev/null && echo seen; touch /proc/sys/kernel/domainname 2>&1"
    assert "seen" in inside(engine, "--security-opt", "systempaths=unconfined", "busybox", "sh", "-c", script)


def test_a_seccomp_profile_of_ones_own(engine: Daemon, tmp_path: Path) -> None:
    rule = '{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}'
    (tmp_path / "p.json").write_text(f'{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{rule}]}}')
    profile = f"seccomp={tmp_path}/p.json"
    assert "Function not implemented" in refused(engine, "--security-opt", profile, "busybox", "mkdir", "/x")


def test_privileged(engine: Daemon) -> None:
    script = "mount -t tmpfs none /tmp && echo mounted; ls /dev | wc -l; test -w /proc/sys/kernel/domainname && echo writable"
    found = inside(engine, "--privileged", "busybox", "sh", "-c", script).splitlines()
    assert found[0] == "mounted" and int(found[1]) > 15 and found[2] == "writable"


def test_writable_cgroups(engine: Daemon) -> None:
    script = "d=$(find /sys/fs/cgroup -maxdepth 1 -name pids); mkdir ${d:-/sys/fs/cgroup}/below && echo made"
    assert inside(engine, "--security-opt", "writable-cgroups=true", "busybox", "sh", "-c", script) == "made"
    assert "Read-only" in refused(engine, "busybox", "sh", "-c", script)


def test_cgroup_parent(engine: Daemon) -> None:
    parent = "/berth-test-parent"
    ident = engine.docker("run", "-d", "--cgroup-parent", parent, "busybox", "sleep", "1000").out.strip()
    pid = engine.inspect(ident)["State"]["Pid"]
    groups = Path(f"/proc/{pid}/cgroup").read_text()
    assert f"{parent}/{ident}" in groups
    engine.docker("rm", "-f", ident)
    for found in (*Path("/sys/fs/cgroup").glob(f"*{parent}"), *Path("/sys/fs/cgroup").glob(parent[1:])):
        eventually(lambda found=found: not [p for p in found.iterdir() if p.is_dir()])
        found.rmdir()


def test_log_drivers(engine: Daemon) -> None:
    for driver in ("local", "json-file"):
        ident = engine.docker("run", "-d", "--log-driver", driver, "busybox", "echo", "words").out.strip()
        engine.docker("wait", ident)
        assert engine.docker("logs", ident).out == "words\n"
    ident = engine.docker("run", "-d", "--log-driver", "none", "busybox", "echo", "words").out.strip()
    engine.docker("wait", ident)
    result = engine.docker("logs", ident, check=False)
    assert result.code == 1 and "configured logging driver does not support reading" in result.err


def test_log_options_are_looked_at_when_it_starts(engine: Daemon) -> None:
    for option, sentence in (("max-size=x", "invalid size: 'x'"), ("max-file=x", 'strconv.Atoi: parsing "x": invalid syntax'),
                             ("max-file=0", "max-file cannot be less than 1")):  # fmt: skip
        error = refused(engine, "--log-driver", "json-file", "--log-opt", option, "busybox", "true")
        assert f"failed to initialize logging driver: {sentence}" in error


def test_throttled_devices_are_named_by_number(engine: Daemon) -> None:
    missing = refused(engine, "--device-read-bps", "/dev/nowhere:1m", "busybox", "true")
    assert "stat /dev/nowhere: no such file or directory" in missing
    disk = next(
        (f"/dev/{d}" for d in sorted(os.listdir("/sys/block")) if not d.startswith(("loop", "ram", "zram"))), ""
    )
    path = "/sys/fs/cgroup/blkio/blkio.throttle.read_bps_device"
    if not disk or not os.path.exists(disk) or not os.path.exists("/sys/fs/cgroup/blkio"):
        pytest.skip("this machine has no disk, or no blkio cgroup")
    assert inside(engine, "--device-read-bps", f"{disk}:1m", "busybox", "cat", path).endswith(" 1048576")
