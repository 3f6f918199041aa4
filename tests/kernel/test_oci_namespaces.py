"""runtime-spec 1.2 config-linux.md: Namespaces, User namespace mappings, Offset for Time Namespace, Sysctl."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from harness.attack import Bundle, told

pytestmark = pytest.mark.root

FILES = {"pid": "pid", "network": "net", "ipc": "ipc", "uts": "uts", "mount": "mnt", "cgroup": "cgroup", "user": "user",
         "time": "time"}  # fmt: skip
MAP = [{"containerID": 0, "hostID": 100000, "size": 65536}]


def space(pid: int | str, kind: str) -> str:
    return os.readlink(f"/proc/{pid}/ns/{FILES[kind]}")


def in_user_namespace(bundle: Bundle, mappings: list[dict[str, int]] = MAP) -> None:
    linux = bundle.config["linux"]
    linux["namespaces"].append({"type": "user"})
    linux["uidMappings"] = linux["gidMappings"] = mappings
    for folder, _, names in os.walk(bundle.rootfs):
        for name in (folder, *(os.path.join(folder, n) for n in names)):
            os.lchown(name, mappings[0]["hostID"], mappings[0]["hostID"])
    os.chmod(bundle.home, 0o755)


@pytest.mark.spec("config-linux.md#namespaces")
def test_each_kind_is_new_when_it_is_listed_and_the_hosts_when_not() -> None:
    with Bundle() as bundle:
        bundle.config["linux"]["namespaces"] = [{"type": t} for t in ("pid", "mount", "ipc", "time")]
        del bundle.config["hostname"]
        bundle.config["mounts"] = [m for m in bundle.config["mounts"] if m["type"] != "sysfs"]
        bundle.start()
        pid = bundle.pid
        for kind in FILES:
            listed = kind in ("pid", "mount", "ipc", "time")
            assert (space(pid, kind) != space("self", kind)) == listed, kind


@pytest.mark.spec("config-linux.md#namespaces")
def test_namespaces_are_joined_by_path() -> None:
    with Bundle() as first, Bundle() as second:
        first.start()
        spaces = [{"type": "mount"}]
        for kind in ("pid", "network", "ipc", "uts", "cgroup"):
            spaces.append({"type": kind, "path": f"/proc/{first.pid}/ns/{FILES[kind]}"})
        second.config["linux"]["namespaces"] = spaces
        second.start()
        for kind in ("pid", "network", "ipc", "uts", "cgroup"):
            assert space(second.pid, kind) == space(first.pid, kind), kind
        assert space(second.pid, "mount") != space(first.pid, "mount")
        assert "sleep 1000" in second.sh("ps").out
        second.runtime("delete", "-f", second.name)


@pytest.mark.parametrize(
    ("spaces", "says"),
    [
        ([{"type": "mount"}, {"type": "pid"}, {"type": "pid"}], 'duplicated ns "pid"'),
        ([{"type": "mount"}, {"type": "moon"}], 'unknown namespace "moon"'),
        (
            [{"type": "mount"}, {"type": "uts", "path": "/nonexistent"}],
            "join the uts namespace /nonexistent: no such file",
        ),
        (
            [{"type": "mount"}, {"type": "uts", "path": "/proc/self/ns/net"}],
            "join the uts namespace /proc/self/ns/net: invalid",
        ),
        ([{"type": "mount"}, {"type": "uts", "path": "etc/passwd"}], "is not an absolute path"),
        ([{"type": "mount"}, {"type": "uts", "path": "/etc/passwd"}], "join the uts namespace /etc/passwd"),
        ([{"type": "pid"}, {"type": "uts"}], "needs a mount namespace of its own"),
        ([{"type": "mount"}, {"type": "uts"}, {"type": "user"}], "no uid and gid mappings found"),
    ],
)
@pytest.mark.spec("config-linux.md#namespaces")
def test_namespaces_that_are_none(spaces: list[dict[str, str]], says: str) -> None:
    with Bundle() as bundle:
        bundle.config["linux"]["namespaces"] = spaces
        del bundle.config["hostname"]
        refused = bundle.create(check=False)
        assert refused.code == 1 and says in told(refused)
        assert bundle.runtime("list", "-q").out == ""


@pytest.mark.spec("config-linux.md#user-namespace-mappings")
def test_maps_without_a_user_namespace_are_refused() -> None:
    with Bundle() as bundle:
        bundle.config["linux"]["uidMappings"] = MAP
        assert "user namespace isn't enabled" in told(bundle.create(check=False))


@pytest.mark.spec("config-linux.md#user-namespace-mappings")
def test_a_user_namespace_with_maps_inside_and_outside() -> None:
    script = "id -u; cat /proc/self/uid_map; touch /made; hostname inner; mount -t tmpfs x /tmp 2>&1; ls -ln /dev/null"
    with Bundle(args=["sh", "-c", f"({script}) >/told; exec sleep 1000"]) as bundle:
        in_user_namespace(bundle)
        bundle.start()
        told = bundle.sh("while ! grep -q null /told; do :; done; cat /told").out.splitlines()
        assert told[0] == "0" and told[1].split() == ["0", "100000", "65536"]
        assert any("permission denied" in line for line in told)  # no CAP_SYS_ADMIN, not even in there
        assert os.stat(f"{bundle.rootfs}/made").st_uid == 100000
        assert f"\nUid:\t{100000}\t" in Path(f"/proc/{bundle.pid}/status").read_text()
        assert bundle.sh("id -u; touch /byexec").out == "0\n"
        assert os.stat(f"{bundle.rootfs}/byexec").st_uid == 100000
        assert bundle.sh("echo x >/dev/null && head -c2 /dev/zero | wc -c").out.strip() == "2"


@pytest.mark.spec("config-linux.md#namespaces")
def test_the_other_namespaces_belong_to_the_user_namespace() -> None:
    caps = {name: ["CAP_SYS_ADMIN", "CAP_NET_ADMIN"] for name in ("bounding", "effective", "permitted")}
    with Bundle(capabilities=caps) as bundle:
        in_user_namespace(bundle)
        bundle.start()
        made = bundle.sh(
            "hostname inner && hostname; ip link set lo mtu 1400 && ip link show lo; mount -t tmpfs x /tmp && echo mounted"
        )
        assert "inner" in made.out and "mtu 1400" in made.out and "mounted" in made.out, made


@pytest.mark.spec("config-linux.md#namespaces")
def test_a_user_namespace_is_joined_by_path() -> None:
    with Bundle() as first, Bundle(args=["sh", "-c", "id -u >/told; exec sleep 1000"]) as second:
        in_user_namespace(first)
        first.start()
        in_user_namespace(second)
        linux: dict[str, Any] = second.config["linux"]
        linux["namespaces"] = [s for s in linux["namespaces"] if s["type"] not in ("user", "network")]
        for kind in ("user", "network"):
            linux["namespaces"].append({"type": kind, "path": f"/proc/{first.pid}/ns/{FILES[kind]}"})
        del linux["uidMappings"], linux["gidMappings"]
        second.start()
        assert space(second.pid, "user") == space(first.pid, "user")
        assert space(second.pid, "pid") != space(first.pid, "pid")
        assert second.sh("id -u; cat /told").out == "0\n0\n"


@pytest.mark.spec("config-linux.md#offset-for-time-namespace")
def test_a_time_namespace_with_offsets_for_init_and_exec() -> None:
    with Bundle() as bundle:
        bundle.config["linux"]["namespaces"].append({"type": "time"})
        bundle.config["linux"]["timeOffsets"] = {
            "boottime": {"secs": 86400 * 1000},
            "monotonic": {"secs": 5, "nanosecs": 7},
        }
        bundle.start()
        inside = float(bundle.sh("cut -d' ' -f1 /proc/uptime").out)
        assert inside - float(Path("/proc/uptime").read_text().split()[0]) == pytest.approx(86400 * 1000, abs=60)
        offsets = Path(f"/proc/{bundle.pid}/timens_offsets").read_text().split()
        assert offsets[:3] == ["monotonic", "5", "7"]


@pytest.mark.spec("config-linux.md#offset-for-time-namespace")
def test_offsets_without_a_time_namespace_are_refused() -> None:
    with Bundle() as bundle:
        bundle.config["linux"]["timeOffsets"] = {"boottime": {"secs": 1}}
        assert "time namespace isn't enabled" in told(bundle.create(check=False))


@pytest.mark.spec("config.md#hostname", "config.md#domainname", "config-linux.md#sysctl")
def test_hostname_domainname_and_sysctl() -> None:
    with Bundle() as bundle:
        bundle.config.update({"hostname": "inner", "domainname": "example.org"})
        bundle.config["linux"]["sysctl"] = {
            "net.ipv4.ip_forward": "0",
            "kernel.msgmax": "12345",
            "net/ipv4/ip_default_ttl": "77",
        }
        bundle.start()
        told = bundle.sh(
            "hostname; cat /proc/sys/kernel/domainname /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_default_ttl"
        )
        assert told.out.split() == ["inner", "example.org", "12345", "77"]
        assert os.uname().nodename != "inner"


@pytest.mark.spec("config.md#hostname")
def test_a_hostname_without_a_uts_namespace_is_refused() -> None:
    with Bundle() as bundle:
        bundle.config["linux"]["namespaces"] = [s for s in bundle.config["linux"]["namespaces"] if s["type"] != "uts"]
        assert "without a private UTS namespace" in told(bundle.create(check=False))


@pytest.mark.spec("config-linux.md#intelrdt", "features-linux.md#intel-rdt")
def test_rdt_is_refused_clearly() -> None:
    with Bundle() as bundle:
        bundle.config["linux"]["intelRdt"] = {"closID": "x"}
        assert "intelRdt: this runtime does not drive resctrl" in told(bundle.create(check=False))
