"""AppArmor and SELinux: whether this kernel runs them, and the label of the next execve.

Spec: /sys/kernel/security/lsm, proc_pid_attr(5).
"""

from __future__ import annotations

import os

from berth.kernel.files import PROC_SUPER_MAGIC, RESOLVE_NO_MAGICLINKS, fstype_magic, openat2


def has_apparmor() -> bool:
    try:
        with open("/sys/module/apparmor/parameters/enabled", encoding="ascii") as file:
            return file.read(1) == "Y"
    except OSError:
        return False


def has_profile(name: str) -> bool:
    """Whether an AppArmor profile is loaded. Where securityfs is not mounted none can be seen."""
    try:
        with open("/sys/kernel/security/apparmor/profiles", encoding="utf-8", errors="replace") as file:
            return any(line.rpartition(" (")[0] == name for line in file)
    except OSError:
        return False


def own_profile() -> str:
    """The AppArmor profile of this process."""
    try:
        with open("/proc/self/attr/current", encoding="utf-8", errors="replace") as file:
            return file.read().rstrip("\n\0").rpartition(" (")[0] or "unconfined"
    except OSError:
        return "unconfined"


def has_selinux() -> bool:
    return os.path.exists("/sys/fs/selinux/enforce")


def open_exec_attribute(proc_fd: int, module: str) -> int:
    """``attr/<module>/exec`` (Linux 5.8) or ``attr/exec`` of this process, on a procfs that is one (CVE-2019-16884).

    Raises: OSError.
    """
    last: OSError | None = None
    for path in (f"attr/{module}/exec", "attr/exec"):
        try:
            # "thread-self" is a link of procfs' own: the pid is written out, so that no link needs to be followed
            fd = openat2(proc_fd, f"{_own_pid(proc_fd)}/{path}", os.O_WRONLY, 0, RESOLVE_NO_MAGICLINKS)
        except FileNotFoundError as err:
            last = err
            continue
        if fstype_magic(fd) != PROC_SUPER_MAGIC:
            os.close(fd)
            raise OSError(22, "not on procfs", path)
        return fd
    assert last is not None
    raise last


def _own_pid(proc_fd: int) -> str:
    return os.readlink("self", dir_fd=proc_fd)
