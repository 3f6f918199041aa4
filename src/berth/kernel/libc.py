"""The C library through ctypes: one handle, errno read where the call is made.

Integers and bytes are passed as they are: ctypes makes an int and a pointer of them, and each wrapped value costs a start.
"""

from __future__ import annotations

import ctypes
import os

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
for _name in ("fstatfs", "mount", "prctl", "sethostname", "umount2"):
    getattr(_libc, _name)  # looked up now: on first use each shim would do it for itself, by way of an exception

_MACHINE = os.uname().machine
_NUMBERS: dict[str, tuple[int, int]] = {  # name → (x86_64, aarch64)
    "pivot_root": (155, 41), "setns": (308, 268), "unshare": (272, 97), "capset": (126, 91), "capget": (125, 90),
    "keyctl": (250, 219), "seccomp": (317, 277), "bpf": (321, 280), "open_tree": (428, 428), "move_mount": (429, 429),
    "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "pidfd_open": (434, 434),
    "clone3": (435, 435), "close_range": (436, 436), "openat2": (437, 437), "mount_setattr": (442, 442),
    "quotactl_fd": (443, 443),
    "setfsuid": (122, 151), "setfsgid": (123, 152),
    "ioprio_set": (251, 30), "memfd_create": (319, 279), "personality": (135, 92), "sched_setattr": (314, 274),
    "execveat": (322, 281),
}  # fmt: skip
NR: dict[str, int] = {name: both[1 if _MACHINE == "aarch64" else 0] for name, both in _NUMBERS.items()}

Buffer = ctypes.Array[ctypes.c_char]


def raise_errno(what: str, path: str | bytes | None = None) -> None:
    """Raise the OSError of the call that just failed; its ``filename`` tells what it was done to."""
    number = ctypes.get_errno()
    text = os.fsdecode(path) if path is not None else what
    raise OSError(number, f"{os.strerror(number)} ({what})", text)


def syscall(name: str, *args: object) -> int:
    """Call by number; -1 becomes OSError."""
    result: int = _syscall(NR[name], *args)
    if result < 0:
        raise_errno(name)
    return result


def call(name: str, *args: object, path: str | bytes | None = None) -> int:
    """Call a libc function; -1 becomes OSError."""
    result: int = getattr(_libc, name)(*args)
    if result < 0:
        raise_errno(name, path)
    return result
