"""Which of a container's mounts come from outside of it: CRIU is told of them at the dump, and where they are at the restore.

A mount that shows a part of a filesystem whose whole is not mounted in the container (a bind from the host, the null device
over a masked file, a control group's directory) cannot be made anew by CRIU. Both ways its key is its place in the container.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from berth.kernel import cgroups, mountinfo
from berth.kernel.files import ensure_in_root
from berth.oci import mounts, namespaces
from berth.oci.stage import DEVICES

_CGROUP_TYPES = ("cgroup", "cgroup2")


def outside(pid: int, spec: Mapping[str, Any]) -> list[str]:
    """The places of what comes from outside. Raises: OSError, InvalidArgument."""
    entries = mounts.entries_of(spec)
    own_groups = "cgroup" in namespaces.kinds(spec)
    here = [m for m in mountinfo.read(pid) if m.place != "/"]
    whole = {m.device for m in here if m.root == "/"}
    found = []
    for mount in here:
        if mount.fstype in _CGROUP_TYPES and own_groups:
            continue  # its root is "/" for who is inside, and CRIU knows that
        if mount.device not in whole or _is_bound(mount.place, entries):
            found.append(mount.place)
    return found


def _is_bound(place: str, entries: Sequence[mounts.Entry]) -> bool:
    """Whether the config's entry that ``place`` belongs to is a bind."""
    for entry in sorted(entries, key=lambda e: len(e.place), reverse=True):
        own = entry.place.rstrip("/")
        if place == own or place.startswith(own + "/"):
            return entry.bind and (place == own or entry.recursive)
    return False


def sources(spec: Mapping[str, Any], group: cgroups.Cgroup) -> dict[str, str]:
    """What of the host stands at which place, by the config: more than was mounted does not hurt. Raises: OSError."""
    linux = spec.get("linux") or {}
    devices = (
        *(f"/dev/{name}" for name, _, _ in DEVICES),
        *(str(device["path"]) for device in linux.get("devices") or ()),
    )
    found = {path: path for path in devices}  # bound from the host where a user namespace may make none
    found.update(dict.fromkeys(map(str, linux.get("maskedPaths") or ()), "/dev/null"))
    for entry in mounts.entries_of(spec):
        if entry.bind:
            found.update(_of_bind(entry))
        elif entry.kind == "cgroup" and "cgroup" not in namespaces.kinds(spec):
            found.update({f"{entry.place}/{name}": path for name, path in _of_groups(group)})
    return found


def _of_bind(entry: mounts.Entry) -> Iterator[tuple[str, str]]:
    yield entry.place, entry.source
    if entry.recursive:
        below = entry.source.rstrip("/") + "/"
        for mount in mountinfo.read():
            if mount.place.startswith(below):
                yield f"{entry.place}/{mount.place.removeprefix(below)}", mount.place


def _of_groups(group: cgroups.Cgroup) -> Iterator[tuple[str, str]]:
    """A v1 hierarchy's directory below the container's /sys/fs/cgroup, and the group that it shows."""
    hierarchies = cgroups.detect()
    if hierarchies.version == 1:
        for key, where in hierarchies.mounts.items():
            yield key.removeprefix("name="), f"{where}{group.parent}/{group.name}"


def make_places(root_fd: int, spec: Mapping[str, Any]) -> None:
    """What the config mounts onto, where a root that came from elsewhere lacks it. Raises: OSError."""
    made: list[str] = []
    for entry in mounts.entries_of(spec):
        if not any(entry.place.startswith(place + "/") for place in made):  # else CRIU makes it, with what it lies in
            directory = not entry.bind or os.path.isdir(entry.source)
            os.close(ensure_in_root(root_fd, entry.place, directory=directory))
        if not entry.bind:
            made.append(entry.place.rstrip("/"))
