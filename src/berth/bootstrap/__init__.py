"""Base images from a distribution's own package mirror: no registry, no root, no program of the host.

    sources.py   which archive serves a suite: --mirror, the host's apt sources, or the distribution's own
    fetch.py     files by http, https and file:, checked against the hash that the index names
    openpgp.py   the archive's signature, with the keys of a keyring file (RSA)
    release.py   InRelease → the suite's date, and its Packages by their hashes
    packages.py  Packages → ``Package``; Debian's order of versions
    resolve.py   which packages a variant has
    deb.py       a package's data as a stream of tar members
    tree.py      the first tree: every package unpacked, none configured, the packages beside them
    script.py    what runs in a container of the engine: dpkg installs the packages properly
    layer.py     the container's filesystem → one layer whose bytes depend on the packages alone
    build.py     all of it in order, against any engine's API

It belongs to the client's tower: everything but ``dpkg`` runs in the client, and ``dpkg`` runs in a container without a network,
so maintainer scripts see neither the host nor the mirror. The same packages give the same image: dates come from
``SOURCE_DATE_EPOCH``, else from the suite's Release file.
"""
