"""The config for another runtime: what is Docker's or ours alone is worked out, the rest stays as it is.

Spec: OCI runtime-spec 1.2 config.md, config-linux.md.
"""

from __future__ import annotations

import errno
import os
import platform
import stat
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from berth.base.errors import NotFound, Unsupported
from berth.kernel import process as p
from berth.kernel.cgroups.devices import DEFAULT_RULES
from berth.kernel.files import openat2_in_root
from berth.kernel.seccomp.default import default_profile
from berth.oci.devices import HOST_ONLY
from berth.oci.places import split_words
from berth.oci.process import DEFAULT_PATH
from berth.oci.users import ResolvedUser

_ARCHITECTURES = {
    "x86_64": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"], "aarch64": ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
}  # fmt: skip


class Facts(NamedTuple):
    """What the config depends on beside itself. ``sources``: by a mount's index, where its source stands instead."""

    root: str
    netns: str
    cgroups_path: str
    user: ResolvedUser | None
    sources: Mapping[int, str]
    init_path: str = ""


def check(spec: Mapping[str, Any], name: str) -> None:
    """Raises: Unsupported: what only our own runtime does."""
    if any(n.get("type") == "user" for n in spec["linux"].get("namespaces") or ()):
        raise Unsupported(f"a container in a user namespace cannot be run by the runtime {name}: use berth")
    for mount in spec.get("mounts") or ():
        if {"shared", "rshared"} & set(mount.get("options") or ()):
            raise Unsupported(
                f"the mount at {mount['destination']} is shared, which the runtime {name} cannot have: use berth"
            )


def plain_config(spec: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
    """A new config; ``spec`` stays as it was."""
    linux = {k: v for k, v in spec["linux"].items() if k != "berthHostDevices"}
    process = plain_process(spec["process"], facts.user)
    mounts = [_mount(entry, facts.sources.get(at)) for at, entry in enumerate(spec.get("mounts") or ())]
    if facts.init_path:
        mounts.append({"destination": "/sbin/docker-init", "type": "bind", "source": facts.init_path,
                       "options": ["bind", "ro"]})  # fmt: skip
        process["args"] = ["/sbin/docker-init", "--", find_program(process, facts.root), *process["args"][1:]]
    linux["cgroupsPath"] = facts.cgroups_path
    linux["namespaces"] = [_space(entry, facts.netns) for entry in linux.get("namespaces") or ()]
    linux["resources"] = _resources(linux.get("resources") or {})
    linux["seccomp"] = _seccomp(linux.get("seccomp"), process.get("capabilities") or {})
    if spec["linux"].get("berthHostDevices"):
        linux["devices"] = [*_host_devices("/dev"), *(linux.get("devices") or ())]
    # 1.0.2: the oldest that has all that is said here; crun below 1.9 takes no other than 1.0
    made = {
        **spec,
        "ociVersion": "1.0.2",
        "process": process,
        "mounts": mounts,
        "root": {**spec["root"], "path": facts.root},
        "linux": linux,
    }
    if linux["seccomp"] is None:
        del linux["seccomp"]
    if not any(n.get("type") == "uts" for n in linux["namespaces"]):
        made.pop("hostname", None)  # the host's own: nobody's to set
        made.pop("domainname", None)
    return made


def plain_process(process: Mapping[str, Any], user: ResolvedUser | None) -> dict[str, Any]:
    """A process whose user is numbers. ``user``: None where they were numbers before.

    What this host does not let us have it cannot have: "all" is all that there are, as in our own runtime.
    """
    ours = p.capget()[1]
    made = dict(process)
    made["capabilities"] = {
        kind: [name for name in names if p.capability_mask([name]) & ours]
        for kind, names in (process.get("capabilities") or {}).items()
    }
    if user is not None:
        made["user"] = {"uid": user.uid, "gid": user.gid, "additionalGids": user.additional_gids}
        if not any(entry.startswith("HOME=") for entry in made.get("env") or ()):
            made["env"] = [*(made.get("env") or ()), f"HOME={user.home}"]
    return made


def find_program(process: Mapping[str, Any], root: str) -> str:
    """Where the program is, for the small init, which searches nothing. Raises: NotFound."""
    name = str(process["args"][0])
    if "/" in name:
        return name
    found = [e for e in process.get("env") or () if e.startswith("PATH=")]
    root_fd = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for folder in (found[-1] if found else DEFAULT_PATH).removeprefix("PATH=").split(":"):
            path = os.path.join(folder or "/", name)
            try:
                fd = openat2_in_root(root_fd, path, os.O_PATH)
            except OSError:
                continue
            mode = os.fstat(fd).st_mode
            os.close(fd)
            if stat.S_ISREG(mode) and mode & 0o111:
                return path
    finally:
        os.close(root_fd)
    raise NotFound(f'exec: "{name}": executable file not found in $PATH', op="execve", path=name, errno=errno.ENOENT)


def _mount(entry: Mapping[str, Any], source: str | None) -> dict[str, Any]:
    options, _ = split_words(tuple(entry.get("options") or ()))
    return {**entry, "options": list(options), **({"source": source} if source else {})}


def _space(entry: Mapping[str, Any], netns: str) -> dict[str, Any]:
    """A fresh network namespace is the parked init's: addresses and routes are in it."""
    if entry.get("type") == "network" and not entry.get("path"):
        return {"type": "network", "path": netns}
    return dict(entry)


def _resources(resources: Mapping[str, Any]) -> dict[str, Any]:
    """Deny all, what was asked for, the defaults: as our own groups have it."""
    rules: list[Mapping[str, Any]] = [{"allow": False, "access": "rwm"}, *(resources.get("devices") or ())]
    for rule in DEFAULT_RULES:
        numbers = {k: v for k, v in (("major", rule.major), ("minor", rule.minor)) if v >= 0}
        rules.append({"allow": True, "type": rule.kind, **numbers, "access": rule.access})
    return {**resources, "devices": rules}


def _seccomp(profile: Any, capabilities: Mapping[str, Sequence[str]]) -> Any:
    if profile == "default":
        profile = default_profile(frozenset(capabilities.get("bounding") or ()))
    if profile and not profile.get("architectures"):
        profile = {**profile, "architectures": _ARCHITECTURES.get(platform.machine(), [])}
    return profile or None


def _host_devices(folder: str) -> Iterator[dict[str, Any]]:
    """``--privileged``: every node of the host's /dev."""
    for entry in os.scandir(folder):
        info = entry.stat(follow_symlinks=False)
        if folder == "/dev" and entry.name in HOST_ONLY:
            continue
        if stat.S_ISDIR(info.st_mode):
            yield from _host_devices(entry.path)
        elif stat.S_ISBLK(info.st_mode) or stat.S_ISCHR(info.st_mode):
            yield {
                "path": entry.path, "type": "b" if stat.S_ISBLK(info.st_mode) else "c", "major": os.major(info.st_rdev),
                "minor": os.minor(info.st_rdev), "fileMode": stat.S_IMODE(info.st_mode), "uid": info.st_uid,
                "gid": info.st_gid,
            }  # fmt: skip
