"""Device rules → the program that cgroup v2 asks at every open and mknod (BPF_PROG_TYPE_CGROUP_DEVICE).

    struct bpf_cgroup_dev_ctx { __u32 access_type (access << 16 | kind); __u32 major; __u32 minor; }
    r2 kind, r3 the access that no rule has decided yet, r4 major, r5 minor, r1 scratch; r0 the answer

Rules are looked at last first. Each one that fits the device decides its own kinds of access: a denial of any that is asked
for ends it, a grant takes its kinds off what is still asked for; nothing left is a yes, the end of the list is a no.
Spec: bpf(2), linux/bpf.h.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Sequence

from berth.kernel.cgroups.devices import DeviceRule
from berth.kernel.libc import syscall

_KINDS = {"b": 1, "c": 2}
_ACCESS = {"m": 1, "r": 2, "w": 4}
_LDX_W, _MOV_X, _MOV_K, _AND_K, _RSH_K, _JEQ_K, _JNE_K, _EXIT = 0x61, 0xBF, 0xB7, 0x57, 0x77, 0x15, 0x55, 0x95


def _insn(code: int, dst: int, src: int, off: int, imm: int) -> bytes:
    return struct.pack("=BBhi", code, src << 4 | dst, off, imm)


def program(rules: Sequence[DeviceRule]) -> bytes:
    """The instructions (struct bpf_insn[])."""
    code = [
        _insn(_LDX_W, 2, 1, 0, 0),
        _insn(_MOV_X, 3, 2, 0, 0),
        _insn(_AND_K, 2, 0, 0, 0xFFFF),
        _insn(_RSH_K, 3, 0, 0, 16),
        _insn(_LDX_W, 4, 1, 4, 0),
        _insn(_LDX_W, 5, 1, 8, 0),
    ]
    for rule in reversed(rules):
        code += _block(rule)
    return b"".join((*code, *_answer(0)))


def _block(rule: DeviceRule) -> list[bytes]:
    """One rule: on to the next where it does not fit or leaves something open."""
    mask = sum(_ACCESS[a] for a in set(rule.access))
    if rule.allow:
        then = [_insn(_AND_K, 3, 0, 0, ~mask & 7), _insn(_JNE_K, 3, 0, 2, 0), *_answer(1)]
    else:
        then = [_insn(_MOV_X, 1, 3, 0, 0), _insn(_AND_K, 1, 0, 0, mask), _insn(_JEQ_K, 1, 0, 2, 0), *_answer(0)]
    fits = [(2, _KINDS.get(rule.kind, -1)), (4, rule.major), (5, rule.minor)]
    tests = [(register, value) for register, value in fits if value >= 0]
    return [
        *(
            _insn(_JNE_K, register, 0, len(tests) - at - 1 + len(then), value)
            for at, (register, value) in enumerate(tests)
        ),
        *then,
    ]


def _answer(value: int) -> list[bytes]:
    return [_insn(_MOV_K, 0, 0, 0, value), _insn(_EXIT, 0, 0, 0, 0)]


_BPF_PROG_LOAD, _BPF_PROG_ATTACH, _BPF_PROG_DETACH, _BPF_PROG_GET_FD_BY_ID, _BPF_PROG_QUERY = 5, 8, 9, 13, 16
_PROG_TYPE_CGROUP_DEVICE = 15
_ATTACH_CGROUP_DEVICE = 6
_F_ALLOW_MULTI = 2
_MAX_PROGRAMS = 64


def load(code: bytes) -> int:
    """Load a device program; returns its descriptor. Raises: OSError."""
    insns = ctypes.create_string_buffer(code, len(code))
    licence = ctypes.create_string_buffer(b"Apache-2.0")
    return _bpf(_BPF_PROG_LOAD, struct.pack(
        "=IIQQIIQII", _PROG_TYPE_CGROUP_DEVICE, len(code) // 8, ctypes.addressof(insns), ctypes.addressof(licence),
        0, 0, 0, 0, 0,
    ))  # fmt: skip


def attach(directory: str, rules: Sequence[DeviceRule]) -> None:
    """Put the program of ``rules`` in the place of those that a v2 group has. Raises: OSError.

    Programs of one group and of its parents must all say yes, so the new one comes first and the old ones go after.
    """
    prog_fd = load(program(rules))
    try:
        cgroup_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            before = _attached(cgroup_fd)
            attr = struct.pack("=IIII", cgroup_fd, prog_fd, _ATTACH_CGROUP_DEVICE, _F_ALLOW_MULTI)
            _bpf(_BPF_PROG_ATTACH, attr)
            for ident in before:
                _detach(cgroup_fd, ident)
        finally:
            os.close(cgroup_fd)
    finally:
        os.close(prog_fd)


def _attached(cgroup_fd: int) -> list[int]:
    """Ids of the group's own device programs."""
    ids = (ctypes.c_uint32 * _MAX_PROGRAMS)()
    attr = ctypes.create_string_buffer(
        struct.pack("=IIIIQII", cgroup_fd, _ATTACH_CGROUP_DEVICE, 0, 0, ctypes.addressof(ids), _MAX_PROGRAMS, 0)
    )
    syscall("bpf", _BPF_PROG_QUERY, attr, 32)
    return list(ids[: struct.unpack_from("=I", attr.raw, 24)[0]])


def _detach(cgroup_fd: int, ident: int) -> None:
    fd = _bpf(_BPF_PROG_GET_FD_BY_ID, struct.pack("=III", ident, 0, 0))
    try:
        _bpf(_BPF_PROG_DETACH, struct.pack("=III", cgroup_fd, fd, _ATTACH_CGROUP_DEVICE))
    finally:
        os.close(fd)


def _bpf(command: int, attr: bytes) -> int:
    return syscall("bpf", command, attr, len(attr))
