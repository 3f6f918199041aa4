"""The init's part of the rehearsal: from its namespaces to the look at its program, for a container of the default config.

It is the real code on real mounts, in namespaces of its own that are left again: nothing of it is seen outside, and all of it
goes with them. What follows in an init (``process.become``) cannot be taken back, so it is not played.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

from berth.base.errors import BerthError
from berth.kernel import mount as m
from berth.kernel import process as p
from berth.kernel.cgroups import Hierarchies
from berth.oci import devices, labels, namespaces, rootfs, stage, sysctl, tuning
from berth.oci.init import StageDefaults, set_names
from berth.oci.process import prepare
from berth.spec.capabilities import DEFAULT_CAPABILITIES
from berth.spec.shim import OverlayRootfs

_SPACES = ("mnt", "uts", "ipc", "net", "cgroup")
_BOUND = ("etc/resolv.conf", "etc/hostname", "etc/hosts")


def play(folder: str, hierarchies: Hierarchies, defaults: StageDefaults, *, rounds: int) -> None:
    """A host that does not let us have a part of it is told by a real start.

    After: this process is where it was. Raises: OSError when there is no way back.
    """
    own = _where()
    root_fd, here_fd = (os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for path in ("/", "."))
    try:
        with contextlib.suppress(OSError, BerthError):
            namespaces.enter(namespaces.PARKED)
            m.mount("", "/", "", m.MS_SLAVE | m.MS_REC)
            p.loopback_up()
            for number in range(rounds):
                _play_apart(f"{folder}/init-{number}", hierarchies, defaults)
    finally:
        _back(own)
        os.fchdir(root_fd)  # the way back into a mount namespace leads to its root, which need not be ours
        os.chroot(".")
        os.fchdir(here_fd)
        os.close(root_fd)
        os.close(here_fd)


def _where() -> list[int]:
    return [os.open(f"/proc/self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in _SPACES]


def _back(spaces: list[int]) -> None:
    for fd in spaces:
        p.setns(fd, 0)
        os.close(fd)


def _play_apart(folder: str, hierarchies: Hierarchies, defaults: StageDefaults) -> None:
    """One round, in one more mount namespace: a root cannot be entered twice. The others are made once, for they are slow."""
    os.mkdir(folder, 0o700)
    apart = _where()
    try:
        namespaces.enter(namespaces.PARKED._replace(fresh=p.CLONE_NEWNS))
        _play(folder, hierarchies, defaults)
    finally:
        _back(apart)


def _play(folder: str, hierarchies: Hierarchies, defaults: StageDefaults) -> None:
    trees = stage.Stage(folder)
    trees.mount_base()
    trees.build(hierarchies, defaults.masked, defaults.readonly, own_network=True)
    spec = _spec(folder, defaults)
    process, linux = spec["process"], spec["linux"]
    usable = namespaces.correct(spec, os.getpid())
    tuning.plan(process, linux)
    if not (tuning.has_listener(linux) or labels.asked(process)):
        root_fd = rootfs.mount_root(trees, spec, _layers(folder))
        rootfs.make_late_readonly(rootfs.mount_all(trees, root_fd, spec, hierarchies, usable))
        devices.make_devices(root_fd, spec)
        set_names(spec)
        sysctl.write_all(trees.sysctls_left(spec, usable), linux["namespaces"])
        rootfs.enter_root(root_fd, spec)
        os.close(root_fd)
        prepare(process, linux, make_cwd=True)


def _layers(folder: str) -> OverlayRootfs:
    """An image of one program, on the stage's own filesystem."""
    lower = folder + "/lower"
    for name in ("", "/bin", "/dev", "/etc", "/proc", "/sys"):
        os.mkdir(lower + name, 0o755)
    for name in ("bin/true", *_BOUND):
        os.close(os.open(f"{lower}/{name}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o755))
    for name in ("upper", "work"):
        os.mkdir(f"{folder}/{name}", 0o755)
    return {"lower": [lower], "upper": folder + "/upper", "work": folder + "/work", "volatile": True, "shifted": False}


def _spec(folder: str, defaults: StageDefaults) -> dict[str, Any]:
    """As the engine writes it for a container with a network and no other wishes."""
    return {
        "process": {
            "args": ["true"], "cwd": "/", "env": ["PATH=/sbin:/bin", "HOSTNAME=x"], "rlimits": [],
            "user": {"uid": 0, "gid": 0, "username": "", "additionalGroups": []}, "noNewPrivileges": False,
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), DEFAULT_CAPABILITIES),
        },
        "root": {"path": "", "readonly": False},
        "hostname": "x",
        "mounts": [
            *({"destination": d, "type": t, "source": s, "options": list(o)} for d, t, s, o in stage.STAGED.values()),
            *({"destination": "/" + name, "type": "bind", "source": f"{folder}/lower/{name}",
               "options": ["rbind", "rprivate"]} for name in _BOUND),
        ],
        "linux": {
            "namespaces": [{"type": kind} for kind in ("mount", "uts", "network", "ipc", "pid", "cgroup")],
            "sysctl": stage.SYSCTLS, "seccomp": "default", "resources": {},
            "maskedPaths": list(defaults.masked), "readonlyPaths": list(defaults.readonly),
        },
    }  # fmt: skip
