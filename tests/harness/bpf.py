"""Seccomp filters as the kernel runs them, read from a process, and put into a picture that two engines can be compared by."""

from __future__ import annotations

import ctypes
import os
import struct

ARCHES = {"x86_64": 0xC000003E, "x86": 0x40000003, "aarch64": 0xC00000B7}
X32_BIT = 0x40000000


def run_bpf(program: bytes, arch: int, number: int, args: tuple[int, ...] = (0,) * 6) -> int:
    """Classic BPF over struct seccomp_data (little endian). Returns the verdict (SECCOMP_RET_*)."""
    masked = (a & (1 << 64) - 1 for a in args)
    record = struct.pack("<IIQ6Q", number & 0xFFFFFFFF, arch, 0, *masked)
    code = [struct.unpack_from("=HBBI", program, i) for i in range(0, len(program), 8)]
    at = accumulator = 0
    while True:
        op, jt, jf, k = code[at]
        at += 1
        if op == 0x20:
            accumulator = struct.unpack_from("<I", record, k)[0]
        elif op == 0x54:
            accumulator &= k
        elif op == 0x05:
            at += k
        elif op in (0x15, 0x25, 0x35, 0x45):
            holds = {0x15: accumulator == k, 0x25: accumulator > k, 0x35: accumulator >= k, 0x45: accumulator & k}[op]
            at += jt if holds else jf
        elif op == 0x06:
            return k
        else:
            raise AssertionError(f"unknown instruction {op:#x}")


def picture(program: bytes, arch: str) -> dict[str, str]:
    """What a filter says on an architecture: a verdict for each call, and by first argument where that counts."""
    where, x86 = ARCHES[arch], arch == "x86"
    numbers = {"socket": 359 if x86 else 41, "personality": 136 if x86 else 135, "clone": 120 if x86 else 56}
    spaces = (0x80, 0x20000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
    values = {
        "socket": range(64),
        "personality": (0, 1, 8, 0x20000, 0x20008, 0x20010, 0xFFFFFFFF),
        "clone": (0, 0x11, 0x003D0F00, *spaces),
    }
    verdicts = {str(n): run_bpf(program, where, n) for n in range(500)}
    for name, firsts in values.items():
        for first in firsts:
            verdicts[f"{name} {first:#x}"] = run_bpf(program, where, numbers[name], (first, 0, 0, 0, 0, 0))
    return {case: f"{verdict:#010x}" for case, verdict in verdicts.items()}


def difference(base: dict[str, str], other: dict[str, str]) -> dict[str, str]:
    return {case: verdict for case, verdict in other.items() if base.get(case) != verdict}


_PTRACE_DETACH, _SEIZE, _INTERRUPT, _GET_FILTER, _WALL = 17, 0x4206, 0x4207, 0x420C, 0x40000000


def installed(pid: int) -> list[bytes]:
    """The filters of a process, the youngest first. Needs CAP_SYS_ADMIN and CONFIG_CHECKPOINT_RESTORE."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.restype = ctypes.c_long
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

    def ptrace(request: int, at: int = 0, target: object = None) -> int:
        return int(libc.ptrace(request, pid, at, target))

    if ptrace(_SEIZE) < 0 or ptrace(_INTERRUPT) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), f"ptrace {pid}")
    os.waitpid(pid, _WALL)
    found = []
    try:
        while (length := ptrace(_GET_FILTER, len(found))) > 0:
            code = ctypes.create_string_buffer(8 * length)
            ptrace(_GET_FILTER, len(found), code)
            found.append(code.raw)
    finally:
        ptrace(_PTRACE_DETACH)
    return found
