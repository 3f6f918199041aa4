"""What a container sees, may write, is permitted: looked at from inside."""

from __future__ import annotations

import os

import pytest

from harness.daemon import Daemon

pytestmark = pytest.mark.root

V2 = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
DEFAULT_CAPABILITIES = 0x00000000A80425FB  # Docker's fourteen


def inside(engine: Daemon, script: str, *flags: str) -> list[str]:
    return engine.docker("run", "--rm", *flags, "busybox", "sh", "-c", script).lines


def status(engine: Daemon, *flags: str) -> dict[str, str]:
    lines = inside(engine, "cat /proc/self/status", *flags)
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def test_only_its_own_processes_are_seen(engine: Daemon) -> None:
    pids = [int(name) for name in inside(engine, "ls /proc") if name.isdigit()]
    assert 1 in pids and max(pids) < 10


def test_every_namespace_is_its_own(engine: Daemon) -> None:
    kinds = ("ipc", "mnt", "net", "pid", "uts", *(("cgroup",) if V2 else ()))  # Docker keeps the host's on v1
    theirs = inside(engine, " ; ".join(f"readlink /proc/self/ns/{kind}" for kind in kinds))
    ours = [os.readlink(f"/proc/self/ns/{kind}") for kind in kinds]
    assert not set(theirs) & set(ours)


def test_the_hosts_files_are_gone(engine: Daemon) -> None:
    """After pivot_root nothing of the host's tree is mounted or reachable."""
    lines = inside(engine, "cat /proc/self/mountinfo")
    points = [line.split()[4] for line in lines]
    allowed = ("/proc", "/dev", "/sys", "/etc/resolv.conf", "/etc/hostname", "/etc/hosts")
    assert points.count("/") == 1
    assert all(point == "/" or point.startswith(allowed) for point in points), points
    assert next(line for line in lines if line.split()[4] == "/").split(" - ")[1].startswith("overlay ")


def test_no_descriptor_leaks_in(engine: Daemon) -> None:
    assert inside(engine, "ls /proc/1/fd; ls /proc/self/fd | wc -l") == ["0", "1", "2", "4"]  # ls has the folder open
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    pid = engine.inspect("box")["State"]["Pid"]
    assert sorted(os.listdir(f"/proc/{pid}/fd")) == ["0", "1", "2"]
    assert engine.docker("exec", "box", "sh", "-c", "ls /proc/$$/fd").lines in (
        ["0", "1", "2", "3"],
        ["0", "1", "10", "2"],
    )


def test_the_hosts_interpreter_cannot_be_reached(engine: Daemon) -> None:
    """CVE-2019-5736's class: whatever /proc shows inside, no link leads to an executable of the host's."""
    script = "for p in /proc/[0-9]*; do readlink $p/exe; readlink $p/root; readlink $p/cwd; done; exit 0"
    engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    for _ in range(5):
        seen = set(engine.docker("exec", "box", "sh", "-c", script).lines)
        assert seen <= {"/bin/busybox", "/", ""}, seen


