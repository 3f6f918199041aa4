"""The systemd driver: a container's group is a scope unit that systemd makes, under the slice that was asked for.

    "slice:prefix:name" → <slice>/<prefix>-<name>.scope      machine.slice:libpod:8f2… → /machine.slice/libpod-8f2….scope

A scope is made around a process and lives as long as one is in it: a placeholder stands there until the container's init has
come (``adopt``). Limits are given to systemd as properties, so that its next reload does not undo them, and written to the
group as well. Spec: systemd.scope(5), systemd.resource-control(5), org.freedesktop.systemd1(5); runtime-spec "Cgroups Path".
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from typing import Any

from berth.base.errors import InvalidArgument, Unsupported, from_oserror
from berth.kernel.cgroups import Cgroup, Hierarchies
from berth.kernel.cgroups.v1 import CgroupV1
from berth.kernel.cgroups.v2 import CgroupV2
from berth.kernel.dbus import Connection, DBusError

_SERVICE, _PATH, _MANAGER = "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"
_PATIENCE_S = 30.0
_INFINITY = (1 << 64) - 1
DEFAULT_SLICE = "system.slice"


def check_path(path: str) -> str:
    """Raises: InvalidArgument: not "slice:prefix:name"."""
    parts = path.split(":")
    if len(parts) != 3 or not parts[2] or "/" in path:
        raise InvalidArgument(
            f'expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got {path!r} instead'
        )
    return path


def place_of(path: str) -> tuple[str, str, str]:
    """(unit, slice, the slice's path): nested slices carry their parents in their names."""
    wanted, prefix, name = check_path(path).split(":")
    slice_ = wanted or DEFAULT_SLICE
    unit = f"{prefix}-{name}.scope" if prefix else f"{name}.scope"
    return unit, slice_, expand_slice(slice_)


def expand_slice(name: str) -> str:
    """ "a-b.slice" → "/a.slice/a-b.slice". Raises: InvalidArgument."""
    stem, dot, _ = name.partition(".slice")
    if name == "-.slice":
        return ""
    if not dot or not all(stem.split("-")):
        raise InvalidArgument(f"invalid slice name: {name}")
    parts = stem.split("-")
    return "".join(f"/{'-'.join(parts[: at + 1])}.slice" for at in range(len(parts)))


def unit_group(hierarchies: Hierarchies, path: str) -> Cgroup:
    """The group of a scope, made or not. Raises: InvalidArgument."""
    unit, slice_, parent = place_of(path)
    if hierarchies.version == 2:
        return ScopeV2(hierarchies.mounts[""], parent, unit, slice_)
    return ScopeV1(hierarchies.mounts, parent, unit, slice_)


class _Scope(Cgroup):
    """What differs from a group that we make ourselves."""

    of_systemd = True
    slice_: str
    _placeholder = 0
    _resources: Mapping[str, Any]

    def rename(self, name: str) -> None:
        """A scope has its container's name from the start."""

    def make(self, resources: Mapping[str, Any]) -> list[str]:
        self._resources = resources
        return super().make(resources)

    def create(self) -> None:
        self._placeholder = _placeholder()
        try:
            self._start_scope()
            super().create()  # type: ignore[safe-super]  # what systemd left to us: v1 hierarchies, v2 controllers
        except BaseException:
            self.adopt(0)
            raise

    def _start_scope(self) -> None:
        properties: list[tuple[str, tuple[str, Any]]] = [
            ("Description", ("s", f"berth container {self.name}")), ("Slice", ("s", self.slice_)), ("Delegate", ("b", True)),
            ("PIDs", ("au", [self._placeholder])), ("DefaultDependencies", ("b", False)),
            *((f"{what}Accounting", ("b", True)) for what in ("CPU", "Memory", "Tasks")),
            *properties_of(getattr(self, "_resources", {})),
        ]  # fmt: skip
        bus = _connect()
        try:
            try:
                bus.call(_SERVICE, _PATH, _MANAGER, "ResetFailedUnit", "s", [self.name])
            except DBusError:
                pass  # there is none, as there should be
            signature = "ssa(sv)a(sa(sv))"
            bus.call(_SERVICE, _PATH, _MANAGER, "StartTransientUnit", signature, [self.name, "replace", properties, []])
        except OSError as err:
            raise from_oserror(err, f"ask systemd for the scope {self.name}: {err.strerror}", op="dbus") from err
        finally:
            bus.close()
        self._wait_for_scope()

    def _wait_for_scope(self) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            with open(f"/proc/{self._placeholder}/cgroup", encoding="utf-8") as file:
                if any(line.rstrip().endswith(f"/{self.name}") for line in file):
                    return
            time.sleep(0.002)
        raise Unsupported(f"systemd did not make the scope {self.name} within {_PATIENCE_S:.0f} s", op="dbus")

    def adopt(self, pid: int) -> None:
        if self._placeholder:
            os.kill(self._placeholder, signal.SIGKILL)
            os.waitpid(self._placeholder, 0)
            self._placeholder = 0

    def apply(self, resources: Mapping[str, Any]) -> list[str]:
        properties = properties_of(resources)
        if properties and not self._placeholder:  # an update: the scope has its first properties by its start
            bus = _connect()
            try:
                bus.call(_SERVICE, _PATH, _MANAGER, "SetUnitProperties", "sba(sv)", [self.name, True, properties])
            except OSError as err:
                raise from_oserror(err, f"set properties of {self.name}: {err.strerror}", op="dbus") from err
            finally:
                bus.close()
        return super().apply(resources)  # type: ignore[safe-super]

    def delete(self) -> None:
        self.adopt(0)
        try:
            bus = _connect()
        except Unsupported:
            pass
        else:
            try:
                bus.call(_SERVICE, _PATH, _MANAGER, "StopUnit", "ss", [self.name, "replace"])
            except DBusError:
                pass  # it ended with its last process
            finally:
                bus.close()
        super().delete()  # type: ignore[safe-super]


class ScopeV2(_Scope, CgroupV2):
    def __init__(self, mount: str, parent: str, name: str, slice_: str) -> None:
        super().__init__(mount, parent, name)
        self.slice_ = slice_


class ScopeV1(_Scope, CgroupV1):
    def __init__(self, mounts: Mapping[str, str], parent: str, name: str, slice_: str) -> None:
        super().__init__(mounts, parent, name)
        self.slice_ = slice_


def properties_of(resources: Mapping[str, Any]) -> list[tuple[str, tuple[str, Any]]]:
    """OCI limits as systemd's properties; what it has no word for is only written to the group."""
    found: list[tuple[str, tuple[str, Any]]] = []
    memory, cpu, pids = (resources.get(key) or {} for key in ("memory", "cpu", "pids"))
    for key, name in (("limit", "MemoryMax"), ("reservation", "MemoryLow")):
        if memory.get(key):
            found.append((name, ("t", _unsigned(int(memory[key])))))
    if cpu.get("shares"):
        found.append(("CPUWeight", ("t", 1 + ((int(cpu["shares"]) - 2) * 9999) // 262142)))
    if cpu.get("quota"):
        period = int(cpu.get("period") or 100_000)
        quota = int(cpu["quota"])
        found.append(("CPUQuotaPerSecUSec", ("t", _INFINITY if quota < 0 else quota * 1_000_000 // period)))
        found.append(("CPUQuotaPeriodUSec", ("t", period)))
    if pids.get("limit"):
        found.append(("TasksMax", ("t", _unsigned(int(pids["limit"])))))
    return found


def _unsigned(value: int) -> int:
    return _INFINITY if value < 0 else value


def _connect() -> Connection:
    """Raises: Unsupported: no systemd here."""
    try:
        return Connection()
    except OSError as err:
        raise Unsupported(
            f"systemd cannot be asked ({err.strerror}: {err.filename}): on a host without systemd use the cgroupfs driver",
            op="dbus",
        ) from err


def _placeholder() -> int:
    """A child that only stands there."""
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        while True:
            signal.pause()
    return pid
