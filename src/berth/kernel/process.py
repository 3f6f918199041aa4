"""Processes: namespaces, clone3, prctl, capabilities, rlimits, descriptors."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import ctypes
import fcntl
import functools
import os
import resource
import signal
import socket
import struct
from collections.abc import Callable, Iterable
from typing import Any

from berth.kernel.libc import NR, call, syscall
from berth.spec.capabilities import ALL_CAPABILITIES

CLONE_NEWTIME = 0x00000080
CLONE_PARENT = 0x00008000
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_INTO_CGROUP = 0x200000000

NAMESPACE_FLAGS = {
    "mount": CLONE_NEWNS, "cgroup": CLONE_NEWCGROUP, "uts": CLONE_NEWUTS, "ipc": CLONE_NEWIPC, "user": CLONE_NEWUSER,
    "pid": CLONE_NEWPID, "network": CLONE_NEWNET, "time": CLONE_NEWTIME,
}  # fmt: skip

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_SET_NAME = 15
PR_SET_SECCOMP = 22
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
PR_CAP_AMBIENT_CLEAR_ALL = 4

_KEYCTL_JOIN_SESSION_KEYRING = 1
_CLOSE_RANGE_CLOEXEC = 4

_before_fork, _after_fork_in_child, _after_fork_in_parent = (
    ctypes.pythonapi.PyOS_BeforeFork, ctypes.pythonapi.PyOS_AfterFork_Child, ctypes.pythonapi.PyOS_AfterFork_Parent
)  # fmt: skip


def unshare(flags: int) -> None:
    syscall("unshare", flags)


def setns(fd: int, flags: int) -> None:
    """Join namespaces: of a namespace descriptor, or several at once of a pidfd (Linux 5.8)."""
    syscall("setns", fd, flags)


_raw_syscall = ctypes.PyDLL(None, use_errno=True).syscall  # keeps the GIL: this thread is the process
_raw_syscall.restype = ctypes.c_long


def fork(flags: int = 0, cgroup_fd: int = -1, *, for_parent: bool = False) -> int:
    """``os.fork`` with namespaces and a v2 cgroup for the child (clone3). Only for single-threaded processes.

    ``for_parent``: the child is our parent's, our sibling. Returns 0 in the child. Raises: OSError.
    """
    if not flags and cgroup_fd < 0 and not for_parent:
        return os.fork()
    if for_parent:
        flags |= CLONE_PARENT
    if cgroup_fd >= 0:
        flags |= CLONE_INTO_CGROUP
    exit_signal = 0 if for_parent else signal.SIGCHLD  # with CLONE_PARENT the kernel takes our own
    args = struct.pack("11Q", flags, 0, 0, 0, exit_signal, 0, 0, 0, 0, 0, max(cgroup_fd, 0))
    _before_fork()
    pid: int = _raw_syscall(NR["clone3"], args, len(args))
    number = ctypes.get_errno()
    if pid == 0:
        _after_fork_in_child()
        return 0
    _after_fork_in_parent()
    if pid < 0:
        raise OSError(number, os.strerror(number), "clone3")
    return pid


def prctl(option: int, arg2: int = 0, arg3: int = 0) -> int:
    return call("prctl", option, arg2, arg3, 0, 0)


def set_name(name: str) -> None:
    """The name that ps shows for this thread, at most 15 bytes."""
    call("prctl", PR_SET_NAME, name.encode()[:15])


def give_back_free_memory() -> None:
    """The C library's free pages to the kernel (glibc's malloc_trim; another C library keeps them)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def close_range_cloexec(first: int) -> None:
    """Mark every descriptor from ``first`` on close-on-exec."""
    syscall("close_range", ctypes.c_uint(first), ctypes.c_uint(0xFFFFFFFF), _CLOSE_RANGE_CLOEXEC)


def close_all_but(kept: Iterable[int]) -> None:
    """Close every descriptor but these and the three streams. Objects that still own one must never be finalised."""
    first = 3
    for fd in sorted({fd for fd in kept if fd > 2}):
        if fd > first:
            syscall("close_range", ctypes.c_uint(first), fd - 1, 0)
        first = fd + 1
    syscall("close_range", ctypes.c_uint(first), ctypes.c_uint(0xFFFFFFFF), 0)


def join_session_keyring(name: str) -> None:
    """A session keyring of the container's own: the host's keys are not reachable. Kernels without keys: nothing."""
    try:
        syscall("keyctl", _KEYCTL_JOIN_SESSION_KEYRING, name.encode(), 0, 0, 0)
    except OSError as err:
        if err.errno not in (38, 122, 95):  # ENOSYS, EDQUOT
            raise


_NUMBER_OF = {name: number for number, name in enumerate(ALL_CAPABILITIES)}


def capability_mask(names: Iterable[str]) -> int:
    mask = 0
    for name in names:
        mask |= 1 << _NUMBER_OF[name]
    return mask


@functools.cache
def last_capability() -> int:
    """The highest capability number that this kernel knows; a zygote asks before it forks."""
    try:
        with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
            return int(file.read())
    except OSError:
        return len(ALL_CAPABILITIES) - 1


_V3 = 0x20080522


