"""``spec [-b BUNDLE] [--rootless]``: a config.json to start from."""

from __future__ import annotations

import json
import os
from typing import Any

from berth.base.errors import AlreadyExists
from berth.oci.dispatch import Program
from berth.oci.flags import Flags, Options, exactly
from berth.oci.hooks import OCI_VERSION
from berth.oci.stage import STAGED

FLAGS = Flags(("bundle,b",), ("rootless",))
_CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
_MASKED = [
    "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
    "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
]  # fmt: skip
_READONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]


def run(program: Program, options: Options) -> int:
    exactly(options, "spec", 0)
    path = os.path.join(options.text("bundle") or ".", "config.json")
    spec = default_spec()
    if options.on("rootless"):
        _make_rootless(spec)
    try:
        with open(path, "x", encoding="utf-8") as file:
            json.dump(spec, file, indent="\t")
    except FileExistsError:
        raise AlreadyExists("File config.json exists. Remove it first") from None
    return 0


def default_spec() -> dict[str, Any]:
    """A shell on a terminal with few capabilities, in new namespaces of every kind but user and time."""
    return {
        "ociVersion": OCI_VERSION,
        "process": {
            "terminal": True, "user": {"uid": 0, "gid": 0}, "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"], "cwd": "/",
            "capabilities": {"bounding": _CAPABILITIES, "effective": _CAPABILITIES, "permitted": _CAPABILITIES},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}], "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "berth",
        "mounts": [{"destination": d, "type": t, "source": s, "options": list(o)} for d, t, s, o in STAGED.values()],
        "linux": {
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "namespaces": [{"type": t} for t in ("pid", "network", "ipc", "uts", "mount", "cgroup")],
            "maskedPaths": _MASKED, "readonlyPaths": _READONLY,
        },
    }  # fmt: skip


def _make_rootless(spec: dict[str, Any]) -> None:
    linux = spec["linux"]
    linux["namespaces"] = [n for n in linux["namespaces"] if n["type"] != "network"] + [{"type": "user"}]
    linux["uidMappings"] = [{"containerID": 0, "hostID": os.geteuid(), "size": 1}]
    linux["gidMappings"] = [{"containerID": 0, "hostID": os.getegid(), "size": 1}]
    del linux["resources"]
    spec["mounts"] = [m for m in spec["mounts"] if m["destination"] not in ("/sys", "/sys/fs/cgroup")]
    for mount in spec["mounts"]:
        mount["options"] = [o for o in mount["options"] if not o.startswith("gid=")]
    spec["mounts"].append({
        "destination": "/sys", "type": "none", "source": "/sys", "options": ["rbind", "nosuid", "noexec", "nodev", "ro"],
    })  # fmt: skip
