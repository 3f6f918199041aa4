"""A small assembler for classic BPF: instructions with labels, resolved to bytes.

struct sock_filter { __u16 code; __u8 jt, jf; __u32 k; }   (linux/filter.h)

Conditional jumps reach 255 instructions only, so every test is a pair: ``jcond 0, 1`` and an unconditional ``ja`` with its
32-bit distance. The kernel's own action cache makes the length of the allow path irrelevant.
"""

from __future__ import annotations

import struct

LD_ABS = 0x20  # BPF_LD | BPF_W | BPF_ABS
AND = 0x54  # BPF_ALU | BPF_AND | BPF_K
JA = 0x05
JEQ = 0x15
JGT = 0x25
JGE = 0x35
RET = 0x06

MAX_INSTRUCTIONS = 4096


class Assembler:
    def __init__(self) -> None:
        self._code: list[tuple[int, int, int, int | str]] = []
        self._labels: dict[str, int] = {}
        self._fresh = 0

    def new_label(self) -> str:
        self._fresh += 1
        return f"L{self._fresh}"

    def label(self, name: str) -> None:
        """``name`` stands for the next instruction."""
        self._labels[name] = len(self._code)

    def load(self, offset: int) -> None:
        """The 32-bit word at ``offset`` of struct seccomp_data into the accumulator."""
        self._code.append((LD_ABS, 0, 0, offset))

    def and_(self, mask: int) -> None:
        self._code.append((AND, 0, 0, mask))

    def ret(self, value: int) -> None:
        self._code.append((RET, 0, 0, value))

    def goto(self, label: str) -> None:
        self._code.append((JA, 0, 0, label))

    def if_(self, test: int, k: int, then: str) -> None:
        """Go to ``then`` when the accumulator passes ``test`` against ``k``, else on."""
        self._code.append((test, 0, 1, k))
        self._code.append((JA, 0, 0, then))

    def unless(self, test: int, k: int, then: str) -> None:
        """Go to ``then`` when the test fails, else on."""
        self._code.append((test, 1, 0, k))
        self._code.append((JA, 0, 0, then))

    def assemble(self) -> bytes:
        """The filter. Raises: ValueError when it is longer than the kernel takes."""
        if len(self._code) > MAX_INSTRUCTIONS:
            raise ValueError(
                f"the seccomp filter has {len(self._code)} instructions, the kernel takes {MAX_INSTRUCTIONS}"
            )
        out = []
        for at, (code, jt, jf, k) in enumerate(self._code):
            value = self._labels[k] - at - 1 if isinstance(k, str) else k
            out.append(struct.pack("=HBBI", code, jt, jf, value))
        return b"".join(out)
