"""--pid, --ipc, --uts, --cgroupns, --network: the host's, another container's, its own."""

from __future__ import annotations

import os

import pytest

from harness.daemon import Daemon
from harness.leaks import processes

pytestmark = pytest.mark.root


def sleeper(engine: Daemon, *flags: str) -> str:
    return engine.docker("run", "-d", *flags, "busybox", "sh", "-c", "trap exit TERM; sleep 1000 & wait").out.strip()


def inside(engine: Daemon, *words: str) -> str:
    return engine.docker("run", "--rm", *words).out.strip()


def host_namespace(kind: str) -> str:
    return os.readlink(f"/proc/self/ns/{kind}")


@pytest.mark.parametrize("kind", ["pid", "ipc", "uts"])
def test_the_hosts(engine: Daemon, kind: str) -> None:
    assert inside(engine, f"--{kind}", "host", "busybox", "readlink", f"/proc/self/ns/{kind}") == host_namespace(kind)
    assert inside(engine, "busybox", "readlink", f"/proc/self/ns/{kind}") != host_namespace(kind)


def test_the_hosts_cgroup_namespace(engine: Daemon) -> None:
    assert inside(engine, "--cgroupns", "host", "busybox", "readlink", "/proc/self/ns/cgroup") == host_namespace(
        "cgroup"
    )
    assert (
        inside(engine, "--cgroupns", "private", "busybox", "sh", "-c", "cut -d: -f3 /proc/self/cgroup | sort -u") == "/"
    )


def test_the_hosts_network_leaves_the_control_groups_view_as_it_is(engine: Daemon) -> None:
    look = "grep ' /sys' /proc/self/mountinfo | cut -d' ' -f4-6"
    own, hosts = (
        inside(engine, "busybox", "sh", "-c", look),
        inside(engine, "--network", "host", "busybox", "sh", "-c", look),
    )
    groups = [line for line in own.splitlines() if " /sys/fs/cgroup" in line]
    assert groups and groups == [line for line in hosts.splitlines() if " /sys/fs/cgroup" in line]
    assert all(",nosuid," in line and line.startswith("/ ") for line in groups)
    assert "/ /sys ro,nosuid,nodev,noexec,relatime" in hosts.splitlines()


def test_without_ipv6_a_link_has_none(engine: Daemon) -> None:
    assert "inet6" not in inside(engine, "busybox", "ip", "addr", "show", "eth0")


def test_the_zygotes_rehearsal_leaves_it_where_it_was(engine: Daemon) -> None:
    def stands(pid: int) -> list[str]:
        kinds = ("cgroup", "ipc", "mnt", "net", "pid", "uts")
        return [os.readlink(f"/proc/{pid}/{name}") for name in ("root", "cwd", *(f"ns/{kind}" for kind in kinds))]

    zygote = next(pid for pid, name in processes(engine.instance_id, engine.run_root) if name == "berth-zygote")
    assert stands(zygote) == stands(engine.pid)


def test_another_containers_processes(engine: Daemon) -> None:
    donor = sleeper(engine, "--name", "donor")
    listing = inside(engine, "--pid", "container:donor", "busybox", "ps", "-o", "pid,args")
    assert "trap exit TERM" in listing.splitlines()[1]
    engine.docker("stop", donor)
    result = engine.docker("run", "--rm", "--pid", "container:donor", "busybox", "true", check=False)
    assert result.code == 125 and "is not running" in result.err


def test_ipc_is_shared_only_by_who_offers_it(engine: Daemon) -> None:
    sleeper(engine, "--name", "shares", "--ipc", "shareable", "--shm-size", "3m")
    sleeper(engine, "--name", "keeps")
    engine.docker("exec", "shares", "sh", "-c", "echo hello > /dev/shm/word")
    both = "cat /dev/shm/word; readlink /proc/self/ns/ipc; df -m /dev/shm | tail -1 | awk '{print $2}'"
    words = inside(engine, "--ipc", "container:shares", "busybox", "sh", "-c", both).splitlines()
    theirs = engine.docker("exec", "shares", "readlink", "/proc/self/ns/ipc").out.strip()
    assert words == ["hello", theirs, "3"]
    result = engine.docker("run", "--rm", "--ipc", "container:keeps", "busybox", "true", check=False)
    assert result.code == 125
    assert "non-shareable IPC (hint: use IpcMode:shareable for the donor container)" in result.err


def test_ipc_none_has_no_shared_memory(engine: Daemon) -> None:
    assert "/dev/shm" not in inside(engine, "--ipc", "none", "busybox", "cat", "/proc/mounts")


def test_ipc_host_sees_the_hosts_shared_memory(engine: Daemon) -> None:
    path = "/dev/shm/berth-test-word"
    with open(path, "w", encoding="ascii") as file:
        file.write("from the host")
    try:
        assert inside(engine, "--ipc", "host", "busybox", "cat", path) == "from the host"
    finally:
        os.unlink(path)


def test_another_containers_network(engine: Daemon) -> None:
    donor = sleeper(engine, "--name", "net", "-h", "web", "--add-host", "a.test:10.9.8.7")
    address = engine.docker("exec", donor, "hostname", "-i").out.strip()
    words = inside(engine, "--network", "container:net", "busybox", "sh", "-c", "hostname; hostname -i; cat /etc/hosts")
    assert words.splitlines()[:2] == ["web", address]
    assert "10.9.8.7\ta.test" in words
    found = engine.docker("create", "--network", "container:net", "busybox").out.strip()
    assert engine.inspect(found)["HostConfig"]["NetworkMode"] == f"container:{donor}"


def test_uts_host_and_domain_name(engine: Daemon) -> None:
    assert inside(engine, "--uts", "host", "busybox", "hostname") == os.uname().nodename
    assert inside(engine, "-h", "web", "--domainname", "example.org", "busybox", "hostname", "-f") == "web.example.org"


def test_everything_of_the_hosts(engine: Daemon) -> None:
    flags = (
        "--pid",
        "host",
        "--ipc",
        "host",
        "--uts",
        "host",
        "--network",
        "host",
        "--cgroupns",
        "host",
        "--privileged",
    )
    script = "for n in pid ipc uts net cgroup; do readlink /proc/self/ns/$n; done"
    found = inside(engine, *flags, "busybox", "sh", "-c", script).splitlines()
    assert found == [
        host_namespace(n) for n in ("pid", "ipc", "uts", "net", "cgroup")
    ]  # a Docker in a room has the room's network
