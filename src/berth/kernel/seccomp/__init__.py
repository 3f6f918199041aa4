"""Seccomp: Docker's default profile by effect, and a compiler from OCI profiles to BPF.

    syscalls.py   numbers by name, an architecture each
    bpf.py        a small assembler with labels
    compiler.py   profile + capabilities → filter bytes
    default.py    the default profile, as a value

Spec: OCI runtime-spec 1.2 config-linux.md "Seccomp"; seccomp(2).
"""
