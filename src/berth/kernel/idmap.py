"""User namespaces: writing their id maps, and one that only stands for a map (for idmapped mounts).

Spec: user_namespaces(7), mount_setattr(2) MOUNT_ATTR_IDMAP; OCI runtime-spec 1.2 config-linux.md "User namespace mappings".
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from berth.kernel import process as p

Mappings = Sequence[Mapping[str, Any]]
MAX_LINES = 340


def write_maps(pid: int, uid_mappings: Mappings, gid_mappings: Mappings) -> None:
    """Give the user namespace of ``pid`` its maps: written once, in one go. Raises: OSError naming the file."""
    for name, mappings in (("gid_map", gid_mappings), ("uid_map", uid_mappings)):
        if mappings:
            _write(f"/proc/{pid}/{name}", lines(mappings))


def lines(mappings: Mappings) -> str:
    """The kernel's text. Raises: OSError (more lines than the kernel takes)."""
    if len(mappings) > MAX_LINES:
        raise OSError(22, f"more than {MAX_LINES} id mappings", "uid_map")
    return "".join(f"{int(m['containerID'])} {int(m['hostID'])} {int(m['size'])}\n" for m in mappings)


def host_id(mappings: Mappings, inside: int) -> int:
    """The host's id of a container's. Raises: OSError when it has none."""
    for entry in mappings:
        first, size = int(entry["containerID"]), int(entry["size"])
        if first <= inside < first + size:
            return int(entry["hostID"]) + inside - first
    raise OSError(22, f"the id map has no {inside}")


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    except OSError as err:
        raise OSError(err.errno, err.strerror, path) from None
    finally:
        os.close(fd)


def namespace_for(uid_mappings: Mappings, gid_mappings: Mappings) -> int:
    """A descriptor of a user namespace with these maps and no process in it. Raises: OSError."""
    read, write = os.pipe()
    pid = p.fork(p.CLONE_NEWUSER)
    if pid == 0:
        os.close(write)
        os.read(read, 1)  # until the parent has what it came for
        os._exit(0)
    os.close(read)
    try:
        write_maps(pid, uid_mappings, gid_mappings)
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(write)
        os.waitpid(pid, 0)
