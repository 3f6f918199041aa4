"""runtime-spec 1.2 config.md: Root, Mounts; config-linux.md: Rootfs Mount Propagation, Masked and Readonly Paths, Devices."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from berth.kernel import lsm
from harness.attack import Bundle, told
from harness.eventually import eventually
from harness.mounts import add, host_tree, mounted

pytestmark = pytest.mark.root


@pytest.mark.spec("config.md#root")
def test_the_root_is_read_only_when_it_is_asked_to_be() -> None:
    for readonly in (True, False):
        with Bundle(args=["sh", "-c", "touch /x"]) as bundle:
            bundle.config["root"]["readonly"] = readonly
            assert (bundle.run(check=False).code == 0) is not readonly
            assert os.path.exists(f"{bundle.rootfs}/x") is not readonly


@pytest.mark.spec("config.md#root", "config-linux.md#namespaces")
def test_the_host_is_out_of_sight() -> None:
    with Bundle() as bundle:
        bundle.start()
        assert bundle.home not in bundle.sh("cat /proc/self/mountinfo | cut -d' ' -f5; ls / /..").out
        assert bundle.sh("ls /proc/1/root/..").out == bundle.sh("ls /").out


@pytest.mark.parametrize(
    ("options", "has", "lacks"),
    [
        (["ro", "nosuid", "nodev", "noexec"], ["ro", "nosuid", "nodev", "noexec"], ["rw"]),
        (["rw", "noatime", "nodiratime"], ["rw", "noatime", "nodiratime"], ["relatime", "nosuid"]),
        (["strictatime", "nosymfollow"], ["rw", "nosymfollow"], ["relatime"]),
        (["noexec", "exec", "ro", "rw"], ["rw"], ["noexec", "ro"]),
        (["relatime", "defaults", "async", "silent"], ["rw", "relatime"], ["ro"]),
    ],
)
@pytest.mark.spec("config.md#linux-mount-options", "config.md#posix-platform-mounts")
def test_attributes_of_binds_and_of_filesystems(options: list[str], has: list[str], lacks: list[str]) -> None:
    with Bundle() as bundle:
        os.mkdir(f"{bundle.home}/source")
        add(bundle, "/b", "bind", f"{bundle.home}/source", "bind", *options)
        add(bundle, "/t", "tmpfs", "tmpfs", "size=64k", *options)
        bundle.start()
        for place in ("/b", "/t"):
            found = mounted(bundle, place)[5].split(",")
            assert set(has) <= set(found) and not set(lacks) & set(found), (place, found)
        assert "size=64k" in mounted(bundle, "/t")[-1]


@pytest.mark.spec("config.md#linux-mount-options")
def test_ro_is_of_the_mount_alone_and_rro_of_everything_below() -> None:
    with Bundle() as bundle, host_tree(bundle) as top:
        add(bundle, "/plain", "bind", top, "rbind", "ro")
        add(bundle, "/deep", "bind", top, "rbind", "rro")
        add(bundle, "/mixed", "bind", top, "rbind", "rro", "rnosuid", "rw")
        bundle.start()
        assert bundle.sh("touch /plain/x").code == 1 and bundle.sh("touch /plain/below/x").code == 0
        assert bundle.sh("touch /deep/x").code == 1 and bundle.sh("touch /deep/below/x").code == 1
        assert "nosuid" in mounted(bundle, "/mixed/below")[5]


@pytest.mark.spec("config.md#linux-mount-options")
def test_bind_takes_no_mounts_below_and_rbind_does() -> None:
    with Bundle() as bundle, host_tree(bundle) as top:
        Path(f"{top}/below/file").touch()
        add(bundle, "/one", "bind", top, "bind")
        add(bundle, "/all", "bind", top, "rbind")
        bundle.start()
        assert bundle.sh("ls /one/below").out == "" and bundle.sh("ls /all/below").out == "file\n"


@pytest.mark.spec("config.md#mounts")
def test_files_are_bound_missing_targets_are_made_and_sources_are_of_the_bundle() -> None:
    with Bundle() as bundle:
        Path(f"{bundle.home}/file").write_text("content")
        add(bundle, "/new/place/file", "bind", "file", "bind", "ro")
        bundle.start()
        assert bundle.sh("cat /new/place/file").out == "content"


@pytest.mark.spec("config.md#mounts")
def test_mounts_come_in_the_order_of_the_config() -> None:
    with Bundle() as bundle:
        for name in ("one", "two"):
            os.mkdir(f"{bundle.home}/{name}")
            Path(f"{bundle.home}/{name}/name").write_text(name)
            add(bundle, "/m", "bind", f"{bundle.home}/{name}", "bind")
        bundle.start()
        assert bundle.sh("cat /m/name").out == "two"


@pytest.mark.parametrize(
    ("word", "inward", "outward"),
    [("rprivate", False, False), ("rslave", True, False), ("rshared", True, True)],
)
@pytest.mark.spec("config.md#linux-mount-options")
def test_propagation_of_a_bind(word: str, inward: bool, outward: bool) -> None:
    with Bundle() as bundle, host_tree(bundle, "shared") as top:
        caps = bundle.config["process"]["capabilities"]
        for name in ("bounding", "effective", "permitted"):
            caps[name] = ["CAP_SYS_ADMIN"]
        add(bundle, "/m", "bind", top, "rbind", word)
        if word == "rshared":
            bundle.config["linux"]["rootfsPropagation"] = "shared"
        bundle.start()
        os.mkdir(f"{top}/in")
        os.mkdir(f"{top}/out")
        subprocess.run(["mount", "-t", "tmpfs", "in", f"{top}/in"], check=True)
        Path(f"{top}/in/file").touch()
        assert (bundle.sh("ls /m/in").out == "file\n") is inward
        assert bundle.sh("mount -t tmpfs out /m/out && touch /m/out/file").code == 0
        assert os.path.exists(f"{top}/out/file") is outward


@pytest.mark.parametrize(
    ("word", "tag"), [("private", None), ("slave", "master:"), ("shared", "shared:"), ("unbindable", "unbindable")]
)
@pytest.mark.spec("config-linux.md#rootfs-mount-propagation")
def test_rootfs_propagation(word: str, tag: str | None) -> None:
    with Bundle() as bundle:
        subprocess.run(["mount", "--bind", bundle.rootfs, bundle.rootfs], check=True)
        subprocess.run(["mount", "--make-shared", bundle.rootfs], check=True)
        try:
            bundle.config["linux"]["rootfsPropagation"] = word
            bundle.start()
            fields = mounted(bundle, "/")[6:]
            tags = fields[: fields.index("-")]
            assert any(t.startswith(tag) for t in tags) if tag else tags == []
        finally:
            bundle.runtime("delete", "-f", bundle.name, check=False)
            subprocess.run(["umount", "-l", bundle.rootfs], check=True)


@pytest.mark.spec("config-linux.md#rootfs-mount-propagation")
def test_a_propagation_that_is_none_is_refused() -> None:
    with Bundle() as bundle:
        bundle.config["linux"]["rootfsPropagation"] = "sideways"
        assert "rootfsPropagation=sideways is not supported" in told(bundle.create(check=False))


@pytest.mark.spec("config.md#posix-platform-mounts")
def test_idmapped_binds() -> None:
    ids = [{"containerID": 1000, "hostID": 0, "size": 1}, {"containerID": 0, "hostID": 77, "size": 1}]
    with Bundle() as bundle:
        os.mkdir(f"{bundle.home}/source")
        Path(f"{bundle.home}/source/file").touch()
        os.chown(f"{bundle.home}/source/file", 1000, 1000)
        add(bundle, "/m", "bind", f"{bundle.home}/source", "bind", uidMappings=ids, gidMappings=ids)
        bundle.start()
        assert bundle.sh("stat -c %u:%g /m/file").out == "0:0\n"
        assert os.stat(f"{bundle.home}/source/file").st_uid == 1000


@pytest.mark.spec("config.md#posix-platform-mounts")
def test_an_idmap_that_cannot_be() -> None:
    with Bundle() as bundle:
        add(bundle, "/m", "tmpfs", "tmpfs", "idmap")
        assert "only supported for bind mounts" in told(bundle.create(check=False))
    with Bundle() as bundle:
        add(bundle, "/m", "bind", bundle.home, "bind", "idmap")
        assert "asks for an id map, but there is none" in told(bundle.create(check=False))


@pytest.mark.spec("config.md#linux-mount-options")
def test_tmpcopyup_brings_what_lies_below_and_a_tmpfs_has_the_mode_of_its_place() -> None:
    with Bundle() as bundle:
        os.makedirs(f"{bundle.rootfs}/data/folder")
        os.chmod(f"{bundle.rootfs}/data", 0o751)
        Path(f"{bundle.rootfs}/data/folder/file").write_text("kept")
        os.symlink("/etc/passwd", f"{bundle.rootfs}/data/link")
        os.chown(f"{bundle.rootfs}/data/folder/file", 7, 8)
        add(bundle, "/data", "tmpfs", "tmpfs", "tmpcopyup", "ro")
        add(bundle, "/fresh", "tmpfs", "tmpfs")
        bundle.start()
        told = bundle.sh(
            "cat /data/folder/file; stat -c ' %u:%g' /data/folder/file; readlink /data/link; stat -c %a /data /fresh"
        )
        assert told.out.split() == ["kept", "7:8", "/etc/passwd", "751", "1777"]
        assert bundle.sh("touch /data/x").code == 1


@pytest.mark.spec("config.md#linux-mount-options")
def test_remount_changes_what_stands_there() -> None:
    with Bundle() as bundle:
        add(bundle, "/t", "tmpfs", "tmpfs", "nosuid")
        add(bundle, "/t", "bind", "", "remount", "ro", "noexec")
        bundle.start()
        assert {"ro", "noexec", "nosuid"} <= set(mounted(bundle, "/t")[5].split(","))


@pytest.mark.parametrize(
    ("mount", "says"),
    [
        ({"destination": "/m", "type": "bind", "source": "/nonexistent", "options": ["bind"]},
         'error mounting "/nonexistent" to rootfs at "/m": no such file or directory'),
        ({"destination": "/m", "type": "tmpfs", "source": "tmpfs", "options": ["moon=full"]}, 'to rootfs at "/m"'),
        ({"destination": "/m", "type": "moonfs", "source": "x"}, 'error mounting "x" to rootfs at "/m"'),
        ({"destination": "/m", "type": "bind", "source": "/tmp", "options": ["bind", "moon"]}, 'unknown mount option "moon"'),
        ({"type": "tmpfs", "source": "x"}, "has no destination"),
        ({"destination": "/etc/passwd", "type": "tmpfs", "source": "x"}, 'to rootfs at "/etc/passwd": not a directory'),
    ],
)  # fmt: skip
@pytest.mark.spec("config.md#mounts", "runtime.md#errors")
def test_mounts_that_fail_say_where(mount: dict[str, Any], says: str) -> None:
    with Bundle() as bundle:
        bundle.config["mounts"].append(mount)
        refused = bundle.create(check=False)
        assert refused.code == 1 and says in told(refused)
        assert bundle.runtime("list", "-q").out == ""


@pytest.mark.spec("config-linux.md#masked-paths", "config-linux.md#readonly-paths")
def test_masked_and_readonly_paths() -> None:
    with Bundle() as bundle:
        for name in ("secret", "frozen"):
            os.mkdir(f"{bundle.rootfs}/{name}")
            Path(f"{bundle.rootfs}/{name}/file").write_text("x")
        bundle.config["linux"]["maskedPaths"] = ["/secret", "/etc/passwd", "/nonexistent"]
        bundle.config["linux"]["readonlyPaths"] = ["/frozen", "/nonexistent"]
        bundle.start()
        assert bundle.sh("ls /secret; cat /etc/passwd").out == ""
        assert bundle.sh("cat /frozen/file").out == "x" and bundle.sh("touch /frozen/y").code == 1


@pytest.mark.spec("config-linux.md#default-filesystems")
def test_default_filesystems_of_a_new_config() -> None:
    with Bundle() as bundle:
        bundle.start()
        for place, kind in (("/proc", "proc"), ("/sys", "sysfs"), ("/dev/pts", "devpts"), ("/dev/shm", "tmpfs")):
            fields = mounted(bundle, place)
            assert fields[fields.index("-") + 1] == kind, place
            assert bundle.sh(f"grep -c ' {place} {kind} ' /proc/mounts").out == "1\n"


@pytest.mark.spec("runtime-linux.md#dev-symbolic-links")
def test_links_in_dev() -> None:
    links = {
        "fd": "/proc/self/fd",
        "stdin": "/proc/self/fd/0",
        "stdout": "/proc/self/fd/1",
        "stderr": "/proc/self/fd/2",
    }
    with Bundle() as bundle:
        bundle.start()
        for name, target in links.items():
            assert bundle.sh(f"readlink /dev/{name}").out == f"{target}\n"
        assert bundle.sh("echo out >/dev/stdout; echo err >/dev/stderr").err == "err\n"


@pytest.mark.spec("config-linux.md#mount-label")
def test_a_mount_label() -> None:
    """It is the context of every filesystem that is made; without SELinux the kernel knows no such option."""
    with Bundle() as bundle:
        bundle.config["linux"]["mountLabel"] = "system_u:object_r:container_file_t:s0"
        made = bundle.create(check=False)
        if lsm.has_selinux():
            assert "context=" in mounted(bundle, "/dev/shm")[-1]
        else:
            assert made.code == 1 and "to rootfs at" in told(made)


@pytest.mark.spec("config-linux.md#default-devices")
def test_default_devices_and_links() -> None:
    for with_dev in (True, False):
        with Bundle() as bundle:
            if not with_dev:
                bundle.config["mounts"] = [
                    m for m in bundle.config["mounts"] if not m["destination"].startswith("/dev")
                ]
            bundle.start()
            names = ("null", "zero", "full", "random", "urandom", "tty")
            seen = bundle.sh(f"cd /dev; stat -c '%t:%T %F' {' '.join(names)}; readlink /dev/ptmx").out.splitlines()
            for name, line in zip(names, seen, strict=False):
                host = os.stat(f"/dev/{name}").st_rdev
                assert line == f"{os.major(host):x}:{os.minor(host):x} character special file", (name, seen)
            assert seen[-1] == "pts/ptmx"
            assert bundle.sh("head -c 3 /dev/zero | wc -c; echo x >/dev/null; echo x >/dev/full").out.strip() == "3"


@pytest.mark.spec("config-linux.md#devices")
def test_devices_of_the_config() -> None:
    with Bundle() as bundle:
        linux = bundle.config["linux"]
        linux["devices"] = [
            {"path": "/dev/sub/kmsg", "type": "c", "major": 1, "minor": 11, "fileMode": 0o640, "uid": 5, "gid": 6},
            {"path": "/pipe", "type": "p", "fileMode": 0o600},
        ]
        bundle.start()
        assert bundle.sh("stat -c '%t:%T %a %u:%g' /dev/sub/kmsg").out == "1:b 640 5:6\n"
        assert bundle.sh("stat -c '%F %a' /pipe").out == "fifo 600\n"
        assert "can't open" in bundle.sh("cat /dev/sub/kmsg").err  # no rule allows it


@pytest.mark.spec("config-linux.md#devices")
def test_a_device_where_something_else_stands_is_refused() -> None:
    with Bundle() as bundle:
        bundle.config["linux"]["devices"] = [{"path": "/etc/passwd", "type": "c", "major": 1, "minor": 3}]
        assert "/etc/passwd exists and is another thing" in told(bundle.create(check=False))


@pytest.mark.spec("config-linux.md#default-devices")
def test_a_read_only_dev_is_filled_first() -> None:
    with Bundle() as bundle:
        next(m for m in bundle.config["mounts"] if m["destination"] == "/dev")["options"].append("ro")
        bundle.start()
        assert "ro" in mounted(bundle, "/dev")[5].split(",")
        assert bundle.sh("echo x >/dev/null && touch /dev/x").code == 1


@pytest.mark.spec("config.md#root")
def test_without_pivot_root() -> None:
    with Bundle(args=["sh", "-c", "ls / >/seen"]) as bundle:
        Path(f"{bundle.home}/config.json").write_text(__import__("json").dumps(bundle.config))
        assert bundle.runtime("run", "--no-pivot", "-b", bundle.home, bundle.name).code == 0
        seen = eventually(lambda: Path(f"{bundle.rootfs}/seen").read_text().split())
        assert "bin" in seen and "boot" not in seen
