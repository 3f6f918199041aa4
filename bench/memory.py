"""What the bench reads of the kernel: memory of processes, who descends from whom, cgroups to take away."""

from __future__ import annotations

import os
import socket


def ping(path: str) -> bool:
    """Whether an engine answers on a unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(2)
        try:
            sock.connect(path)
            sock.sendall(b"GET /_ping HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
            return sock.recv(64).startswith(b"HTTP/1.1 200")
        except OSError:
            return False


def pss_bytes(pids: list[int]) -> int:
    """The proportional set size of processes together; those that have ended count nothing."""
    return sum(_pss_of(pid) for pid in pids)


def _pss_of(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as table:
            return next(int(line.split()[1]) << 10 for line in table if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0


def descendants(root: int) -> list[int]:
    """``root`` and everything below it, also through processes that were re-parented to it."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(name))
    found, ahead = [], [root]
    while ahead:
        pid = ahead.pop()
        found.append(pid)
        ahead += children.get(pid, [])
    return found


def with_command(part: str) -> list[int]:
    """Processes whose command line has ``part``, this one and its parents excepted."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open(f"/proc/{name}/cmdline", encoding="utf-8", errors="replace") as file:
                    if part in file.read():
                        found.append(int(name))
            except OSError:
                continue
    return found


def mounts_below(folder: str) -> list[str]:
    """Mount points below ``folder``, deepest first."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as table:
        points = [line.split()[4] for line in table]
    return [point for point in reversed(points) if point.startswith(folder + "/")]


def in_cgroup(pid: int, part: str) -> bool:
    """Whether a process is in a cgroup whose path has ``part``, in any hierarchy."""
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as table:
            return part in table.read()
    except OSError:
        return False


def remove_cgroup(path: str) -> None:
    """Take an empty cgroup and those below it out of every hierarchy."""
    top = "/sys/fs/cgroup"
    for hierarchy in [top, *(f"{top}/{name}" for name in os.listdir(top))]:
        for folder, _, _ in os.walk(hierarchy + path, topdown=False):
            try:
                os.rmdir(folder)
            except OSError:
                pass
