"""What completion offers without asking the engine: values of flags, and what else a flag's value is.

A word that ends in ``=``, ``:`` or ``-`` is begun, not done: no blank follows it.
"""

from __future__ import annotations

import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_SIGNALS = sorted({number.name for number in signal.Signals} - {"SIGCLD", "SIGPOLL"})
SIGNALS = (*(name.removeprefix("SIG") for name in _SIGNALS), *_SIGNALS)
VALUES: dict[str, Sequence[str]] = {
    "attach": ("stderr", "stdin", "stdout"),
    "restart": ("always", "no", "on-failure", "unless-stopped"),
    "pull": ("always", "missing", "never"),
    "log-driver": ("json-file", "local", "none"),
    "log-opt": ("compress=", "env-regex=", "env=", "labels-regex=", "labels=", "max-buffer-size=", "max-file=", "max-size=",
                "mode=", "tag="),
    "cgroupns": ("host", "private"),
    "ipc": ("container:", "host", "none", "private", "shareable"),
    "pid": ("container:", "host"),
    "uts": ("host",),
    "userns": ("host",),
    "signal": SIGNALS,
    "stop-signal": SIGNALS,
    "format": ("json", "table"),
    "log-level": ("debug", "info", "warn", "error", "fatal"),
    "platform": ("linux/386", "linux/amd64", "linux/arm", "linux/arm/v5", "linux/arm/v6", "linux/arm/v7", "linux/arm64",
                 "linux/arm64/v8", "linux/ppc64le", "linux/riscv64", "linux/s390x"),
    "security-opt": ("apparmor=", "label=", "no-new-privileges", "seccomp=", "systempaths=unconfined"),
    "storage-opt": ("size=",),
    "ulimit": tuple(f"{name}=" for name in ("as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice",
                                            "nofile", "nproc", "rss", "rtprio", "rttime", "sigpending", "stack")),
    "detach-keys": ("ctrl-",),
    "volume-driver": ("local",),
    "mount": ("type=",),
}  # fmt: skip
"""A flag's name → its values."""
NOUNS = {"network": "networks", "net": "networks", "volumes-from": "containers", "link": "links", "context": "contexts",
         "volume": "volumes", "from": "contexts"}  # fmt: skip
"""A flag's name → the kind of thing that its value names."""
FILES = frozenset({"env-file", "label-file", "cidfile", "iidfile", "file", "input", "output", "tlscacert", "tlscert",
                   "tlskey", "config"})  # fmt: skip
"""Flags whose value is a file."""
EVENTS: dict[str, Sequence[str]] = {
    "container": "containers", "image": "images", "network": "networks", "volume": "volumes",
    "daemon": (), "label": (), "scope": ("local", "swarm"), "type": ("container", "daemon", "image", "network", "volume"),
    "event": (
        "attach", "commit", "connect", "copy", "create", "delete", "destroy", "detach", "die", "disconnect", "exec_create",
        "exec_detach", "exec_die", "exec_start", "export", "health_status", "import", "kill", "load", "mount", "oom",
        "pause", "prune", "pull", "push", "reload", "remove", "rename", "resize", "restart", "save", "start", "stop", "tag",
        "top", "unmount", "unpause", "untag", "update",
    ),
}  # fmt: skip
"""A key of ``events --filter`` → its values, or what they name."""
