"""Where a bind's source lies, beside a path of the host's: in another mount namespace, below a path, in an image's layers.

Words of our own among a mount's options (the engine writes them; none is the OCI's):

    berth.mntns=PATH     look the source up, and take the mount, in that mount namespace: /dev/shm of another container
    berth.subpath=PATH   only what is below this path, resolved inside the source: no link of a volume's leads out of it
                         (CVE-2017-1002101, CVE-2021-25741 are this class)
    berth.now            opened by the parent, which sees what is mounted now: init was born some time ago, and mounts made
                         since then reach it only where the host's are shared
    berth.layer=PATH     a layer of an image, top first; all of them together are the source
"""

from __future__ import annotations

import os
from typing import NamedTuple

from berth.kernel import idmapped_overlay
from berth.kernel import mount as m
from berth.kernel import process as p
from berth.kernel.files import openat2_in_root

_WORD = "berth."


class Place(NamedTuple):
    """What the words say; all empty for a plain path."""

    mntns: str = ""
    subpath: str = ""
    layers: tuple[str, ...] = ()
    now: bool = False


def split_words(options: tuple[str, ...]) -> tuple[tuple[str, ...], Place]:
    """(the OCI's options, ours)."""
    ours = [o[len(_WORD) :].partition("=")[::2] for o in options if o.startswith(_WORD)]
    if not ours:
        return options, Place()
    single = dict(ours)
    layers = tuple(value for key, value in ours if key == "layer")
    plain = tuple(o for o in options if not o.startswith(_WORD))
    return plain, Place(single.get("mntns", ""), single.get("subpath", ""), layers, "now" in single)


def open_place(source: str, place: Place, *, recursive: bool, userns_fd: int = -1) -> int:
    """The source as a detached mount. ``userns_fd``: the map that layers are to be seen through. Raises: OSError."""
    flags = m.OPEN_TREE_CLONE | (m.AT_RECURSIVE if recursive else 0)
    if place.layers:
        return _open_layers(place, userns_fd)
    if not place.mntns:
        return _open(source, place.subpath, flags)
    own_fd = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    their_fd = -1
    try:
        their_fd = os.open(place.mntns, os.O_RDONLY | os.O_CLOEXEC)
        p.setns(their_fd, p.CLONE_NEWNS)
        try:
            return _open(source, place.subpath, flags)
        finally:
            p.setns(own_fd, p.CLONE_NEWNS)
    finally:
        os.close(own_fd)
        if their_fd >= 0:
            os.close(their_fd)


def _open(source: str, subpath: str, flags: int) -> int:
    if not subpath:
        return m.open_tree(m.AT_FDCWD, source, flags)
    base_fd = os.open(source, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return _open_below(base_fd, subpath, flags)
    finally:
        os.close(base_fd)


def _open_below(base_fd: int, subpath: str, flags: int) -> int:
    fd = openat2_in_root(base_fd, subpath, os.O_PATH)
    try:
        return m.open_tree(fd, "", flags | m.AT_EMPTY_PATH)
    finally:
        os.close(fd)


def _open_layers(place: Place, userns_fd: int) -> int:
    if userns_fd < 0:
        fd = m.overlay_readonly(place.layers)
    else:
        fd = idmapped_overlay.overlay_readonly(place.layers, userns_fd)
    if not place.subpath:
        return fd
    # a part of a mount that stands nowhere can be taken since Linux 6.15 only: let it stand over its own top layer
    over_fd = os.open(place.layers[0], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    m.move_mount(fd, over_fd)
    os.close(over_fd)
    try:
        return _open_below(fd, place.subpath, m.OPEN_TREE_CLONE)
    finally:
        os.close(fd)
        m.umount2(place.layers[0], m.MNT_DETACH)
