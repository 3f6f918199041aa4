"""Container → OCI config: what the defaults are and what options change."""

from typing import Any

import pytest

from berth.base.errors import InvalidArgument
from berth.engine.containers.record import ContainerRow, MountPoint, decode_row, encode_row
from berth.engine.containers.runtime_spec import (
    HostFacts,
    StartFacts,
    apparmor_profile,
    parse_security_opts,
    render_env,
    render_resources,
    render_runtime_spec,
)
from berth.spec.capabilities import ALL_CAPABILITIES, DEFAULT_CAPABILITIES, effective
from berth.spec.streams import parse_detach_keys

HOST = HostFacts(2, ("/proc/kcore",), {}, False)
START = StartFacts(None, None, None, "/d/hostname", "/d/hosts", "/d/resolv.conf")


def row(config: dict[str, Any] | None = None, **host_config: Any) -> ContainerRow:
    hc = {"NetworkMode": "bridge", **host_config}
    return ContainerRow("a" * 64, "n", 1, "sha256:i", "busybox", "", "linux", "true", [], config or {}, hc, {})


def test_defaults_are_dockers() -> None:
    spec = render_runtime_spec(row(), HOST, START)
    assert {n["type"] for n in spec["linux"]["namespaces"]} == {"mount", "uts", "network", "ipc", "pid", "cgroup"}
    assert spec["process"]["capabilities"]["bounding"] == list(DEFAULT_CAPABILITIES)
    assert "inheritable" not in spec["process"]["capabilities"]
    assert spec["linux"]["seccomp"] == "default"
    assert spec["hostname"] == "a" * 12
    targets = [m["destination"] for m in spec["mounts"]]
    assert targets[:2] == ["/proc", "/dev"] and {"/etc/hosts", "/etc/resolv.conf", "/etc/hostname"} <= set(targets)


def test_host_namespaces_are_left_out_and_joined_ones_have_a_path() -> None:
    start = START._replace(netns_path="/proc/7/ns/net")
    spec = render_runtime_spec(row(NetworkMode="container:x", PidMode="host", IpcMode="host"), HOST, start)
    spaces = {n["type"]: n.get("path") for n in spec["linux"]["namespaces"]}
    assert spaces["network"] == "/proc/7/ns/net"
    assert "pid" not in spaces and "ipc" not in spaces
    assert not any(key.startswith("net.") for key in spec["linux"]["sysctl"])


def test_privileged_takes_the_fences_away() -> None:
    spec = render_runtime_spec(row(Privileged=True), HOST, START)
    assert spec["process"]["capabilities"]["effective"] == list(ALL_CAPABILITIES)
    assert spec["linux"]["seccomp"] is None and spec["linux"]["maskedPaths"] == []
    assert next(m for m in spec["mounts"] if m["destination"] == "/sys")["options"][-1] == "rw"


def test_a_users_mount_replaces_the_default_of_that_place_and_parents_come_first() -> None:
    made = row()
    made.mounts = [
        MountPoint(type="bind", source="/s", destination="/etc/hosts"),
        MountPoint(type="bind", source="/b", destination="/a/b"),
        MountPoint(type="bind", source="/a", destination="/a"),
    ]
    mounts = render_runtime_spec(made, HOST, START)["mounts"]
    assert [m["source"] for m in mounts if m["destination"] == "/etc/hosts"] == ["/s"]
    targets = [m["destination"] for m in mounts]
    assert targets.index("/a") < targets.index("/a/b")


def test_environment_order_and_removal() -> None:
    made = row({"Env": ["PATH=/x", "A=1", "A=2", "HOSTNAME"], "Tty": True})
    assert render_env(made) == ["PATH=/x", "TERM=xterm", "A=2"]


def test_resources() -> None:
    assert render_resources({"Memory": 64 << 20, "NanoCpus": 1_500_000_000, "PidsLimit": 10}) == {
        "memory": {"limit": 64 << 20, "swap": 128 << 20},
        "cpu": {"period": 100_000, "quota": 150_000},
        "pids": {"limit": 10},
    }


def test_security_options() -> None:
    assert parse_security_opts(["no-new-privileges"], False).no_new_privileges
    assert parse_security_opts(["no-new-privileges:true", "seccomp=unconfined"], False).seccomp is None
    for wrong in ("nonsense", "no-new-privileges=maybe", "seccomp={", "seccomp={}"):
        with pytest.raises(InvalidArgument):
            parse_security_opts([wrong], False)


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        ([], ["ALL"], []),
        (["net_admin"], ["ALL"], ["CAP_NET_ADMIN"]),
        (["ALL"], ["SYS_ADMIN"], [c for c in ALL_CAPABILITIES if c != "CAP_SYS_ADMIN"]),
        (["CAP_SYS_TIME"], ["chown"], [c for c in DEFAULT_CAPABILITIES if c != "CAP_CHOWN"] + ["CAP_SYS_TIME"]),
    ],
)
def test_capability_sets(add: list[str], drop: list[str], expected: list[str]) -> None:
    assert effective(add, drop, privileged=False) == expected


def test_unknown_capability() -> None:
    with pytest.raises(InvalidArgument, match='invalid CapAdd: unknown capability: "CAP_NOPE"'):
        effective(["nope"], [], privileged=False)


def test_rows_survive_the_database() -> None:
    made = row({"Env": ["A=1"]})
    made.mounts = [MountPoint(type="volume", source="/v", destination="/d", name="v")]
    assert decode_row(encode_row(made)) == made


@pytest.mark.parametrize(
    ("text", "keys"), [(None, b"\x10\x11"), ("ctrl-a,x", b"\x01x"), ("ctrl-@,ctrl-[", b"\x00\x1b"), ("q", b"q")]
)
def test_detach_keys(text: str | None, keys: bytes) -> None:
    assert parse_detach_keys(text) == keys


def test_wrong_detach_keys() -> None:
    with pytest.raises(InvalidArgument, match="ctrl-1"):
        parse_detach_keys("ctrl-1")


@pytest.mark.parametrize(("apparmor", "loaded", "asked", "privileged", "profile"), [
    (False, False, "mine", False, ""), (True, False, "", False, ""), (True, True, "", False, "docker-default"),
    (True, True, "", True, ""), (True, True, "mine", True, "mine"), (True, False, "unconfined", False, "unconfined"),
])  # fmt: skip
def test_apparmor_profiles(apparmor: bool, loaded: bool, asked: str, privileged: bool, profile: str) -> None:
    host = HOST._replace(apparmor=apparmor, apparmor_default=loaded)
    assert apparmor_profile(host, asked, privileged=privileged) == profile
