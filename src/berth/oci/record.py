"""What the program remembers of a container between its calls.

    <root>/<id>/state.json   runc's names for what others read there (id, init_process_pid, cgroup_paths, …) and the config
                exec.fifo    where init waits for ``start``; gone once it was started
                stage/       where init mounts the container's root, in its own mount namespace

``state.json`` is written before anything else is made: whatever kills a ``create``, ``delete --force`` knows what to remove.
"""

from __future__ import annotations

import json
import os
import stat
import time
from typing import Any

from berth.base.errors import AlreadyExists, InvalidArgument, NotFound
from berth.kernel.cgroups import Cgroup
from berth.oci.hooks import OCI_VERSION

DEFAULT_ROOT = "/run/berth-runtime"
DEFAULT_PARENT = "/berth-runtime"
_ID_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.")


def check_id(container_id: str) -> None:
    """Raises: InvalidArgument: letters, digits and ``_+-.`` alone make one name of a folder."""
    if not container_id:
        raise InvalidArgument("container id cannot be empty")
    if container_id in (".", "..") or not set(container_id) <= _ID_LETTERS or len(container_id) > 1024:
        raise InvalidArgument(f"invalid container ID format: {container_id!r}")


class Record:
    """One container's folder and state. ``state`` is what state.json holds."""

    def __init__(self, root: str, state: dict[str, Any]) -> None:
        self.root = root
        self.state = state

    @property
    def id(self) -> str:
        return str(self.state["id"])

    @property
    def folder(self) -> str:
        return os.path.join(self.root, self.id)

    @property
    def fifo(self) -> str:
        return os.path.join(self.folder, "exec.fifo")

    @property
    def pid(self) -> int:
        return int(self.state.get("init_process_pid") or 0)

    @property
    def spec(self) -> dict[str, Any]:
        spec: dict[str, Any] = self.state["config"]
        return spec

    def save(self) -> None:
        path = os.path.join(self.folder, "state.json")
        with open(path + ".new", "w", encoding="utf-8") as file:
            json.dump(self.state, file)
        os.rename(path + ".new", path)

    def remove(self) -> None:
        """The folder with all that is in it."""
        for name in ("exec.fifo", "state.json.new"):
            _quietly(os.unlink, os.path.join(self.folder, name))
        _quietly(os.rmdir, os.path.join(self.folder, "stage"))
        _quietly(os.unlink, os.path.join(self.folder, "state.json"))  # last: until then a removal can be repeated
        try:
            os.rmdir(self.folder)
        except FileNotFoundError:
            return
        except OSError:
            import shutil

            shutil.rmtree(self.folder, ignore_errors=True)

    def group(self) -> Cgroup:
        from berth.kernel import cgroups

        return cgroups.open_group(str(self.state["cgroups_path"]), systemd=bool(self.state.get("systemd_cgroup")))

    def status(self) -> str:
        """creating, created, running, paused or stopped."""
        if not self.pid:
            return "creating"
        if start_time(self.pid) != self.state["init_process_start"]:
            return "stopped"
        if os.path.exists(self.fifo):
            return "created"
        try:
            return "paused" if self.group().frozen() else "running"
        except OSError:
            return "running"

    def oci_state(self, status: str | None = None) -> dict[str, Any]:
        """The state of the specification, with what runc has beside it."""
        status = status or self.status()
        return {
            "ociVersion": OCI_VERSION, "id": self.id, "pid": 0 if status == "stopped" else self.pid, "status": status,
            "bundle": self.state["bundle"], "rootfs": self.state["rootfs"], "created": self.state["created"],
            "annotations": self.spec.get("annotations") or {}, "owner": "",
        }  # fmt: skip

    def hook_state(self, status: str) -> dict[str, Any]:
        return {
            "ociVersion": OCI_VERSION, "id": self.id, "status": status, "pid": 0 if status == "stopped" else self.pid,
            "bundle": self.state["bundle"], "annotations": self.spec.get("annotations") or {},
        }  # fmt: skip


def reserve(root: str, container_id: str, spec: dict[str, Any], bundle: str, *, systemd: bool) -> Record:
    """Take the id: its folder is made, with a state that says "creating". Raises: AlreadyExists, InvalidArgument."""
    check_id(container_id)
    path = cgroups_path(spec, container_id, systemd=systemd)
    folder = os.path.join(root, container_id)
    os.makedirs(root, 0o711, exist_ok=True)
    try:
        os.mkdir(folder, 0o711)
    except FileExistsError:
        raise AlreadyExists("container with given ID already exists") from None
    record = Record(root, {
        "id": container_id, "init_process_pid": 0, "init_process_start": 0, "created": now(), "rootless": False,
        "cgroup_paths": {}, "namespace_paths": {}, "external_descriptors": [], "bundle": bundle,
        "rootfs": spec["root"]["path"], "cgroups_path": path, "systemd_cgroup": systemd, "config": spec,
    })  # fmt: skip
    record.save()
    return record


def cgroups_path(spec: dict[str, Any], container_id: str, *, systemd: bool) -> str:
    """Raises: InvalidArgument (a path that climbs out, or is not the driver's form)."""
    path = str((spec.get("linux") or {}).get("cgroupsPath") or "")
    if systemd:
        from berth.kernel.cgroups.systemd import check_path

        return check_path(path or f":berth:{container_id}")
    if not path:
        return f"{DEFAULT_PARENT}/{container_id}"
    parts = [p for p in path.split("/") if p]
    if not parts or ".." in parts or "." in parts:
        raise InvalidArgument(f"invalid cgroupsPath {path!r}")
    return "/" + "/".join(parts)


def load(root: str, container_id: str) -> Record:
    """Raises: NotFound, InvalidArgument."""
    check_id(container_id)
    try:
        with open(os.path.join(root, container_id, "state.json"), encoding="utf-8") as file:
            return Record(root, json.load(file))
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound("container does not exist") from None
    except ValueError as err:
        raise InvalidArgument(f"the state of container {container_id} is damaged: {err}") from err


def load_all(root: str) -> list[Record]:
    """Every container of the root whose state can be read, by name."""
    try:
        names = sorted(os.listdir(root))
    except FileNotFoundError:
        return []
    found = []
    for name in names:
        try:
            found.append(load(root, name))
        except (NotFound, InvalidArgument, OSError):
            continue
    return found


def start_time(pid: int) -> int:
    """When the process started, in ticks since boot: with its number, its identity. 0 when it has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return 0 if fields[0] in (b"Z", b"X") else int(fields[19])
    except OSError:
        return 0


def now() -> str:
    at_ns = time.time_ns()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_ns // 10**9)) + f".{at_ns % 10**9:09d}Z"


def describe_streams() -> list[str]:
    """Our three streams as a checkpoint's ``descriptors.json`` has them: links of /proc, files as CRIU names those outside."""
    return [_describe(fd) for fd in range(3)]


def _describe(fd: int) -> str:
    try:
        info = os.fstat(fd)
    except OSError:
        return ""  # it is closed
    if not stat.S_ISREG(info.st_mode):
        return os.readlink(f"/proc/self/fd/{fd}")
    with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as file:
        mount_id = next(int(line.split()[1]) for line in file if line.startswith("mnt_id:"))
    return f"file[{mount_id:x}:{info.st_ino:x}]"


def _quietly(call: Any, path: str) -> None:
    try:
        call(path)
    except OSError:
        pass
