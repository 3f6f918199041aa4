"""File systems as tar: a whole root filesystem (``export``), or what one layer changed (a layer's blob).

    write_rootfs(roots, write)      the merged layers, top first, as overlayfs would show them
    write_layer(upper, write)       one overlay layer: whiteouts become .wh.NAME, opaque directories get .wh..wh..opq

Sockets are left out, as by Docker: no tar has them. Overlay's own attributes never leave.
Spec: OCI image-spec, layer.md.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence

from berth.base.errors import InvalidArgument
from berth.snapshots import tar
from berth.snapshots.shift import Shift
from berth.snapshots.tar import Member
from berth.snapshots.tar_write import TarWriter, Write
from berth.snapshots.tree import is_whiteout, show
from berth.snapshots.walk import Node, is_opaque, walk

WHITEOUT = b".wh."
OPAQUE_MARK = b".wh..wh..opq"
Owner = Callable[[int, int], tuple[int, int]]
_CHUNK = 1 << 20
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OWN_XATTRS = (b"user.", b"trusted.", b"security.capability", b"system.posix_acl_")
_OVERLAY_XATTRS = (b"trusted.overlay.", b"user.overlay.")
_CHANGED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL, errno.ENXIO)
_KINDS = {
    stat.S_IFREG: tar.REGULAR, stat.S_IFDIR: tar.DIRECTORY, stat.S_IFLNK: tar.SYMLINK, stat.S_IFCHR: tar.CHAR,
    stat.S_IFBLK: tar.BLOCK_DEVICE, stat.S_IFIFO: tar.FIFO,
}  # fmt: skip


def write_rootfs(roots: Sequence[str], write: Write, shift: Shift | None = None) -> None:
    """The merged file system of ``roots`` (top first). Blocking. Raises: OSError, and what ``write`` raises."""
    writer = shifted_writer(write, shift)
    for node in walk(roots):
        writer.add(node)
    writer.finish()


def write_layer(upper: str, write: Write, shift: Shift | None = None) -> None:
    """What the overlay layer ``upper`` changes, as a layer's tar. Blocking. ``shift``: what owners become in it.

    Raises: InvalidArgument for a file whose name a layer would read as a whiteout.
    """
    writer = shifted_writer(write, shift)
    for node in walk([upper], whiteouts=True):
        if node.base.startswith(WHITEOUT):
            raise InvalidArgument(f"{show(node.name)}: a layer cannot hold a name that begins with .wh.")
        if is_whiteout(node.status):
            writer.add_whiteout(node.name)
            continue
        writer.add(node)
        if stat.S_ISDIR(node.status.st_mode) and _opaque_at(node):
            writer.add_mark(node.name + b"/" + OPAQUE_MARK)
    writer.finish()


def _opaque_at(node: Node) -> bool:
    fd = os.open(node.base, _DIRECTORY, dir_fd=node.parent_fd)
    try:
        return is_opaque(fd)
    finally:
        os.close(fd)


class NodeWriter:
    """Nodes of a walk as members of a tar; names of one inode after its first as hard links.

    ``owner``: uid and gid as the file system shows them → as the archive is to have them; ``xattr``: attributes alike."""

    def __init__(
        self,
        write: Write,
        owner: Owner = lambda uid, gid: (uid, gid),
        xattr: Callable[[bytes, bytes], bytes] | None = None,
    ) -> None:
        self._tar = TarWriter(write)
        self._owner = owner
        self._xattr = xattr
        self._first_names: dict[tuple[int, int], bytes] = {}

    def add(self, node: Node) -> None:
        """A node; sockets, and what vanished or changed its kind meanwhile, are passed over."""
        kind = _KINDS.get(stat.S_IFMT(node.status.st_mode))
        if kind is None:
            return
        try:
            if kind == tar.REGULAR:
                self._add_file(node)
            else:
                self._add_other(node, kind)
        except OSError as err:
            if err.errno not in _CHANGED:
                raise

    def add_whiteout(self, name: bytes) -> None:
        directory, slash, base = name.rpartition(b"/")
        self.add_mark(directory + slash + WHITEOUT + base)

    def add_mark(self, name: bytes) -> None:
        self._tar.add(Member(name, b"", tar.REGULAR, 0, 0, 0, 0, 0, 0, 0, 0, None, None))

    def finish(self) -> None:
        self._tar.finish()

    def _add_file(self, node: Node) -> None:
        first = self._first_name(node)
        if first is not None:
            self._tar.add(self._member(node, tar.HARDLINK, linkname=first))
            return
        fd = os.open(node.base, _READ, dir_fd=node.parent_fd)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                return
            member = self._member(node._replace(status=status), tar.REGULAR, xattrs=self._xattrs(fd))
            self._tar.add(member, _content(fd, status.st_size))
        finally:
            os.close(fd)

    def _first_name(self, node: Node) -> bytes | None:
        if node.status.st_nlink < 2:
            return None
        key = (node.layer << 32 ^ node.status.st_dev, node.status.st_ino)
        first = self._first_names.setdefault(key, node.name)
        return None if first == node.name else first

    def _add_other(self, node: Node, kind: bytes) -> None:
        if kind == tar.SYMLINK:
            self._tar.add(self._member(node, kind, linkname=os.readlink(node.base, dir_fd=node.parent_fd)))
        elif kind == tar.DIRECTORY:
            fd = os.open(node.base, _DIRECTORY, dir_fd=node.parent_fd)
            try:
                self._tar.add(self._member(node, kind, xattrs=self._xattrs(fd)))
            finally:
                os.close(fd)
        else:
            self._tar.add(self._member(node, kind))

    def _xattrs(self, fd: int) -> dict[bytes, bytes] | None:
        found = read_xattrs(fd)
        if found and self._xattr is not None:
            return {name: self._xattr(name, value) for name, value in found.items()}
        return found

    def _member(
        self, node: Node, kind: bytes, *, linkname: bytes = b"", xattrs: dict[bytes, bytes] | None = None
    ) -> Member:
        status = node.status
        size = status.st_size if kind == tar.REGULAR else 0
        device = status.st_rdev if kind in (tar.CHAR, tar.BLOCK_DEVICE) else 0
        uid, gid = self._owner(status.st_uid, status.st_gid)
        return Member(
            node.name, linkname, kind, stat.S_IMODE(status.st_mode), uid, gid, size, size,
            status.st_mtime_ns, os.major(device), os.minor(device), xattrs, None,
        )  # fmt: skip


def shifted_writer(write: Write, shift: Shift | None) -> NodeWriter:
    return NodeWriter(write) if shift is None else NodeWriter(write, shift.owner, shift.xattr)


def read_xattrs(fd: int) -> dict[bytes, bytes] | None:
    try:
        names = [os.fsencode(name) for name in os.listxattr(fd)]
    except OSError:
        return None
    kept = [name for name in names if name.startswith(_OWN_XATTRS) and not name.startswith(_OVERLAY_XATTRS)]
    found = {}
    for name in kept:
        try:
            found[name] = os.getxattr(fd, name)
        except OSError:
            continue  # gone meanwhile
    return found or None


def _content(fd: int, size: int) -> Iterator[bytes]:
    at = 0
    while at < size and (piece := os.pread(fd, min(_CHUNK, size - at), at)):
        at += len(piece)
        yield piece
