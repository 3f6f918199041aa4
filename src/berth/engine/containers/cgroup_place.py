"""Where a container's control group is: below a path with the cgroupfs driver, a scope of a slice with systemd's."""

from __future__ import annotations

from berth.base.errors import InvalidArgument
from berth.engine.containers.deps import Settings
from berth.engine.containers.record import ContainerRow
from berth.spec.shim import CgroupPlace


def cgroup_place(settings: Settings, row: ContainerRow) -> CgroupPlace:
    asked = str(row.host_config.get("CgroupParent") or "")
    if settings.systemd_slice:
        name = f"berth-{settings.instance_id}-{row.id}"
        return {"parent": asked or settings.systemd_slice, "name": name, "systemd": True}
    return {"parent": asked or settings.cgroup_parent, "name": row.id, "systemd": False}


def check_parent(settings: Settings, parent: str) -> None:
    """Raises: InvalidArgument in Docker's words."""
    if settings.systemd_slice and parent and not is_slice(parent):
        raise InvalidArgument('cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"')


def is_slice(name: str) -> bool:
    stem, dot, rest = name.rpartition(".slice")
    return bool(dot) and not rest and "/" not in stem and all(stem.split("-"))
