"""Applying a layer: its tar onto an empty directory, in the form that overlayfs reads.

    .wh.NAME            becomes a character device 0:0 called NAME
    .wh..wh..opq        makes its directory opaque (trusted.overlay.opaque=y)
    other .wh..wh.*     is AUFS's own bookkeeping: passed over

A whiteout only speaks of the layers below: an entry of the same layer and name stays, and where both are a directory, it is
opaque. Later entries replace earlier ones, but directories merge. Owners before modes (chown clears set-id bits), then
attributes (chown clears capabilities), then times; times of directories at the end, since entries inside change them.

What a layer may not do: name anything outside of itself, be larger than ``Limits``, set overlayfs' own attributes, or
contradict itself. It is refused whole then, with the reason; the caller throws the directory away.
Spec: OCI image-spec, layer.md.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from typing import NamedTuple

from berth.base.errors import BerthError, InvalidArgument, TooLarge, from_oserror
from berth.snapshots import tar
from berth.snapshots.inflate import Inflated, Readable
from berth.snapshots.source import Source
from berth.snapshots.tar import Member
from berth.snapshots.tree import OPAQUE, Tree, clean, is_whiteout, show

_MAX_ID = (1 << 32) - 2
_MAX_NS = (1 << 63) - 1
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_WHITEOUT = b".wh."
_AUFS = b".wh..wh."
_OPAQUE_MARK = b".wh..wh..opq"
_REPORT_EVERY = 512 << 10

Report = Callable[[int], None]
"""Is told how many bytes of the (compressed) layer were worked off."""


class Limits(NamedTuple):
    """What one layer may be at most. Units: bytes, once inflated; entries."""

    max_bytes: int = 256 << 30
    max_entries: int = 10_000_000


class Applied(NamedTuple):
    """``size``: bytes of all regular files and symbolic links, as Docker counts. ``diff_id``: the digest of the tar.

    ``implied``: directories without an entry of their own, whose looks are those of the layers below (``dress_implied``);
    ``rooted``: the root has an entry."""

    diff_id: str
    size: int
    entries: int
    implied: tuple[bytes, ...] = ()
    rooted: bool = False


def apply_layer(
    raw: Readable, root: str, *, flat: bool = False, limits: Limits = Limits(), report: Report | None = None
) -> Applied:
    """Unpack the layer ``raw`` (compressed or not) into the empty directory ``root``; blocking.

    ``flat``: ``root`` is a copy of the layers below, and what the layer takes away is taken away from it.
    Raises: InvalidArgument for a layer that is broken or hostile, TooLarge, ResourceExhausted for a full disk.
    """
    inflated = Inflated(raw, limits.max_bytes)
    try:
        source = Source(inflated.chunk)
        writer = (_FlatWriter if flat else Writer)(Tree(root), source, limits)
        try:
            reported = 0
            for member in tar.read_members(source):
                writer.write(member)
                if report is not None and inflated.consumed - reported >= _REPORT_EVERY:
                    reported = inflated.consumed
                    report(reported)
            writer.finish()
        finally:
            writer.close()
        source.drain()
        return Applied(inflated.digest(), writer.size, writer.entries, writer.implied(), writer.rooted)
    except OSError as err:
        raise from_oserror(err, "unpack a layer") from err
    finally:
        inflated.close()


class Writer:
    """Members of a tar onto a tree, one after the other."""

    def __init__(self, tree: Tree, source: Source, limits: Limits) -> None:
        self._tree = tree
        self._source = source
        self._limits = limits
        self._times: dict[bytes, int] = {}
        self.size = 0
        self.entries = 0
        self.rooted = False

    def implied(self) -> tuple[bytes, ...]:
        return tuple(sorted(self._tree.implied))

    def close(self) -> None:
        self._tree.close()

    def write(self, member: Member) -> None:
        """One member. Raises: InvalidArgument, naming it."""
        self.entries += 1
        if self.entries > self._limits.max_entries:
            raise TooLarge(f"layer has more than {self._limits.max_entries} entries")
        try:
            self._write(member)
        except BerthError as err:
            raise type(err)(f"layer entry {show(member.name)}: {err.message}", op=err.op, errno=err.errno) from err
        except OSError as err:
            if err.errno in (errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP, errno.ENOTDIR, errno.ENOENT):
                text = os.strerror(err.errno).lower()
                raise InvalidArgument(f"layer entry {show(member.name)}: {text}", errno=err.errno) from err
            raise

    def finish(self) -> None:
        """Times of directories, last."""
        for name, mtime_ns in self._times.items():
            try:
                fd = self._tree.directory(name, make=False)
            except (OSError, InvalidArgument):
                continue  # a later entry put something else in its place
            os.utime(fd, ns=(mtime_ns, mtime_ns))

    def _write(self, member: Member) -> None:
        name = clean(member.name)
        if member.uid > _MAX_ID or member.gid > _MAX_ID:
            raise InvalidArgument(f"owner {member.uid}:{member.gid} is beyond 32 bits")
        if not name:
            self._write_root(member)
            return
        fd, base = self._tree.parent(name)
        if base.startswith(_WHITEOUT):
            self._write_whiteout(fd, base, name)
            return
        self._note(name)
        self._put(fd, base, name, member)

    def _put(self, fd: int, base: bytes, name: bytes, member: Member) -> None:
        """What ``member`` describes, as ``base`` in the directory ``fd``; ``name`` is its whole cleaned name."""
        if member.type == tar.REGULAR:
            self._write_file(fd, base, member)
        elif member.type == tar.DIRECTORY:
            self._write_directory(fd, base, name, member)
        elif member.type == tar.SYMLINK:
            self._write_symlink(fd, base, member)
        elif member.type == tar.HARDLINK:
            self._write_hardlink(name, member)
        else:
            self._write_special(fd, base, member)

    def _write_root(self, member: Member) -> None:
        if member.type != tar.DIRECTORY:
            raise InvalidArgument("the layer's root is not a directory")
        self._dress(self._tree.root_fd, member)
        self.rooted = True
        self._times[b""] = _bound_time(member.mtime_ns)

    def _write_file(self, fd: int, base: bytes, member: Member) -> None:
        self.size += member.size
        if self.size > self._limits.max_bytes:
            raise TooLarge(f"layer is larger than {self._limits.max_bytes} bytes")
        try:
            file = os.open(base, _NEW_FILE, 0o600, dir_fd=fd)
        except FileExistsError:
            self._tree.remove(fd, base)
            file = os.open(base, _NEW_FILE, 0o600, dir_fd=fd)
        try:
            if member.extents is not None:
                self._fill_sparse(file, member)
            elif member.stored:
                for piece in self._source.pieces(member.stored):
                    _write_all(file, piece)
            self._dress(file, member)
            mtime_ns = _bound_time(member.mtime_ns)
            os.utime(file, ns=(mtime_ns, mtime_ns))
        finally:
            os.close(file)

    def _fill_sparse(self, file: int, member: Member) -> None:
        os.ftruncate(file, member.size)
        for offset, length in member.extents or ():
            os.lseek(file, offset, os.SEEK_SET)
            for piece in self._source.pieces(length):
                _write_all(file, piece)

    def _write_directory(self, fd: int, base: bytes, name: bytes, member: Member) -> None:
        self._tree.make_directory(fd, base)
        made = os.open(base, _DIRECTORY, dir_fd=fd)
        try:
            self._undress(made)
            self._dress(made, member)
        finally:
            os.close(made)
        self._times[name] = _bound_time(member.mtime_ns)
        self._tree.implied.discard(name)

    def _write_symlink(self, fd: int, base: bytes, member: Member) -> None:
        if not member.linkname:
            raise InvalidArgument("a symbolic link to nothing")
        self.size += len(member.linkname)
        self._place(fd, base, lambda: os.symlink(member.linkname, base, dir_fd=fd))
        os.chown(base, member.uid, member.gid, dir_fd=fd, follow_symlinks=False)
        mtime_ns = _bound_time(member.mtime_ns)
        os.utime(base, ns=(mtime_ns, mtime_ns), dir_fd=fd, follow_symlinks=False)

    def _write_hardlink(self, name: bytes, member: Member) -> None:
        target = clean(member.linkname)
        if not target:
            raise InvalidArgument("a hard link to the layer's root")
        if target == name:
            raise InvalidArgument("a hard link to itself")
        try:
            opened, target_base = self._tree.parent(target, make=False)
            status = os.stat(target_base, dir_fd=opened, follow_symlinks=False)
        except FileNotFoundError:
            raise InvalidArgument(f"a hard link to {show(target)}, which the archive does not have") from None
        if stat.S_ISDIR(status.st_mode) or is_whiteout(status):
            raise InvalidArgument(f"a hard link to {show(target)}, which is no file")
        target_fd = os.dup(opened)  # the walk to the other end may close it
        try:
            fd, base = self._tree.parent(name)
            self._place(
                fd, base,
                lambda: os.link(target_base, base, src_dir_fd=target_fd, dst_dir_fd=fd, follow_symlinks=False),
            )  # fmt: skip
        finally:
            os.close(target_fd)

    def _write_special(self, fd: int, base: bytes, member: Member) -> None:
        kind = {tar.CHAR: stat.S_IFCHR, tar.BLOCK_DEVICE: stat.S_IFBLK, tar.FIFO: stat.S_IFIFO}[member.type]
        if member.major >= 1 << 12 or member.minor >= 1 << 20:
            raise InvalidArgument(f"device {member.major}:{member.minor} is beyond the kernel's numbers")
        device = os.makedev(member.major, member.minor)
        self._place(fd, base, lambda: os.mknod(base, kind | 0o600, device, dir_fd=fd))
        os.chown(base, member.uid, member.gid, dir_fd=fd, follow_symlinks=False)
        _chmod_node(fd, base, member.mode)
        mtime_ns = _bound_time(member.mtime_ns)
        os.utime(base, ns=(mtime_ns, mtime_ns), dir_fd=fd, follow_symlinks=False)

    def _note(self, name: bytes) -> None:
        """An entry of the layer's own."""

    def _undress(self, fd: int) -> None:
        """A directory that may be the layers' below loses what is not the layer's."""

    def _write_whiteout(self, fd: int, base: bytes, name: bytes) -> None:
        if base == _OPAQUE_MARK:
            self._hide_all(fd, name.rpartition(b"/")[0])
            return
        if base.startswith(_AUFS):
            return
        hidden = base[len(_WHITEOUT) :]
        if hidden in (b"", b".", b".."):
            raise InvalidArgument("a whiteout of nothing")
        self._hide(fd, hidden, name[: len(name) - len(base)] + hidden)

    def _hide_all(self, fd: int, name: bytes) -> None:
        """Nothing of the layers below is seen in the directory ``name``, which is open as ``fd``."""
        os.setxattr(fd, OPAQUE, b"y")

    def _hide(self, fd: int, hidden: bytes, name: bytes) -> None:
        """The layers below have no ``hidden`` any more; the layer's own stays."""
        try:
            os.mknod(hidden, stat.S_IFCHR | 0o000, 0, dir_fd=fd)
        except FileExistsError:
            status = os.stat(hidden, dir_fd=fd, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                made = os.open(hidden, _DIRECTORY, dir_fd=fd)
                try:
                    os.setxattr(made, OPAQUE, b"y")
                finally:
                    os.close(made)

    def _place(self, fd: int, base: bytes, make: Callable[[], None]) -> None:
        """Make something where nothing may be yet; what is there gives way."""
        try:
            make()
        except FileExistsError:
            self._tree.remove(fd, base)
            make()

    def _dress(self, fd: int, member: Member) -> None:
        """Owner, mode, attributes: in this order."""
        os.fchown(fd, member.uid, member.gid)
        os.fchmod(fd, member.mode)
        for key, value in (member.xattrs or {}).items():
            if key.startswith(
                (b"user.", b"trusted.", b"security.capability", b"system.posix_acl_")
            ) and not key.startswith((b"trusted.overlay.", b"user.overlay.")):
                _set_xattr(fd, key, value)


class _FlatWriter(Writer):
    """Onto a copy of the layers below. ``_own``: names that this layer has, and the directories above them."""

    def __init__(self, tree: Tree, source: Source, limits: Limits) -> None:
        super().__init__(tree, source, limits)
        self._own: set[bytes] = set()

    def _note(self, name: bytes) -> None:
        while name and name not in self._own:
            self._own.add(name)
            name = name.rpartition(b"/")[0]

    def _undress(self, fd: int) -> None:
        for key in os.listxattr(fd):
            if not key.startswith("security.") or key == "security.capability":
                os.removexattr(fd, key)

    def _hide_all(self, fd: int, name: bytes) -> None:
        for entry in os.listdir(fd):
            base = os.fsencode(entry)
            fd = self._tree.directory(name)  # hiding may have closed it
            self._hide(fd, base, name + b"/" + base if name else base)

    def _hide(self, fd: int, hidden: bytes, name: bytes) -> None:
        try:
            status = os.stat(hidden, dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:
            return
        if name not in self._own:
            self._tree.remove(fd, hidden)
        elif stat.S_ISDIR(status.st_mode):
            self._hide_all(self._tree.directory(name), name)


def _chmod_node(fd: int, base: bytes, mode: int) -> None:
    """By descriptor: by name it would follow a link that a running container puts there meanwhile (CVE-2021-41089's kind)."""
    node = os.open(base, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
    try:
        if not stat.S_ISLNK(os.fstat(node).st_mode):
            os.chmod(f"/proc/self/fd/{node}", mode)
    finally:
        os.close(node)


def _set_xattr(fd: int, key: bytes, value: bytes) -> None:
    try:
        os.setxattr(fd, key, value)
    except OSError as err:
        # As Docker: a file system without the attribute's kind, or one that a directory cannot have, is no reason to refuse.
        if err.errno not in (errno.ENOTSUP, errno.EPERM):
            raise


def _write_all(fd: int, piece: memoryview) -> None:
    while piece:
        piece = piece[os.write(fd, piece) :]


def _bound_time(mtime_ns: int) -> int:
    """As Docker: what a 64-bit time cannot say becomes the epoch."""
    return mtime_ns if 0 <= mtime_ns <= _MAX_NS else 0
