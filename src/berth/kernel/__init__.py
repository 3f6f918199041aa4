"""Linux as plain functions: each thin function is named as the system call it makes and raises OSError with its errno.

    libc.py        the one CDLL, errno read where the call is made
    mount.py       mount(2), the new mount API, overlay, pivot_root
    process.py     namespaces, clone3 into a cgroup, prctl, capabilities, rlimits, pidfds, descriptors
    files.py       openat2 inside a root, checks of what was opened
    tty.py         terminals
    cgroups/       v1, v2 and hybrid behind one contract
    seccomp/       profiles to BPF
    netlink/ nft/  the network

Never: policy. What the engine wants is decided above; here is only how the kernel is asked.
"""
