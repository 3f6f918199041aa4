"""Ids of files on the disk moved through an id map, where the kernel cannot show them so: ``--userns-remap`` without idmapped
mounts (Linux before 5.19, filesystems without FS_ALLOW_IDMAP).

    a layer              stays; a copy with the host's ids is made beside it once per map, and goes with it
    a writable layer     is moved in place before its container starts; ``<number>/ids`` says through which map

Moved with the owner: access control lists and the root of file capabilities. What the map lacks becomes nobody's, as an idmapped
mount shows it. Spec: capabilities(7) "Namespaced file capabilities", acl(5), user_namespaces(7).
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import struct
from collections.abc import Sequence
from typing import NamedTuple

from berth.snapshots.walk import walk

NOBODY = 65534
CAPABILITY = b"security.capability"
ACLS = (b"system.posix_acl_access", b"system.posix_acl_default")
_V2, _V3, _VERSION = 0x02000000, 0x03000000, 0xFF000000
_ACL_USER, _ACL_GROUP = 0x02, 0x08
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

Ranges = tuple[tuple[int, int, int], ...]
"""(container's first id, the host's, how many)."""


class Shift(NamedTuple):
    """An id map. ``back``: from the host's ids to the container's."""

    uid: Ranges
    gid: Ranges
    back: bool = False

    @property
    def name(self) -> str:
        """Of its copies' directories: the same for the same map."""
        return "ids-" + hashlib.sha256(self.text().encode()).hexdigest()[:16]

    @property
    def reverse(self) -> Shift:
        return self._replace(back=not self.back)

    def text(self) -> str:
        return json.dumps([self.uid, self.gid])

    def ranges(self, which: int) -> Ranges:
        """0: of users, 1: of groups."""
        return self.gid if which else self.uid

    def owner(self, uid: int, gid: int) -> tuple[int, int]:
        return _move(self.uid, uid, self.back), _move(self.gid, gid, self.back)

    def xattr(self, name: bytes, value: bytes) -> bytes:
        """An attribute as the other side has it."""
        if name == CAPABILITY:
            return self._capability(value)
        return self._acl(value) if name in ACLS else value

    def _capability(self, value: bytes) -> bytes:
        """Version 2 counts for the host's root, version 3 for the root of a user namespace, whose uid stands at its end."""
        if len(value) < 20:
            return value
        magic = int.from_bytes(value[:4], "little")
        root = int.from_bytes(value[20:24], "little") if magic & _VERSION == _V3 else 0
        moved = _move(self.uid, root, self.back)
        version, tail = (_V3, moved.to_bytes(4, "little")) if moved else (_V2, b"")
        return ((magic & ~_VERSION) | version).to_bytes(4, "little") + value[4:20] + tail

    def _acl(self, value: bytes) -> bytes:
        entries = []
        for tag, bits, number in struct.iter_unpack("<HHI", value[4 : len(value) - (len(value) - 4) % 8]):
            ranges = {_ACL_USER: self.uid, _ACL_GROUP: self.gid}.get(tag)
            entries.append(
                struct.pack("<HHI", tag, bits, number if ranges is None else _move(ranges, number, self.back))
            )
        return value[:4] + b"".join(entries)


def shift_of(text: str) -> Shift:
    """What ``Shift.text`` wrote. Raises: ValueError."""
    uid, gid = json.loads(text)
    return Shift(tuple((a, b, n) for a, b, n in uid), tuple((a, b, n) for a, b, n in gid))


def _move(ranges: Ranges, number: int, back: bool) -> int:
    for inside, outside, size in ranges:
        first, to = (outside, inside) if back else (inside, outside)
        if first <= number < first + size:
            return number - first + to
    return NOBODY


def move_ids(root: str, steps: Sequence[Shift]) -> None:
    """Give ``root`` and everything in it the owners that ``steps`` lead to, one after the other. Blocking.

    What a run that was cut short has moved is left as it is. Raises: OSError.
    """
    seen: set[int] = set()
    for node in walk([root], whiteouts=True):
        if node.status.st_nlink > 1 and not stat.S_ISDIR(node.status.st_mode):
            if node.status.st_ino in seen:
                continue
            seen.add(node.status.st_ino)
        _move_entry(node.base, node.parent_fd, node.status, steps)
    fd = os.open(os.path.dirname(root), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _move_entry(os.fsencode(os.path.basename(root)), fd, os.stat(root, follow_symlinks=False), steps)
    finally:
        os.close(fd)


def _move_entry(base: bytes, parent_fd: int, status: os.stat_result, steps: Sequence[Shift]) -> None:
    uid, gid = (_along(steps, which, n) for which, n in ((0, status.st_uid), (1, status.st_gid)))
    if (uid, gid) == (status.st_uid, status.st_gid):
        return
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        os.chown(base, uid, gid, dir_fd=parent_fd, follow_symlinks=False)
        return
    fd = os.open(base, _READ, dir_fd=parent_fd)
    try:
        attributes = {name: value for name in (CAPABILITY, *ACLS) if (value := _get(fd, name))}
        os.fchown(fd, uid, gid)
        os.fchmod(fd, stat.S_IMODE(status.st_mode))  # a change of owners takes the setuid bit away
        for name, value in attributes.items():
            for step in steps:
                value = step.xattr(name, value)
            os.setxattr(fd, name, value)
    finally:
        os.close(fd)


def _along(steps: Sequence[Shift], which: int, number: int) -> int:
    first, last = steps[0], steps[-1]
    if (
        _move(first.ranges(which), number, first.back) == NOBODY
        and _move(last.ranges(which), number, not last.back) != NOBODY
    ):
        return number
    for step in steps:
        number = _move(step.ranges(which), number, step.back)
    return number


def _get(fd: int, name: bytes) -> bytes:
    try:
        return os.getxattr(fd, name)
    except OSError as err:
        if err.errno in (errno.ENODATA, errno.ENOTSUP, errno.EOVERFLOW):
            return b""
        raise
