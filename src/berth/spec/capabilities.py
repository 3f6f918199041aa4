"""Linux capabilities by name, Docker's default set, and how ``--cap-add``/``--cap-drop`` combine."""

from __future__ import annotations

from berth.base.errors import InvalidArgument

ALL_CAPABILITIES: tuple[str, ...] = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
    "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN",
    "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
)  # fmt: skip
"""By number: ``ALL_CAPABILITIES[n]`` is capability n (linux/capability.h)."""

DEFAULT_CAPABILITIES: tuple[str, ...] = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
    "CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL",
    "CAP_AUDIT_WRITE",
)  # fmt: skip

_KNOWN = frozenset(ALL_CAPABILITIES)


def normalise(names: list[str], option: str) -> list[str]:
    """Upper case with ``CAP_``; ``ALL`` stays. Raises: InvalidArgument naming the unknown one."""
    result = []
    for name in names:
        upper = name.upper()
        if upper == "ALL":
            result.append(upper)
            continue
        if not upper.startswith("CAP_"):
            upper = "CAP_" + upper
        if upper not in _KNOWN:
            raise InvalidArgument(f'invalid {option}: unknown capability: "{upper}"')
        result.append(upper)
    return result


def effective(add: list[str], drop: list[str], *, privileged: bool) -> list[str]:
    """The bounding, permitted and effective set of a container.

    With ``ALL`` added, everything but the dropped; with ``ALL`` dropped, only the added; else the defaults, changed.
    """
    add, drop = normalise(add, "CapAdd"), normalise(drop, "CapDrop")
    if privileged:
        return list(ALL_CAPABILITIES)
    if not add and not drop:
        return list(DEFAULT_CAPABILITIES)
    if "ALL" in add:
        return [c for c in ALL_CAPABILITIES if c not in drop]
    if "ALL" in drop:
        return [c for c in add if c != "ALL"]
    return [c for c in DEFAULT_CAPABILITIES if c not in drop] + [c for c in add if c not in DEFAULT_CAPABILITIES]