def test_masked_and_read_only_paths(engine: Daemon) -> None:
    masked = [p for p in ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware/dmi") if os.path.exists(p)]
    script = "; ".join(f"(cat {path} || ls {path}) 2>/dev/null | wc -c" for path in masked)
    assert set(inside(engine, script)) <= {"0"}
    frozen = [
        "/proc/sys/kernel/panic",
        "/proc/irq/default_smp_affinity",
        "/proc/sysrq-trigger",
        "/sys/class/net/lo/ifalias",
    ]
    frozen = [path for path in frozen if os.path.exists(path)]
    result = engine.docker(
        "run", "--rm", "busybox", "sh", "-c", "; ".join(f"echo > {path}" for path in frozen), check=False
    )
    assert result.err.count("Read-only file system") == len(frozen), result.err


def test_default_devices_and_no_others(engine: Daemon) -> None:
    names = set(inside(engine, "ls /dev"))
    wanted = {
        "null",
        "zero",
        "full",
        "random",
        "urandom",
        "tty",
        "ptmx",
        "pts",
        "shm",
        "mqueue",
        "stdin",
        "stdout",
        "stderr",
        "fd",
    }
    assert wanted <= names
    assert names <= wanted | {"core", "console"}
    result = engine.docker("run", "--rm", "busybox", "sh", "-c", "mknod /tmp/sda b 8 0 && cat /tmp/sda", check=False)
    assert result.code != 0 and "peration not permitted" in result.err


def test_the_default_capabilities(engine: Daemon) -> None:
    found = status(engine)
    assert int(found["CapEff"], 16) == int(found["CapBnd"], 16) == DEFAULT_CAPABILITIES
    assert int(found["CapInh"], 16) == int(found["CapAmb"], 16) == 0  # CVE-2022-24769
    assert found["Seccomp"] == "2"


def test_capabilities_dropped_and_added(engine: Daemon) -> None:
    assert int(status(engine, "--cap-drop", "ALL")["CapBnd"], 16) == 0
    one = int(status(engine, "--cap-drop", "ALL", "--cap-add", "NET_ADMIN")["CapEff"], 16)
    assert one == 1 << 12
    result = engine.docker("run", "--rm", "--cap-drop", "ALL", "busybox", "chown", "1:1", "/tmp", check=False)
    assert result.code == 1


def test_a_users_process_has_no_capability(engine: Daemon) -> None:
    found = status(engine, "-u", "1000")
    assert int(found["CapEff"], 16) == int(found["CapPrm"], 16) == 0
    assert int(found["CapBnd"], 16) == DEFAULT_CAPABILITIES


def test_no_new_privileges(engine: Daemon) -> None:
    assert status(engine)["NoNewPrivs"] == "0"
    assert status(engine, "--security-opt", "no-new-privileges")["NoNewPrivs"] == "1"


@pytest.mark.parametrize(
    "attempt",
    [
        "unshare -m true",
        "unshare -U true",
        "mount -t tmpfs none /mnt",
        "umount /proc",
        "chroot /proc/1/root true; swapon /etc/passwd",
        "hostname other",
        "insmod /etc/passwd",
        "date -s 2001-01-01",
        "ip link add x type dummy",
    ],
)
def test_what_is_not_permitted(engine: Daemon, attempt: str) -> None:
    result = engine.docker("run", "--rm", "busybox", "sh", "-c", attempt, check=False)
    assert "peration not permitted" in result.err or "ermission denied" in result.err, result


def test_privileged_lifts_it_all(engine: Daemon) -> None:
    found = status(engine, "--privileged")
    assert found["Seccomp"] == "0"
    assert int(found["CapEff"], 16) == _all_capabilities()
    assert inside(engine, "mkdir -p /m && mount -t tmpfs none /m && echo mounted", "--privileged") == ["mounted"]


def _all_capabilities() -> int:
    with open("/proc/self/status") as file:
        bounding = next(line for line in file if line.startswith("CapBnd"))
    return int(bounding.split()[1], 16)


def test_the_seccomp_profile_can_be_switched_off(engine: Daemon) -> None:
    assert status(engine, "--security-opt", "seccomp=unconfined")["Seccomp"] == "0"


def test_shared_namespaces_when_asked(engine: Daemon) -> None:
    assert inside(engine, "readlink /proc/self/ns/pid", "--pid", "host") == [os.readlink("/proc/self/ns/pid")]
    assert inside(engine, "readlink /proc/self/ns/ipc", "--ipc", "host") == [os.readlink("/proc/self/ns/ipc")]
    assert inside(engine, "readlink /proc/self/ns/uts", "--uts", "host") == [os.readlink("/proc/self/ns/uts")]
    engine.docker("run", "-d", "--name", "first", "busybox", "sleep", "1000")
    pid = engine.inspect("first")["State"]["Pid"]
    joined = inside(engine, "readlink /proc/self/ns/net", "--network", "container:first")
    assert joined == [os.readlink(f"/proc/{pid}/ns/net")]


def test_the_environment_of_the_daemon_stays_outside(engine: Daemon) -> None:
    names = {line.split("=")[0] for line in inside(engine, "env")}
    assert names <= {"PATH", "HOSTNAME", "HOME", "PWD", "SHLVL", "OLDPWD", "_"}


def test_core_files_sockets_and_keyrings_of_the_host(engine: Daemon) -> None:
    assert inside(engine, "cat /proc/net/unix | wc -l") == ["1"]


def test_the_cgroup_tree_is_read_only(engine: Daemon) -> None:
    folder = "/sys/fs/cgroup" if V2 else "/sys/fs/cgroup/memory"
    result = engine.docker("run", "--rm", "busybox", "mkdir", f"{folder}/x", check=False)
    assert "Read-only file system" in result.err
    if V2:
        assert inside(engine, "cat /proc/self/cgroup") == ["0::/"]
