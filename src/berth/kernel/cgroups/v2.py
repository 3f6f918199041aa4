"""cgroup v2: one directory. Its name is chosen when it is made and stays: v2 does not rename."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from berth.kernel.cgroups import Cgroup
from berth.kernel.cgroups.device_program import attach
from berth.kernel.cgroups.devices import rules_of
from berth.kernel.cgroups.files import rdma_line
from berth.kernel.cgroups.files import read as _read
from berth.kernel.cgroups.files import remove_tree as _remove_tree
from berth.kernel.cgroups.files import write as _write

WANTED = ("cpu", "cpuset", "io", "memory", "pids", "hugetlb", "rdma", "misc")


class CgroupV2(Cgroup):
    version = 2
    can_rename = False

    def __init__(self, mount: str, parent: str, name: str) -> None:
        super().__init__(parent, name)
        self._mount = mount

    @property
    def path(self) -> str:
        return f"{self._mount}{self.parent}/{self.name}" if self.name else self._mount + self.parent

    def create(self) -> None:
        path = self._mount
        parts = [*self.parent.strip("/").split("/"), self.name] if self.name else self.parent.strip("/").split("/")
        for part in filter(None, parts):
            self._delegate(path)
            path = f"{path}/{part}"
            try:
                os.mkdir(path, 0o755)
            except FileExistsError:
                pass
        if not self.name:
            self._delegate(path)

    @staticmethod
    def _delegate(path: str) -> None:
        """Enable for the children of ``path`` every controller that it has (each alone: one may be in use elsewhere)."""
        have = set(_read(f"{path}/cgroup.controllers").split())
        enabled = set(_read(f"{path}/cgroup.subtree_control").split())
        for controller in WANTED:
            if controller in have - enabled:
                try:
                    _write(f"{path}/cgroup.subtree_control", f"+{controller}")
                except OSError:
                    pass

    def join(self) -> None:
        _write(f"{self.path}/cgroup.procs", "0")

    def fork_fd(self) -> int:
        return os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def rename(self, name: str) -> None:
        return

    def apply_device_rules(self, rules: list[Mapping[str, Any]]) -> None:
        attach(self.path, rules_of(rules))

    def apply(self, resources: Mapping[str, Any]) -> list[str]:
        warnings: list[str] = []
        memory = resources.get("memory") or {}
        limit, swap = int(memory.get("limit") or 0), int(memory.get("swap") or 0)
        if limit > 0 and memory.get("checkBeforeUpdate") and self._number("memory.current") > limit:
            raise OSError(16, f"the group uses more memory than {limit}", f"{self.path}/memory.max")
        if limit:
            self._set("memory.max", _max(limit), warnings)
        if swap:
            # v1's number is memory + swap, v2's is swap alone
            self._set("memory.swap.max", "max" if swap < 0 else str(max(0, swap - limit)), warnings)
        if memory.get("reservation"):
            self._set("memory.low", _max(int(memory["reservation"])), warnings)
        cpu = resources.get("cpu") or {}
        if cpu.get("shares"):
            shares = int(cpu["shares"])
            self._set("cpu.weight", str(1 + ((shares - 2) * 9999) // 262142), warnings)
        if cpu.get("quota") or cpu.get("period"):
            quota = int(cpu.get("quota") or 0)
            self._set("cpu.max", f"{quota if quota > 0 else 'max'} {int(cpu.get('period') or 100_000)}", warnings)
        for key, name in (
            ("burst", "cpu.max.burst"), ("idle", "cpu.idle"), ("cpus", "cpuset.cpus"), ("mems", "cpuset.mems"),
        ):  # fmt: skip
            if cpu.get(key):
                self._set(name, str(cpu[key]), warnings)
        pids = resources.get("pids") or {}
        if pids.get("limit"):
            self._set("pids.max", _max(int(pids["limit"])), warnings)
        block = resources.get("blockIO") or {}
        if block.get("weight"):
            weight = int(block["weight"])
            self._set("io.weight", str(1 + (weight - 10) * 9999 // 990), warnings)
        for key, word in (
            ("throttleReadBpsDevice", "rbps"), ("throttleWriteBpsDevice", "wbps"),
            ("throttleReadIOPSDevice", "riops"), ("throttleWriteIOPSDevice", "wiops"),
        ):  # fmt: skip
            for entry in block.get(key) or []:
                self._set("io.max", f"{entry['major']}:{entry['minor']} {word}={entry['rate']}", warnings)
        for entry in resources.get("hugepageLimits") or []:
            self._set(f"hugetlb.{entry['pageSize']}.max", str(entry["limit"]), warnings)
            reserved = f"{self.path}/hugetlb.{entry['pageSize']}.rsvd.max"
            if os.path.exists(reserved):
                _write(reserved, str(entry["limit"]))
        for device, limits in (resources.get("rdma") or {}).items():
            self._set("rdma.max", rdma_line(device, limits), warnings)
        for name, value in (resources.get("unified") or {}).items():
            if "/" in name or not name:
                raise OSError(22, "not a file of the group", name)
            _write(f"{self.path}/{name}", str(value))
        return warnings

    def _set(self, name: str, value: str, warnings: list[str]) -> None:
        try:
            _write(f"{self.path}/{name}", value)
        except FileNotFoundError:
            warnings.append(f"this host has no {name}: it was ignored")

    def _number(self, name: str) -> int:
        try:
            return int(_read(f"{self.path}/{name}"))
        except (OSError, ValueError):
            return 0

    def frozen(self) -> bool:
        try:
            return _read(f"{self.path}/cgroup.freeze").strip() == "1"
        except FileNotFoundError:
            return False

    def paths(self) -> dict[str, str]:
        return {"": self.path}

    def freeze(self) -> None:
        self._freezer("1")

    def thaw(self) -> None:
        self._freezer("0")

    def _freezer(self, value: str) -> None:
        _write(f"{self.path}/cgroup.freeze", value)
        for attempt in range(1000):
            if f"frozen {value}" in _read(f"{self.path}/cgroup.events"):
                return
            time.sleep(0.0005 if attempt < 50 else 0.01)
        _write(f"{self.path}/cgroup.freeze", "0")
        raise OSError(16, "the processes could not be frozen", self.path)

    def procs(self) -> list[int]:
        found: list[int] = []
        for directory, _, _ in os.walk(self.path):
            try:
                found += [int(p) for p in _read(f"{directory}/cgroup.procs").split()]
            except OSError:
                continue
        return found

    def kill(self) -> None:
        try:
            _write(f"{self.path}/cgroup.kill", "1")
        except FileNotFoundError:
            for pid in self.procs():
                try:
                    os.kill(pid, 9)
                except ProcessLookupError:
                    pass

    def oom_kills(self) -> int:
        try:
            for line in _read(f"{self.path}/memory.events").splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
        except OSError:
            pass
        return 0

    def stats(self) -> dict[str, Any]:
        def number(name: str) -> int:
            try:
                text = _read(f"{self.path}/{name}").strip()
                return int(text) if text != "max" else 0
            except (OSError, ValueError):
                return 0

        cpu_ns = 0
        try:
            for line in _read(f"{self.path}/cpu.stat").splitlines():
                if line.startswith("usage_usec "):
                    cpu_ns = int(line.split()[1]) * 1000
        except OSError:
            pass
        return {
            "cpu_ns": cpu_ns, "memory_bytes": number("memory.current"), "memory_limit": number("memory.max"),
            "pids": number("pids.current"),
        }  # fmt: skip

    def delete(self) -> None:
        _remove_tree(self.path)


def _max(value: int) -> str:
    return "max" if value < 0 else str(value)
