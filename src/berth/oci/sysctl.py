"""``linux.sysctl``: only what belongs to a namespace of the container's, written through a procfs that stands nowhere.

The container's own /proc may be read-only, or no procfs at all (CVE-2019-16884, CVE-2025-52881): a detached, private one is
mounted for the writing, and each file is checked to be on it. A parameter of the whole host is refused, as in runc.
Spec: OCI runtime-spec 1.2 config-linux.md "Sysctl".
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from berth.base.errors import InvalidArgument, from_oserror
from berth.kernel.files import write_proc
from berth.kernel.mount import new_filesystem

_OF_IPC = frozenset(
    "kernel.msgmax kernel.msgmnb kernel.msgmni kernel.sem kernel.shmall kernel.shmmax kernel.shmmni "
    "kernel.shm_rmid_forced".split()
)


def write_all(sysctls: Mapping[str, str], namespaces: Iterable[Mapping[str, Any]]) -> None:
    """Raises: InvalidArgument naming the parameter; what the kernel answered."""
    if not sysctls:
        return
    spaces = {str(n["type"]) for n in namespaces}
    paths = {key: check(key, value, spaces) for key, value in sysctls.items()}
    proc_fd = new_filesystem("proc")
    try:
        for key, path in paths.items():
            try:
                write_proc(proc_fd, path, sysctls[key])
            except OSError as err:
                raise from_oserror(err, f"write sysctl key {key}: open /proc/{path}", op="sysctl", path=key) from err
    finally:
        os.close(proc_fd)


def check(key: str, value: str, spaces: set[str]) -> str:
    """The path below /proc of a parameter that a container with these namespaces may set. Raises: InvalidArgument."""
    parts = _parts(key)
    if not all(parts) or ".." in parts or any(ord(c) < 0x20 or ord(c) == 0x7F for c in key):
        raise InvalidArgument(f"sysctl {key!r}: not a parameter", op="sysctl", path=key)
    if any(c in value for c in "\0\n\r"):
        raise InvalidArgument(f"sysctl {key!r}: a value is one line, not {value!r}", op="sysctl", path=key)
    name = ".".join(parts)
    if name in _OF_IPC or name.startswith("fs.mqueue."):
        _need("ipc", spaces, f'sysctl "{key}" is not allowed in the hosts ipc namespace', key)
    elif parts[0] == "net":
        _need("network", spaces, f'sysctl "{key}" not allowed in host network namespace', key)
    elif name == "kernel.domainname":
        _need("uts", spaces, f'sysctl "{key}" is not allowed in the hosts uts namespace', key)
    elif name == "kernel.hostname":
        raise InvalidArgument(f'sysctl "{key}" is not allowed as it conflicts with the OCI "hostname" field', path=key)
    else:
        needed = "user" if parts[0] == "user" else ""
        _need(needed, spaces, f'sysctl "{key}" is not in a separate kernel namespace', key)
    return "/".join(("sys", *parts))


def _parts(key: str) -> list[str]:
    """sysctl(8)'s two spellings: the first separator separates, the other one stands for itself (an interface eth0.1)."""
    dot, slash = key.find("."), key.find("/")
    if slash >= 0 and (dot < 0 or slash < dot):
        return key.split("/")
    return [part.replace("/", ".") for part in key.split(".")]


def _need(space: str, spaces: set[str], text: str, key: str) -> None:
    if space not in spaces:
        raise InvalidArgument(text, op="sysctl", path=key)