def capget() -> tuple[int, int, int]:
    """(effective, permitted, inheritable) of this process."""
    header = ctypes.create_string_buffer(struct.pack("Ii", _V3, 0))
    data = ctypes.create_string_buffer(24)
    syscall("capget", header, data)
    e0, p0, i0, e1, p1, i1 = struct.unpack("6I", data.raw[:24])
    return e0 | e1 << 32, p0 | p1 << 32, i0 | i1 << 32


def capset(effective: int, permitted: int, inheritable: int) -> None:
    header = ctypes.create_string_buffer(struct.pack("Ii", _V3, 0))
    low = 0xFFFFFFFF
    data = struct.pack(
        "6I", effective & low, permitted & low, inheritable & low, effective >> 32, permitted >> 32, inheritable >> 32
    )
    syscall("capset", header, data)


def drop_bounding(keep: int, last: int) -> None:
    """Drop every capability outside ``keep`` from the bounding set."""
    for number in range(last + 1):
        if not keep >> number & 1:
            prctl(PR_CAPBSET_DROP, number)


SECCOMP_FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 1, "SECCOMP_FILTER_FLAG_LOG": 2, "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 4,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": 32,
}  # fmt: skip
SECCOMP_NEW_LISTENER = 8


def seccomp_set_filter(program: bytes, flags: int = 0) -> int:
    """Install a filter (struct sock_filter[]). After: no_new_privs or CAP_SYS_ADMIN.

    Returns the listener's descriptor with SECCOMP_NEW_LISTENER, else 0.
    """
    buffer = ctypes.create_string_buffer(program, len(program))
    fprog = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    return syscall("seccomp", 1, flags, fprog)


def rlimit_of(name: str) -> int:
    """Its number. Raises: ValueError (unknown name)."""
    which = getattr(resource, name, None)
    if which is None or not name.startswith("RLIMIT_"):
        raise ValueError(name)
    return int(which)


def clamp_rlimit(name: str, soft: int, hard: int) -> tuple[int, int, str | None]:
    """What of (soft, hard) this process may set, and a warning when it is less. Raises: ValueError (unknown name).

    Tried out by raising the hard limit, which the caller is about to set anyway; -1 and 2^64-1 are no limit.
    """
    which, infinity = rlimit_of(name), resource.RLIM_INFINITY
    soft = infinity if soft < 0 or soft >= (1 << 63) else soft
    hard = infinity if hard < 0 or hard >= (1 << 63) else hard
    now_soft, now_hard = resource.getrlimit(which)
    if now_hard == infinity or (hard != infinity and hard <= now_hard):
        return soft, hard, None
    try:
        resource.setrlimit(which, (now_soft, hard))
        return soft, hard, None
    except (ValueError, PermissionError):
        low = now_hard if soft == infinity or soft > now_hard else soft
        return (
            low,
            now_hard,
            f"{name} {soft}:{hard} was clamped to {low}:{now_hard}: this host does not allow to raise it",
        )


def set_rlimit(name: str, soft: int, hard: int) -> None:
    """Raises: OSError, ValueError."""
    resource.setrlimit(rlimit_of(name), (soft, hard))


def set_personality(domain: int) -> None:
    syscall("personality", ctypes.c_ulong(domain))


_IOPRIO_WHO_PROCESS = 1


def set_io_priority(kind: int, level: int) -> None:
    """``kind`` 1 real time, 2 best effort, 3 idle; ``level`` 0 to 7."""
    syscall("ioprio_set", _IOPRIO_WHO_PROCESS, 0, kind << 13 | level)


def sched_setattr(
    policy: int, flags: int, *, nice: int, priority: int, runtime_ns: int, deadline_ns: int, period_ns: int
) -> None:
    """struct sched_attr { u32 size, policy; u64 flags; s32 nice; u32 priority; u64 runtime, deadline, period; }"""
    attr = struct.pack("=IIQiIQQQ", 48, policy, flags, nice, priority, runtime_ns, deadline_ns, period_ns)
    syscall("sched_setattr", 0, attr, 0)


_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1


def loopback_up() -> None:
    """``lo`` of the current network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack_from("16sH", fcntl.ioctl(sock, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))


def set_hostname(name: str) -> None:
    raw = name.encode()
    call("sethostname", raw, len(raw))


def set_domainname(name: str) -> None:
    raw = name.encode()
    call("setdomainname", raw, len(raw))


_IGNORED = tuple(
    int(number) for number in (
        signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP, signal.SIGQUIT,
    )
)  # fmt: skip
_SIG_DFL = 0


def handle_signal(number: int, handler: Callable[[int, Any], object]) -> None:
    """``signal.signal`` without its enums, which cost a shim 60 kB of pages of its own."""
    _signal.signal(number, handler)


def reset_signals() -> None:
    """Default dispositions and an empty mask, as a program expects after execve: what Python and the zygote ignore."""
    for number in _IGNORED:
        _signal.signal(number, _SIG_DFL)
    _signal.pthread_sigmask(signal.SIG_SETMASK, ())


def send_fds(sock: socket.socket, payload: bytes, fds: Iterable[int]) -> None:
    socket.send_fds(sock, [payload], list(fds))
