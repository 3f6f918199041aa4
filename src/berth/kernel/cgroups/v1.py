"""cgroup v1: ``<mount>/<parent>/<name>`` in every hierarchy."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from typing import Any

from berth.kernel.cgroups import Cgroup
from berth.kernel.cgroups.devices import rules_of, v1_lines
from berth.kernel.cgroups.files import rdma_line
from berth.kernel.cgroups.files import read as _read
from berth.kernel.cgroups.files import remove_tree as _remove_tree
from berth.kernel.cgroups.files import write as _write


class CgroupV1(Cgroup):
    version = 1
    can_rename = True

    def __init__(self, mounts: Mapping[str, str], parent: str, name: str) -> None:
        super().__init__(parent, name)
        self._mounts = mounts
        self._of = {c: where for key, where in mounts.items() for c in key.split(",")}

    def _dir(self, mount: str) -> str:
        return f"{mount}{self.parent}/{self.name}" if self.name else mount + self.parent

    def _file(self, controller: str, name: str) -> str | None:
        mount = self._of.get(controller)
        return f"{self._dir(mount)}/{name}" if mount is not None else None

    def create(self) -> None:
        for key, mount in self._mounts.items():
            path = self._dir(mount)
            try:
                os.mkdir(path, 0o755)
            except FileExistsError:
                pass
            except FileNotFoundError:
                self._make_parents(mount, key)
                try:
                    os.mkdir(path, 0o755)
                except FileExistsError:
                    pass
            if not self.name and "cpuset" in key:
                _inherit_cpuset(path)
        if self.name:
            self._check_cpuset()

    def _make_parents(self, mount: str, key: str) -> None:
        path = mount
        for part in self.parent.strip("/").split("/"):
            path = f"{path}/{part}"
            try:
                os.mkdir(path, 0o755)
            except FileExistsError:
                continue
            if "cpuset" in key:
                _inherit_cpuset(path)

    def _check_cpuset(self) -> None:
        path = self._file("cpuset", "cpuset.cpus")
        if path is not None and not _read(path).strip():
            _inherit_cpuset(os.path.dirname(path))

    def join(self) -> None:
        for mount in self._mounts.values():
            _write(f"{self._dir(mount)}/tasks", "0")

    def fork_fd(self) -> int:
        return -1

    def rename(self, name: str) -> None:
        for mount in self._mounts.values():
            target = f"{mount}{self.parent}/{name}"
            try:
                os.rename(self._dir(mount), target)
            except FileExistsError:  # of the container's last run, emptied a moment ago
                _remove_tree(target)
                os.rename(self._dir(mount), target)
        self.name = name

    def apply_device_rules(self, rules: list[Mapping[str, Any]]) -> None:
        deny, allow = self._file("devices", "devices.deny"), self._file("devices", "devices.allow")
        if deny is None or allow is None:
            return
        lines = v1_lines(tuple(rules_of(rules)))
        _write(allow if lines.allowed else deny, "a")
        for line in lines.exceptions:
            _write(deny if lines.allowed else allow, line)

    def apply(self, resources: Mapping[str, Any]) -> list[str]:
        warnings: list[str] = []
        self._apply_memory(resources.get("memory") or {}, warnings)
        cpu = resources.get("cpu") or {}
        for key, name in (
            ("shares", "cpu.shares"), ("period", "cpu.cfs_period_us"), ("quota", "cpu.cfs_quota_us"),
            ("burst", "cpu.cfs_burst_us"), ("realtimePeriod", "cpu.rt_period_us"),
            ("realtimeRuntime", "cpu.rt_runtime_us"), ("idle", "cpu.idle"),
        ):  # fmt: skip
            if cpu.get(key):
                self._set("cpu", name, str(cpu[key]), warnings)
        for key, name in (("cpus", "cpuset.cpus"), ("mems", "cpuset.mems")):
            if cpu.get(key):
                self._set("cpuset", name, str(cpu[key]), warnings)
        pids = resources.get("pids") or {}
        if pids.get("limit"):
            self._set("pids", "pids.max", "max" if int(pids["limit"]) < 0 else str(pids["limit"]), warnings)
        block = resources.get("blockIO") or {}
        if block.get("weight"):
            for name in ("blkio.weight", "blkio.bfq.weight"):
                path = self._file("blkio", name)
                if path is not None and os.path.exists(path):
                    _write(path, str(block["weight"]))
                    break
            else:
                warnings.append("this kernel has no block I/O weight: it was ignored")
        for key, name in (
            ("throttleReadBpsDevice", "blkio.throttle.read_bps_device"),
            ("throttleWriteBpsDevice", "blkio.throttle.write_bps_device"),
            ("throttleReadIOPSDevice", "blkio.throttle.read_iops_device"),
            ("throttleWriteIOPSDevice", "blkio.throttle.write_iops_device"),
        ):
            for entry in block.get(key) or []:
                self._set("blkio", name, f"{entry['major']}:{entry['minor']} {entry['rate']}", warnings)
        for entry in block.get("weightDevice") or []:
            for word, name in (("weight", "blkio.weight_device"), ("leafWeight", "blkio.leaf_weight_device")):
                if entry.get(word):
                    self._set("blkio", name, f"{entry['major']}:{entry['minor']} {entry[word]}", warnings)
        self._apply_rare(resources, warnings)
        return warnings

    def _apply_rare(self, resources: Mapping[str, Any], warnings: list[str]) -> None:
        for entry in resources.get("hugepageLimits") or []:
            self._set("hugetlb", f"hugetlb.{entry['pageSize']}.limit_in_bytes", str(entry["limit"]), warnings)
            reserved = self._file("hugetlb", f"hugetlb.{entry['pageSize']}.rsvd.limit_in_bytes")
            if reserved is not None and os.path.exists(reserved):
                _write(reserved, str(entry["limit"]))
        for name, limits in (resources.get("rdma") or {}).items():
            self._set("rdma", "rdma.max", rdma_line(name, limits), warnings)
        network = resources.get("network") or {}
        if network.get("classID"):
            self._set("net_cls", "net_cls.classid", str(network["classID"]), warnings)
        for entry in network.get("priorities") or []:
            self._set("net_prio", "net_prio.ifpriomap", f"{entry['name']} {entry['priority']}", warnings)
        if resources.get("unified"):
            raise OSError(22, "unified resources are of cgroup v2, this host has v1", next(iter(resources["unified"])))

    def _apply_memory(self, memory: Mapping[str, Any], warnings: list[str]) -> None:
        limit, swap = memory.get("limit"), memory.get("swap")
        wanted: list[tuple[str, int]] = []
        if limit:
            wanted.append(("memory.limit_in_bytes", int(limit)))
        path = self._file("memory", "memory.memsw.limit_in_bytes")
        if swap and path is not None:
            if os.path.exists(path):
                wanted.append(("memory.memsw.limit_in_bytes", int(swap)))
            elif int(swap) > 0 and not limit:
                warnings.append("this kernel does not account swap: the swap limit was ignored")
        try:
            for name, value in wanted:
                self._set("memory", name, str(value), warnings)
        except OSError as err:
            if err.errno not in (16, 22) or len(wanted) < 2:
                raise
            # memory may not exceed memory+swap at any moment: to raise both, swap goes first
            for name, value in reversed(wanted):
                self._set("memory", name, str(value), warnings)
        if memory.get("reservation"):
            self._set("memory", "memory.soft_limit_in_bytes", str(memory["reservation"]), warnings)
        if memory.get("swappiness") is not None:
            self._set("memory", "memory.swappiness", str(memory["swappiness"]), warnings)
        if memory.get("disableOOMKiller"):
            self._set("memory", "memory.oom_control", "1", warnings)

    def _set(self, controller: str, name: str, value: str, warnings: list[str]) -> None:
        path = self._file(controller, name)
        if path is None:
            warnings.append(f"this host has no {controller} cgroup: {name} was ignored")
            return
        try:
            _write(path, value)
        except FileNotFoundError:
            warnings.append(f"this kernel has no {name}: it was ignored")

    def frozen(self) -> bool:
        path = self._file("freezer", "freezer.state")
        try:
            return path is not None and _read(path).strip() in ("FROZEN", "FREEZING")
        except FileNotFoundError:
            return False

    def paths(self) -> dict[str, str]:
        return {controller: self._dir(mount) for controller, mount in self._of.items()}

    def freeze(self) -> None:
        self._freezer("FROZEN")

    def thaw(self) -> None:
        self._freezer("THAWED")

    def _freezer(self, state: str) -> None:
        path = self._file("freezer", "freezer.state")
        if path is None:
            raise OSError(95, "this host has no freezer cgroup", "freezer.state")
        import time

        for attempt in range(1000):
            _write(path, state)
            if _read(path).strip() == state:
                return
            time.sleep(0.0005 if attempt < 50 else 0.01)  # FREEZING: a process is in uninterruptible sleep
        _write(path, "THAWED")
        raise OSError(16, "the processes could not be frozen", path)

    def procs(self) -> list[int]:
        mount = self._of.get("devices") or next(iter(self._mounts.values()))
        found: list[int] = []
        for directory, _, _ in os.walk(self._dir(mount)):
            try:
                found += [int(p) for p in _read(f"{directory}/cgroup.procs").split()]
            except OSError:
                continue  # removed meanwhile
        return found

    def kill(self) -> None:
        for _ in range(100):
            pids = self.procs()
            if not pids:
                return
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass

    def oom_kills(self) -> int:
        path = self._file("memory", "memory.oom_control")
        try:
            for line in _read(path).splitlines() if path else ():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
        except OSError:
            pass
        return 0

    def stats(self) -> dict[str, Any]:
        def number(controller: str, name: str) -> int:
            path = self._file(controller, name)
            try:
                return int(_read(path)) if path else 0
            except (OSError, ValueError):
                return 0

        return {
            "cpu_ns": number("cpuacct", "cpuacct.usage"),
            "memory_bytes": number("memory", "memory.usage_in_bytes"),
            "memory_limit": number("memory", "memory.limit_in_bytes"),
            "pids": number("pids", "pids.current"),
        }

    def delete(self) -> None:
        for mount in self._mounts.values():
            _remove_tree(self._dir(mount))


def _inherit_cpuset(path: str) -> None:
    """cpuset.cpus and cpuset.mems as the parent's, and for children by themselves."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        value = _read(f"{os.path.dirname(path)}/{name}").strip()
        if value and not _read(f"{path}/{name}").strip():
            _write(f"{path}/{name}", value)
    try:
        _write(f"{path}/cgroup.clone_children", "1")
    except OSError:
        pass
