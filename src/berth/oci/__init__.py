"""The OCI runtime: from fork to execve.

    launch.py    the parent's side: park, create, start an init; exec another process
    init.py      the child's side: what pid 1 does until it becomes the container's program, one straight sequence
    stage.py     what is built before the container is known: /proc, /dev, /sys with their masks, ready to be moved
    rootfs.py    the root filesystem: overlay, mounts, masks, pivot_root
    process.py   the last steps: limits, terminal, user, capabilities, seccomp, execve
    users.py     USER text → numbers
    channel.py   frames with descriptors between parent and child
    program.py   ``berth-runtime``, with runc's command line; making.py, lives.py: what its verbs share

    parent (shim)                                init
      | fork: new pid namespace                    |
      |------------------------------------------->| join cgroups, unshare the rest, stage /proc /dev /sys
      |<------------- parked {} + netns, rtnl -----|
      | create {spec, rootfs} + stdio              |
      |------------------------------------------->| overlay, mounts, pivot_root, look the program up
      |<--- ready {warnings} + console  / error ---|
      | start {}                                   |
      |------------------------------------------->| limits, user, capabilities, seccomp, execve
      |<------------ end of stream / error --------|

Spec: OCI runtime-spec 1.2. Never: asyncio, threads, imports after the zygote has sealed them.
"""
