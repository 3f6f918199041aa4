"""Snapshots: file systems of layers and containers, for overlayfs.

Owns ``<data-root>/snapshots``:

    snapshots/init/        empty mount targets (/proc, /dev/pts, /etc/hosts, ...): the lowest layer of every container,
                           so that a container needs no mount target made in its own layer
    snapshots/<n>/fs       a committed layer: only what this layer changed, whiteouts in overlayfs' form
    snapshots/<n>/{fs,work}   a container's writable layer: overlay's upper and work

A committed layer's key is its chain id (the digest of the whole stack up to it), a writable one's its container's id.
<n> is a short number, since the kernel's mount options end at a page. The row in ``snapshots`` comes last: a directory
without a row is half of something, and the next start takes it away.

    draft (a directory) → apply a layer's tar → commit (row) → lower directory of containers → swept by the collector
    prepare (two mkdirs; the row goes into the caller's transaction) → mounted → remove (rename to the trash)

    overlay.py      ``Snapshots``                 inflate.py  compressed streams, bounded, in a thread of their own
    init_layer.py   the mount targets             tar.py      the tar format: headers, PAX, GNU, sparse
    rows.py         the table                     source.py   bytes in order, counted
    apply.py        a tar onto a directory        tree.py     names inside the layer's root, never outside

Plain code for worker threads, but ``prepare``, ``rootfs`` and ``remove``, which are quick enough for an event loop.
"""
