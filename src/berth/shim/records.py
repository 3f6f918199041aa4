"""What a shim leaves on disk for a daemon that comes later. The run-root does not outlive the machine: no fsync."""

from __future__ import annotations

import json
import os
from typing import Any

from berth.spec.shim import VERSION, ExitRecord


def boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def start_time(pid: int) -> int:
    """Clock ticks since boot when the process started (proc(5) stat, field 22): with the pid, an identity."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[19])


def write_shim(shim_dir: str, container_id: str) -> None:
    record = {"pid": os.getpid(), "start_time": start_time(os.getpid()), "boot_id": boot_id(), "version": VERSION,
              "id": container_id}  # fmt: skip
    _write(os.path.join(shim_dir, "shim.json"), record)


def write_exit(shim_dir: str, record: ExitRecord) -> None:
    _write(os.path.join(shim_dir, "exit.json"), dict(record))


def _write(path: str, record: dict[str, Any]) -> None:
    temporary = path + ".new"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, json.dumps(record).encode())
    finally:
        os.close(fd)
    os.rename(temporary, path)
