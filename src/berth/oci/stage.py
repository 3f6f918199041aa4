"""What can be built before the container is known: /proc, /dev and /sys, and what a network's kernel parameters are, as
Docker's default config has them.

    <stage>/            a tmpfs in the init's own mount namespace, over a folder of the run-root
      root/             where the container's root will be mounted
      proc/             procfs with the default masks and read-only paths
      dev/              devices, pts, shm, mqueue
      sys/              sysfs with the default masks, fs/cgroup

At create each tree moves to its place by one ``move_mount``, if the container's config asks for exactly this; else it stays
here and is built anew from the config. Building it costs a parked init nothing that anybody waits for.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from typing import Any

from berth.kernel import mount as m
from berth.kernel.cgroups import Hierarchies
from berth.kernel.files import openat2_in_root

PROC = ("/proc", "proc", "proc", ("nosuid", "noexec", "nodev"))
DEV = ("/dev", "tmpfs", "tmpfs", ("nosuid", "strictatime", "mode=755", "size=65536k"))
PTS = ("/dev/pts", "devpts", "devpts", ("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"))
SYS = ("/sys", "sysfs", "sysfs", ("nosuid", "noexec", "nodev", "ro"))
CGROUP = ("/sys/fs/cgroup", "cgroup", "cgroup", ("ro", "nosuid", "noexec", "nodev"))
MQUEUE = ("/dev/mqueue", "mqueue", "mqueue", ("nosuid", "noexec", "nodev"))
SHM = ("/dev/shm", "tmpfs", "shm", ("nosuid", "noexec", "nodev", "mode=1777", "size=67108864"))
STAGED = {mount[0]: mount for mount in (PROC, DEV, PTS, SYS, CGROUP, MQUEUE, SHM)}
TREE_OF = {"/proc": "proc", "/dev": "dev", "/dev/pts": "dev", "/dev/mqueue": "dev", "/dev/shm": "dev", "/sys": "sys",
           "/sys/fs/cgroup": "sys"}  # fmt: skip
CHILDREN = {"proc": (), "dev": ("/dev/pts", "/dev/mqueue", "/dev/shm"), "sys": ("/sys/fs/cgroup",)}

SYSCTLS = {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}

DEVICES = (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0))
LINKS = (
    ("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"), ("ptmx", "pts/ptmx"), ("core", "/proc/kcore"),
)  # fmt: skip
_NODES = tuple((name, os.makedev(major, minor)) for name, major, minor in DEVICES)
_BASIC = m.ATTR_NOSUID | m.ATTR_NOEXEC | m.ATTR_NODEV
_FLAGS = m.MS_NOSUID | m.MS_NOEXEC | m.MS_NODEV


class Stage:
    """The folder and what stands in it. ``masked`` and ``readonly`` are the paths that were applied, a tree each."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.place = -1  # the folder that the container's root will be mounted on
        self.ready = False
        self.masked: frozenset[str] = frozenset()
        self.readonly: frozenset[str] = frozenset()
        self.sysctls: Mapping[str, str] = {}

    def open_folder(self) -> None:
        """Only the folder for the root: all that a container with its own ways needs. After: the mount namespace is new."""
        self.place = os.open(self.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def mount_base(self) -> None:
        """A tmpfs for the trees, in it the folder for the root."""
        m.mount("tmpfs", self.path, "tmpfs", m.MS_NOSUID, "mode=700,size=1m")
        os.mkdir(self.path + "/root", 0o755)
        self.place = os.open(self.path + "/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def build(
        self, hierarchies: Hierarchies, masked: Sequence[str], readonly: Sequence[str], *, own_network: bool
    ) -> None:
        """Build the three trees. After: the namespaces are unshared. Raises: OSError.

        By path and mount(2), one call a mount: nobody else sees these folders, and none of them is the container's yet.
        """
        os.chdir(self.path)
        for name in ("proc", "dev", "sys"):
            os.mkdir(name, 0o755)
        m.mount("proc", "proc", "proc", _FLAGS)
        if own_network:
            self.sysctls = {key: value for key, value in SYSCTLS.items() if _set(key, value)}
        m.mount("sysfs", "sys", "sysfs", _FLAGS | m.MS_RDONLY)
        if os.path.isdir("sys/fs/cgroup"):
            place_cgroups(hierarchies, os.open("sys/fs/cgroup", os.O_PATH | os.O_CLOEXEC), True)
        m.mount("tmpfs", "dev", "tmpfs", m.MS_NOSUID | m.MS_STRICTATIME, "mode=755,size=65536k")
        dev_fd = os.open("dev", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fill_dev(dev_fd)
        for name in ("pts", "shm", "mqueue"):
            os.mkdir(name, 0o755, dir_fd=dev_fd)
        os.close(dev_fd)
        m.mount("devpts", "dev/pts", "devpts", m.MS_NOSUID | m.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5")
        m.mount("shm", "dev/shm", "tmpfs", _FLAGS, "mode=1777,size=67108864")
        m.mount("mqueue", "dev/mqueue", "mqueue", _FLAGS)
        base_fd = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        os.chdir("/")
        empty = Empty()
        self.masked = frozenset(p for p in masked if mask(base_fd, p, empty))
        empty.close()
        self.readonly = frozenset(p for p in readonly if make_readonly(base_fd, p))
        os.close(base_fd)
        self.ready = True

    def serves(self, tree: str, mounts: Mapping[str, tuple[Any, ...]], masked: set[str], readonly: set[str]) -> bool:
        """Whether a config asks for exactly what stands in ``tree``."""
        if not self.ready or mounts.get("/" + tree) != STAGED["/" + tree]:
            return False
        if any(child not in mounts for child in CHILDREN[tree]):
            return False
        return self._below(self.masked, tree) <= masked and self._below(self.readonly, tree) <= readonly

    @staticmethod
    def _below(paths: frozenset[str], tree: str) -> set[str]:
        prefix = f"/{tree}/"
        return {path for path in paths if path.startswith(prefix)}

    def sysctls_left(self, spec: Mapping[str, Any], usable: frozenset[str]) -> Mapping[str, str]:
        """What of the config's is still to be set: without /sys of the stage the network, too, is another's."""
        wanted: Mapping[str, str] = (spec.get("linux") or {}).get("sysctl") or {}
        if "sys" not in usable:
            return wanted
        return {key: value for key, value in wanted.items() if self.sysctls.get(key) != value}

    def serves_cgroups(self, mounts: Mapping[str, tuple[Any, ...]]) -> bool:
        """The same for what stands below ``sys``: it fits where the network, and so sysfs, is another's."""
        return self.ready and mounts.get(CGROUP[0]) == CGROUP


def _set(key: str, value: str) -> bool:
    """Through the stage's own procfs, which nobody else has touched. False where this kernel has no such parameter."""
    try:
        fd = os.open("proc/sys/" + key.replace(".", "/"), os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(fd, value.encode())
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def fill_dev(dev_fd: int) -> None:
    """The default devices and links in an empty /dev."""
    before = os.umask(0)
    for name, number in _NODES:
        os.mknod(name, stat.S_IFCHR | 0o666, number, dir_fd=dev_fd)
    os.umask(before)
    for name, target in LINKS:
        os.symlink(target, name, dir_fd=dev_fd)


def place_cgroups(hierarchies: Hierarchies, target_fd: int, readonly: bool, *, own_view: bool = True) -> None:
    """The container's view of its own cgroups: cgroup2, or a tmpfs with a mount for each v1 hierarchy.

    ``own_view``: the cgroup namespace is unshared, so each mount's root is the container's own group. Without one, a v1
    hierarchy shows that group all the same, by a bind, as every runtime does; a v2 tree is the host's.
    """
    if hierarchies.version == 2:
        fd = m.new_filesystem("cgroup2", [], _BASIC | (m.ATTR_RDONLY if readonly else 0))
        m.move_mount(fd, target_fd)
        os.close(fd)
        os.close(target_fd)
        return
    top_fd = m.new_filesystem("tmpfs", ["mode=755", "size=1m"], _BASIC)
    m.move_mount(top_fd, target_fd)
    os.close(target_fd)
    here_fd = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    os.fchdir(top_fd)  # so that a hierarchy is one call: in this new tmpfs nobody has made a link
    for key, where in hierarchies.mounts.items():
        _place_hierarchy(key, where, readonly, own_view)
    os.fchdir(here_fd)
    os.close(here_fd)
    if readonly:
        m.mount_setattr(top_fd, m.ATTR_RDONLY)
    os.close(top_fd)


def _place_hierarchy(key: str, where: str, readonly: bool, own_view: bool) -> None:
    """In the current directory. A hierarchy that this namespace may not mount is left out, its folder empty."""
    name = key.removeprefix("name=")
    os.mkdir(name, 0o755)
    try:
        if own_view:
            m.mount("cgroup", name, "cgroup", _FLAGS | (m.MS_RDONLY if readonly else 0), _options(key))
        else:
            _place_own_group(key, where, name, _BASIC | (m.ATTR_RDONLY if readonly else 0))
    except OSError:
        return
    if "," in key:
        for alias in key.split(","):
            os.symlink(name, alias)


def _options(key: str) -> str:
    return f"none,{key}" if key.startswith("name=") else key


def _place_own_group(key: str, where: str, name: str, attributes: int) -> None:
    fd = _own_group(key, where, attributes)
    place_fd = os.open(name, os.O_PATH | os.O_CLOEXEC)
    m.move_mount(fd, place_fd)
    os.close(place_fd)
    os.close(fd)


def _own_group(key: str, where: str, attributes: int) -> int:
    """A bind of the group that this process is in. Raises: OSError."""
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        for line in file:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            if controllers == key:
                fd = m.open_tree(m.AT_FDCWD, where + path, m.OPEN_TREE_CLONE)
                m.mount_setattr(fd, attributes)
                return fd
    raise OSError(2, "this process is in no group of the hierarchy", key)


class Empty:
    """What hides things: an empty read-only tmpfs of one container, mounted over each of its masked directories."""

    def __init__(self) -> None:
        self._fd = -1

    def clone(self) -> int:
        """A mount of it that stands nowhere yet. After: the last one was placed."""
        if self._fd >= 0:  # it stands somewhere by now: older kernels clone nothing else
            return m.open_tree(self._fd, "", m.OPEN_TREE_CLONE | m.AT_EMPTY_PATH)
        self._fd = m.new_filesystem("tmpfs", ["nr_blocks=1", "nr_inodes=1", "mode=755"], _BASIC | m.ATTR_RDONLY)
        return os.dup(self._fd)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def mask(root_fd: int, path: str, empty: Empty) -> bool:
    """Hide ``path``: a file behind the host's /dev/null, a directory behind an empty read-only tmpfs.

    False when there is nothing to hide. CVE-2025-31133: the source is the host's own null device, opened before the
    container's tree is entered, and checked; never a path inside.
    """
    target = _target(root_fd, path)
    if target < 0:
        return False
    try:
        if stat.S_ISDIR(os.fstat(target).st_mode):
            fd = empty.clone()
        else:
            fd = m.open_tree(m.AT_FDCWD, "/dev/null", m.OPEN_TREE_CLONE)
            info = os.fstat(fd)
            if not stat.S_ISCHR(info.st_mode) or info.st_rdev != os.makedev(1, 3):
                raise OSError(22, "/dev/null is not the null device", path)
        m.move_mount(fd, target)
        os.close(fd)
    finally:
        os.close(target)
    return True


def make_readonly(root_fd: int, path: str) -> bool:
    """Bind ``path`` over itself, read-only. False when it does not exist."""
    target = _target(root_fd, path)
    if target < 0:
        return False
    fd = m.open_tree(target, "", m.OPEN_TREE_CLONE | m.AT_EMPTY_PATH | m.AT_RECURSIVE)
    m.mount_setattr(fd, m.ATTR_RDONLY, recursive=True)
    m.move_mount(fd, target)
    os.close(fd)
    os.close(target)
    return True


def _target(root_fd: int, path: str) -> int:
    """An O_PATH descriptor of what stands at ``path`` inside the root, -1 when nothing does. Raises: OSError (a magic link)."""
    try:
        return openat2_in_root(root_fd, path, os.O_PATH)
    except (FileNotFoundError, NotADirectoryError):
        return -1
