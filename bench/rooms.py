"""A room: a command in its own network namespace (loopback only), and perhaps on a root filesystem of its own.

Both engines of the bench run in such a room. Bridges, NAT rules and published ports then cost what they cost on any
machine, but docker0 and its rules never appear beside the user's own, and nothing of them stays.

Run as a program: ``python -m bench.rooms [--root DIR] [--bind DIR]... -- COMMAND...``
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import os
import socket
import struct

CLONE_NEWNS, CLONE_NEWNET = 0x20000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 1 << 18
MNT_DETACH = 2
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def _mount(source: str, target: str, fstype: str | None, flags: int = 0, options: str | None = None) -> None:
    os.makedirs(target, exist_ok=True)
    _check(
        _libc.mount(
            source.encode(), target.encode(), fstype.encode() if fstype else None, ctypes.c_ulong(flags),
            options.encode() if options else None,
        ),
        f"mount {source} on {target}",
    )  # fmt: skip


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(sock, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))


def enter(root: str | None, binds: list[str]) -> None:
    """Make the namespaces and, with ``root``, pivot onto it; ``binds`` are seen at the same path inside."""
    _check(_libc.unshare(CLONE_NEWNS | CLONE_NEWNET), "unshare")
    _check(_libc.mount(None, b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None), "make / private")
    _loopback_up()
    base = root or ""
    if root:
        _mount(root, root, None, MS_BIND)
        for path in ("/proc", "/dev"):
            _mount(path, base + path, None, MS_BIND | MS_REC)
        for path in ("/run", "/tmp"):
            _mount("tmpfs", base + path, "tmpfs", 0, "mode=755")
        for path in binds:
            _mount(path, base + path, None, MS_BIND | MS_REC)
    # sysfs shows the links of the namespace it is mounted in
    _mount("/sys/fs/cgroup", "/mnt", None, MS_BIND | MS_REC)
    _mount("sysfs", base + "/sys", "sysfs")
    _mount("/mnt", base + "/sys/fs/cgroup", None, MS_BIND | MS_REC)
    _check(_libc.umount2(b"/mnt", MNT_DETACH), "umount /mnt")
    if root:
        os.chdir(root)
        _check(_libc.syscall(SYS_PIVOT_ROOT[os.uname().machine], b".", b"."), "pivot_root")
        _check(_libc.umount2(b".", MNT_DETACH), "umount the old root")
        os.chdir("/")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--root")
    parser.add_argument("--bind", action="append", default=[])
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()
    enter(args.root, args.bind)
    os.execvp(args.command[0], args.command)


if __name__ == "__main__":
    main()
