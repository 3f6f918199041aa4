"""``features``: what this runtime can do, whatever this host can. Spec: runtime-spec 1.2 features.md, features-linux.md."""

from __future__ import annotations

import json

import berth
from berth.kernel.process import NAMESPACE_FLAGS, SECCOMP_FLAGS
from berth.oci.dispatch import Program
from berth.oci.flags import Flags, Options, exactly
from berth.oci.hooks import NAMES, OCI_VERSION
from berth.oci.mounts import known_options
from berth.spec.capabilities import ALL_CAPABILITIES

FLAGS = Flags()
_ACTIONS = ("KILL", "KILL_PROCESS", "KILL_THREAD", "TRAP", "ERRNO", "TRACE", "ALLOW", "LOG", "NOTIFY")
_OPERATORS = ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ")


def run(program: Program, options: Options) -> int:
    exactly(options, "features", 0)
    print(json.dumps({
        "ociVersionMin": "1.0.0", "ociVersionMax": OCI_VERSION, "hooks": list(NAMES), "mountOptions": list(known_options()),
        "linux": {
            "namespaces": sorted(NAMESPACE_FLAGS), "capabilities": list(ALL_CAPABILITIES),
            "cgroup": {"v1": True, "v2": True, "systemd": True, "systemdUser": False, "rdma": True},
            "seccomp": {
                "enabled": True, "actions": [f"SCMP_ACT_{a}" for a in _ACTIONS],
                "operators": [f"SCMP_CMP_{o}" for o in _OPERATORS],
                "archs": ["SCMP_ARCH_X86", "SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
                "knownFlags": list(SECCOMP_FLAGS), "supportedFlags": list(SECCOMP_FLAGS),
            },
            "apparmor": {"enabled": True}, "selinux": {"enabled": True}, "intelRdt": {"enabled": False},
            "mountExtensions": {"idmap": {"enabled": True}},
        },
        "annotations": {"io.github.berth.version": berth.__version__},
        "potentiallyUnsafeConfigAnnotations": [],
    }, indent=4))  # fmt: skip
    return 0
