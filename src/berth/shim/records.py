"""What a shim leaves on disk for a daemon that comes later. The run-root does not outlive the machine: no fsync."""

from __future__ import annotations

import functools
import json
import os
from typing import Any

from berth.spec.shim import VERSION, ExitRecord


@functools.cache
def boot_id() -> str:
    """Read once, in the zygote."""
    return _read("/proc/sys/kernel/random/boot_id").decode().strip()


def start_time() -> int:
    """Clock ticks since boot when this process started (proc(5) stat, field 22): with the pid, an identity."""
    return int(_read("/proc/self/stat").rpartition(b")")[2].split()[19])


def write_shim(shim_dir: str, container_id: str, cgroup: str) -> None:
    """``cgroup``: of the container, for whoever has to end it should this process be killed."""
    record = {"pid": os.getpid(), "start_time": start_time(), "boot_id": boot_id(), "version": VERSION,
              "id": container_id, "cgroup": cgroup}  # fmt: skip
    _write(shim_dir + "/shim.json", record)


def write_exit(shim_dir: str, record: ExitRecord) -> None:
    _write(shim_dir + "/exit.json", dict(record))


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 4096)
    finally:
        os.close(fd)


def _write(path: str, record: dict[str, Any]) -> None:
    temporary = path + ".new"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, json.dumps(record).encode())
    finally:
        os.close(fd)
    os.rename(temporary, path)
