"""Images: names, manifests, configs, history; reading what ``docker save`` and OCI tools write; the built-in hello-world.

An image's id is the digest of its config. Manifests and configs are kept byte for byte as blobs; the row says which.

    documents.py  manifests, indexes and configs: bytes → checked values      store.py    ``ImageStore``: names and images
    archive.py    a ``docker load`` stream → blobs and what to make of them   unpack.py   blobs → snapshots
    layouts.py    docker archives and OCI layouts: which image, which names   compose.py  a config made here (import, hello)
    hello.py      the hello-world image;  elf.py  the program in it           changes.py  ``--change`` of ``docker import``

Names are kept complete (``docker.io/library/busybox:latest``, ``docker.io/library/busybox@sha256:...``).
Plain code for worker threads; reading names and images is memory only.
"""
