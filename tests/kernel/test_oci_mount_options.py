"""runtime-spec 1.2 config.md: Linux mount options, one by one; features.md: Mount Options, Hooks; features-linux.md."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from harness.attack import Bundle
from harness.mounts import add, host_tree, mounted

pytestmark = pytest.mark.root

SETS = {
    "ro": "ro", "nosuid": "nosuid", "nodev": "nodev", "noexec": "noexec", "noatime": "noatime", "relatime": "relatime",
    "nodiratime": "nodiratime", "nosymfollow": "nosymfollow", "atime": "relatime", "norelatime": "relatime",
    "nostrictatime": "relatime",
}  # fmt: skip
"""Option → the word that mountinfo has for it."""
CLEARS = {
    "rw": "ro", "suid": "nosuid", "dev": "nodev", "exec": "noexec", "diratime": "nodiratime", "symfollow": "nosymfollow",
    "strictatime": "relatime",
}  # fmt: skip
"""Option → the word that is gone with it."""


def words(bundle: Bundle, place: str) -> set[str]:
    return set(mounted(bundle, place)[5].split(","))


@pytest.mark.spec("config.md#linux-mount-options")
def test_each_option_of_a_mount_alone() -> None:
    with Bundle() as bundle, host_tree(bundle) as top:
        for option in SETS:
            add(bundle, f"/b-{option}", "bind", top, "rbind", option)
            add(bundle, f"/t-{option}", "tmpfs", "tmpfs", option)
        bundle.start()
        for option, word in SETS.items():
            assert word in words(bundle, f"/b-{option}") and word in words(bundle, f"/t-{option}"), option
            if word != "relatime":
                assert word not in words(bundle, f"/b-{option}/below"), option


@pytest.mark.spec("config.md#linux-mount-options")
def test_each_option_that_takes_away() -> None:
    flags = "ro,nosuid,nodev,noexec,nodiratime,nosymfollow,relatime"
    with Bundle() as bundle, host_tree(bundle, options=flags) as top:
        for option in CLEARS:
            add(bundle, f"/b-{option}", "bind", top, "rbind", option)
            add(bundle, f"/r-{option}", "bind", top, "rbind", f"r{option}")
        bundle.start()
        for option, word in CLEARS.items():
            assert word not in words(bundle, f"/b-{option}") and word in words(bundle, f"/b-{option}/below"), option
            for place in (f"/r-{option}", f"/r-{option}/below"):
                assert word not in words(bundle, place), place
            assert words(bundle, f"/r-{option}") >= set(flags.split(",")) - {word}, option


@pytest.mark.spec("config.md#linux-mount-options")
def test_each_option_of_everything_below() -> None:
    with Bundle() as bundle, host_tree(bundle) as top:
        for option in SETS:
            add(bundle, f"/r-{option}", "bind", top, "rbind", f"r{option}")
        bundle.start()
        for option, word in SETS.items():
            assert word in words(bundle, f"/r-{option}") and word in words(bundle, f"/r-{option}/below"), option


@pytest.mark.spec("config.md#linux-mount-options", "config.md#posix-platform-mounts")
@pytest.mark.parametrize(("option", "below"), [("idmap", "0:0"), ("ridmap", "77:77")])
def test_an_idmap_of_a_mount_alone_and_of_everything_below(option: str, below: str) -> None:
    ids = [{"containerID": 0, "hostID": 77, "size": 1}]
    with Bundle() as bundle, host_tree(bundle) as top:
        add(bundle, "/m", "bind", top, "rbind", option, uidMappings=ids, gidMappings=ids)
        bundle.start()
        assert bundle.sh("stat -c %u:%g /m /m/below").out.split() == ["77:77", below]


@pytest.mark.spec("features.md#mount-options", "config.md#linux-mount-options")
def test_every_option_of_the_features_is_taken() -> None:
    with Bundle() as bundle, host_tree(bundle) as top:
        listed = json.loads(bundle.runtime("features").out)["mountOptions"]
        assert {*SETS, *CLEARS, *(f"r{o}" for o in (*SETS, *CLEARS)), "tmpcopyup", "ridmap", "runbindable"} <= set(
            listed
        )
        alone = {"bind", "rbind", "remount", "idmap", "ridmap", "shared", "rshared"}  # each has a test of its own
        kinds_of_filesystem = {"dirsync", "lazytime", "sync"}
        for option in set(listed) - alone:
            add(bundle, f"/t-{option}", "tmpfs", "tmpfs", option)
            if option not in kinds_of_filesystem:
                add(bundle, f"/b-{option}", "bind", top, "bind", option)
        bundle.start()
        assert bundle.sh("ls -d /t-* | wc -l").out.strip() == str(len(set(listed) - alone))


@pytest.mark.spec("features.md#hooks")
def test_every_hook_of_the_features_runs() -> None:
    with Bundle() as bundle:
        names = json.loads(bundle.runtime("features").out)["hooks"]
        assert sorted(names) == [
            "createContainer", "createRuntime", "poststart", "poststop", "prestart", "startContainer",
        ]  # fmt: skip
        for name in names:
            folder = "" if name == "startContainer" else bundle.rootfs
            bundle.config.setdefault("hooks", {})[name] = [
                {"path": "/bin/touch", "args": ["touch", f"{folder}/{name}"]}
            ]
        bundle.start()
        bundle.runtime("delete", "-f", bundle.name)
        assert set(names) <= set(os.listdir(bundle.rootfs))


def features(bundle: Bundle) -> dict[str, Any]:
    return dict(json.loads(bundle.runtime("features").out)["linux"])


@pytest.mark.spec("features-linux.md#namespaces", "features-linux.md#capabilities")
def test_namespaces_and_capabilities_of_the_features() -> None:
    with Bundle() as bundle:
        told_of = features(bundle)
        kinds = ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"]
        assert told_of["namespaces"] == kinds
        sets = dict.fromkeys(("bounding", "permitted", "effective"), told_of["capabilities"])
        bundle.config["process"]["capabilities"] = sets
        bundle.start()
        status = Path(f"/proc/{bundle.pid}/status").read_text()
        mask = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff"))
        ours = Path("/proc/self/status").read_text()
        highest = next(int(line.split()[1], 16) for line in ours.splitlines() if line.startswith("CapBnd"))
        assert mask == highest  # all that this kernel has


@pytest.mark.spec("features-linux.md#seccomp")
def test_seccomp_of_the_features_is_taken() -> None:
    with Bundle() as bundle:
        can = features(bundle)["seccomp"]
        rules = [
            {"names": [call], "action": action} for call, action in zip(_CALLS, sorted(can["actions"]), strict=False)
            if action != "SCMP_ACT_NOTIFY"
        ]  # fmt: skip
        rules += [
            {"names": ["socket"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 99, "valueTwo": 98, "op": op}]}
            for op in can["operators"] if op != "SCMP_CMP_NE"
        ]  # fmt: skip
        bundle.config["linux"]["seccomp"] = {
            "defaultAction": "SCMP_ACT_ALLOW", "architectures": can["archs"], "flags": [
                flag for flag in can["supportedFlags"] if not flag.endswith(("NEW_LISTENER", "TSYNC_ESRCH", "RECV"))
            ], "syscalls": rules,
        }  # fmt: skip
        bundle.start()
        assert "Seccomp:\t2" in Path(f"/proc/{bundle.pid}/status").read_text()


_CALLS = (
    "acct",
    "add_key",
    "bpf",
    "delete_module",
    "fanotify_init",
    "finit_module",
    "init_module",
    "kexec_load",
    "mbind",
)


@pytest.mark.spec(
    "features-linux.md#cgroup", "features-linux.md#apparmor", "features-linux.md#selinux",
    "features-linux.md#mountextensions",
)  # fmt: skip
def test_the_rest_of_the_features() -> None:
    """Of the runtime, whatever this host has."""
    with Bundle() as bundle:
        told_of = features(bundle)
        assert told_of["cgroup"] == {"v1": True, "v2": True, "systemd": True, "systemdUser": False, "rdma": True}
        assert told_of["apparmor"] == told_of["selinux"] == told_of["mountExtensions"]["idmap"] == {"enabled": True}
