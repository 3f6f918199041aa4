"""Mounts that the parent opens for its init: what a process in a user namespace, or behind a slave of the host's tree, can't.

They travel as descriptors of detached mounts, in frames ``{"sources": [index, …]}`` before the request. ``ROOT`` is the root.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Any

from berth.base.errors import InvalidArgument, from_oserror
from berth.kernel import idmap
from berth.oci import channel, mounts
from berth.oci.document import Document
from berth.oci.namespaces import Spaces
from berth.spec.shim import OverlayRootfs

ROOT = -1
_A_FRAME = 24


def needed(config: Document, spaces: Spaces) -> bool:
    """Cheap: asked at every start."""
    if spaces.in_user_namespace:
        return True
    if not config.mentions(b"shared", b"berth.now", b"idmap", b"Mappings"):
        return False
    for entry in config.spec.get("mounts") or ():
        options = entry.get("options") or ()
        if (
            "rshared" in options
            or "shared" in options
            or "berth.now" in options
            or "idmap" in options
            or "ridmap" in options
        ):
            return True
        if entry.get("uidMappings") or entry.get("gidMappings"):
            return True
    return False


def hand_over(sock: socket.socket, spec: Mapping[str, Any], spaces: Spaces, rootfs: OverlayRootfs | None) -> None:
    """Open them and send them. Raises: the kind of what failed, naming the mount."""
    opened = _open_all(spec, spaces, rootfs)
    try:
        items = list(opened.items())
        for at in range(0, len(items), _A_FRAME):
            part = items[at : at + _A_FRAME]
            channel.send(sock, {"sources": [index for index, _ in part]}, [fd for _, fd in part])
    finally:
        for fd in opened.values():
            os.close(fd)


def _open_all(spec: Mapping[str, Any], spaces: Spaces, rootfs: OverlayRootfs | None) -> dict[int, int]:
    opened: dict[int, int] = {}
    try:
        if spaces.in_user_namespace:
            opened[ROOT] = _open_root(spec, rootfs)
        for index, entry in enumerate(mounts.entries_of(spec)):
            if not entry.bind:
                if entry.idmapped:
                    raise InvalidArgument(
                        f"id-mapped mounts are only supported for bind mounts: {entry.place}", op="mount"
                    )
                continue
            if "remount" in entry.options or not (
                spaces.in_user_namespace or entry.shared or entry.idmapped or entry.where.now
            ):
                continue
            opened[index] = _open_entry(entry, spec)
    except BaseException:
        for fd in opened.values():
            os.close(fd)
        raise
    return opened


def _open_root(spec: Mapping[str, Any], rootfs: OverlayRootfs | None) -> int:
    from berth.oci.rootfs import open_root

    return open_root(spec, rootfs)


def _open_entry(entry: mounts.Entry, spec: Mapping[str, Any]) -> int:
    userns_fd = _map_of(entry, spec) if entry.idmapped else -1
    try:
        return mounts.open_bind(entry, userns_fd=userns_fd)
    except OSError as err:
        text = f'error mounting "{entry.source}" to rootfs at "{entry.place}"'
        raise from_oserror(err, text, op="mount", path=entry.place) from err
    finally:
        if userns_fd >= 0:
            os.close(userns_fd)


def _map_of(entry: mounts.Entry, spec: Mapping[str, Any]) -> int:
    """A user namespace with the mount's own id map, or the container's."""
    linux = spec.get("linux") or {}
    uid = entry.uid_mappings or linux.get("uidMappings") or ()
    gid = entry.gid_mappings or linux.get("gidMappings") or ()
    if uid and gid:
        return idmap.namespace_for(uid, gid)
    for space in linux.get("namespaces") or ():
        if space.get("type") == "user" and space.get("path"):
            return os.open(space["path"], os.O_RDONLY | os.O_CLOEXEC)
    raise InvalidArgument(
        f"the mount at {entry.place} asks for an id map, but there is none", op="mount", path=entry.place
    )


def receive(sock: socket.socket) -> tuple[dict[str, Any], list[int], dict[int, int]]:
    """In init: the request, its descriptors, and the mounts that came before it, by index."""
    handed: dict[int, int] = {}
    message, fds = channel.receive(sock)
    while "sources" in message:
        handed.update(zip(message["sources"], fds, strict=True))
        message, fds = channel.receive(sock)
    return message, fds, handed
