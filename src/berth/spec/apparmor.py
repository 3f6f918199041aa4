"""The AppArmor profile of containers that name none, in apparmor_parser's language: it has the effect of Docker's docker-default.

Spec: apparmor.d(5).
"""

from __future__ import annotations

DEFAULT_PROFILE = "docker-default"

_EVERYTHING = "network capability file umount".split()
_NO_WRITE = (
    "@{PROC}/*",
    "@{PROC}/{[^1-9],[^1-9][^0-9],[^1-9s][^0-9y][^0-9s],[^1-9][^0-9][^0-9][^0-9/]*}/**",  # but processes' own, and sys
    "@{PROC}/sys/[^k]**",
    "@{PROC}/sys/kernel/{?,??,[^s][^h][^m]**}",  # but shm*
)
_NO_CHANGE = tuple(
    f"/sys/{name}/**" for name in ("[^f]*", "f[^s]*", "fs/[^c]*", "fs/c[^g]*", "fs/cg[^r]*")
)  # but cgroup
_NOTHING = (
    "@{PROC}/sysrq-trigger", "@{PROC}/kcore", "/sys/firmware/**", "/sys/devices/virtual/powercap/**",
    "/sys/kernel/security/**",
)  # fmt: skip
_RUNTIMES = ("unconfined", "runc", "crun")


def profile_text(name: str, *, engine: str = "unconfined", tunables: bool = True, base: bool = True) -> str:
    """``engine``: the profile that the engine itself runs under, whose signals reach the container.

    ``tunables``, ``base``: whether the host has ``tunables/global`` and ``abstractions/base`` to include.
    """
    rules = ["#include <abstractions/base>"] if base else []
    rules += [f"{word}," for word in _EVERYTHING]
    rules += [f"signal (receive) peer={_quoted(peer)}," for peer in dict.fromkeys((*_RUNTIMES, engine))]
    rules += [f"signal (send,receive) peer={name},", f"ptrace (trace,read,tracedby,readby) peer={name},", "deny mount,"]
    for places, access in ((_NO_WRITE, "w"), (_NO_CHANGE, "wklx"), (_NOTHING, "rwklx")):
        rules += [f"deny {place} {access}," for place in places]
    head = "#include <tunables/global>" if tunables else "@{PROC}=/proc/"
    body = "".join(f"  {rule}\n" for rule in rules)
    return f"{head}\n\nprofile {name} flags=(attach_disconnected,mediate_deleted) {{\n{body}}}\n"


def _quoted(peer: str) -> str:
    return f'"{peer}"' if not peer.replace("-", "").replace("_", "").isalnum() else peer
