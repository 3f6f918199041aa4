"""Control groups v1, v2 and hybrid behind one contract.

    __init__.py   ``detect`` and the contract ``Cgroup``
    v1.py         one directory per hierarchy (a hybrid host's v2 tree carries no controller of interest: left alone)
    v2.py         one directory
    devices.py    the default device rules, v1 lines and the v2 program

The story of one: ``create`` (a parked one, before the container is known) → ``join`` by a process that is alone in its
thread group → ``rename`` (v1) → ``apply`` limits → processes live → ``kill`` → ``delete``.

Joining: on v1 a single-threaded process writes "0" to ``tasks``: moving only oneself skips the kernel's global lock, 0.02 ms
a hierarchy instead of 5 to 15 ms in all after a pause. On v2 a child is born in its group (CLONE_INTO_CGROUP).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any


class Cgroup(ABC):
    """One container's group. ``parent`` and ``name`` are the path below the root of each hierarchy."""

    version: int
    can_rename: bool
    of_systemd = False

    def __init__(self, parent: str, name: str) -> None:
        self.parent = "/" + parent.strip("/") if parent.strip("/") else ""
        self.name = name

    @abstractmethod
    def create(self) -> None:
        """Make the directories (and the parent's). Raises: OSError."""

    @abstractmethod
    def join(self) -> None:
        """Move the calling, single-threaded process in."""

    @abstractmethod
    def fork_fd(self) -> int:
        """A v2 directory descriptor for ``process.fork`` (the caller closes it), or -1: the child calls ``join``."""

    @abstractmethod
    def rename(self, name: str) -> None:
        """Give the group its container's name, with processes in it. Where ``can_rename`` is False: nothing."""

    @abstractmethod
    def apply_device_rules(self, rules: list[Mapping[str, Any]]) -> None:
        """Deny all devices but what ``rules`` (OCI) and the defaults allow, whatever was said before.

        Raises: InvalidArgument (a rule that is none, or that v1 cannot express), OSError.
        """

    @abstractmethod
    def apply(self, resources: Mapping[str, Any]) -> list[str]:
        """Write OCI resources without devices; returns warnings. Raises: OSError naming the file that refused."""

    @abstractmethod
    def freeze(self) -> None: ...

    @abstractmethod
    def thaw(self) -> None: ...

    @abstractmethod
    def frozen(self) -> bool: ...

    @abstractmethod
    def paths(self) -> dict[str, str]:
        """The directories: by controller on v1, ``{"": path}`` on v2."""

    def make(self, resources: Mapping[str, Any]) -> list[str]:
        """``create`` with devices and limits, for a group of one container from the start; returns warnings."""
        self.create()
        self.apply_device_rules(list(resources.get("devices") or ()))
        return self.apply(resources)

    def adopt(self, pid: int) -> None:
        """Called once the first process is in: for a driver whose groups somebody else makes."""
        return

    @abstractmethod
    def procs(self) -> list[int]:
        """Every process of the group and of those below it."""

    @abstractmethod
    def kill(self) -> None:
        """SIGKILL to every process."""

    @abstractmethod
    def oom_kills(self) -> int: ...

    @abstractmethod
    def stats(self) -> dict[str, Any]:
        """Raw counters: cpu_ns, memory_bytes, memory_limit, pids."""

    @abstractmethod
    def delete(self) -> None:
        """Remove the directories; missing ones are no error. Raises: OSError (EBUSY while processes live)."""


ENGINE_GROUP = "engine"
"""Below the parent: of the zygote and what it forks."""


class Hierarchies:
    """What this host has. ``version`` is 1 (also for hybrid hosts) or 2."""

    def __init__(self, version: int, mounts: dict[str, str]) -> None:
        self.version = version
        self.mounts = mounts  # v1: controllers ("cpu,cpuacct" as mounted) → mount point; v2: {"": mount point}

    def group(self, parent: str, name: str) -> Cgroup:
        if self.version == 2:
            from berth.kernel.cgroups.v2 import CgroupV2

            return CgroupV2(self.mounts[""], parent, name)
        from berth.kernel.cgroups.v1 import CgroupV1

        return CgroupV1(self.mounts, parent, name)

    def prepare_parent(self, parent: str) -> None:
        """Make a parent group ready for children (cpuset values on v1, controllers on v2). Raises: OSError."""
        group = self.group(parent, "")
        group.create()

    def remove_parent(self, parent: str) -> None:
        """Remove an empty parent; one with children stays."""
        try:
            self.group(parent, "").delete()
        except OSError:
            pass


def open_group(path: str, *, systemd: bool = False) -> Cgroup:
    """The group at ``path``: absolute, or "slice:prefix:name" for the systemd driver. Raises: OSError, BerthError."""
    hierarchies = detect()
    if systemd:
        from berth.kernel.cgroups.systemd import unit_group

        return unit_group(hierarchies, path)
    parent, _, name = path.rpartition("/")
    return hierarchies.group(parent, name)


def detect() -> Hierarchies:
    """The hierarchies of this host, from /proc/self/mountinfo. Raises: OSError when none is mounted."""
    v1: dict[str, str] = {}
    v2 = ""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            left, _, right = line.partition(" - ")
            fstype, _, options = right.split(" ", 2)
            where = left.split()[4]
            if fstype == "cgroup":
                words = options.strip().split(",")
                names = [w for w in words if w in _V1_CONTROLLERS or w.startswith("name=")]
                v1.setdefault(",".join(names), where)
            elif fstype == "cgroup2" and not v2:
                v2 = where
    if v1:
        return Hierarchies(1, v1)
    if v2:
        return Hierarchies(2, {"": v2})
    raise OSError(19, "no cgroup filesystem is mounted", "/sys/fs/cgroup")


_V1_CONTROLLERS = frozenset(
    "cpu cpuacct cpuset memory devices freezer blkio pids hugetlb net_cls net_prio perf_event rdma misc".split()
)
