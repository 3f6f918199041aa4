"""One file or directory of a container as tar, and a tar into one of its directories: what ``docker cp`` carries.

The tree may be a running container's, which changes it meanwhile: every step goes by descriptor, links are followed by
openat2 with RESOLVE_IN_ROOT only, and no name is looked at first and used afterwards (CVE-2018-15664). Nothing is executed
and nothing is read that the container could put in the way of it (CVE-2019-14271, CVE-2026-41567). File systems of the
kernel's (proc, sysfs, ...) are neither entered nor written: whoever writes here has more rights than the container.

    write_resource   → the members ``NAME``, ``NAME/...``
    extract          ← Docker's rules: names stay below the directory, what is there gives way, directories merge
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from berth.base.errors import BerthError, InvalidArgument, NotFound, from_oserror
from berth.kernel.files import fstype_magic, openat2_in_root
from berth.snapshots import tar
from berth.snapshots.apply import Limits, Writer
from berth.snapshots.archive import NodeWriter, Owner
from berth.snapshots.inflate import CHUNK, Readable, open_stream
from berth.snapshots.source import Source
from berth.snapshots.tar import Member
from berth.snapshots.tar_write import Write
from berth.snapshots.tree import Outside, Tree, clean
from berth.snapshots.walk import Node

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_DEPTH = 512
_NO_LIMITS = Limits(max_bytes=1 << 62, max_entries=1 << 62)
_KERNELS_OWN = frozenset(
    {
        0x9FA0,  # proc
        0x62656572,  # sysfs
        0x27E0EB,  # cgroup
        0x63677270,  # cgroup2
        0x1CD1,  # devpts
        0x19800202,  # mqueue
        0x64626720,  # debugfs
        0x74726163,  # tracefs
        0x73636673,  # securityfs
        0xCAFE4A11,  # bpf
        0x6E736673,  # nsfs
    }
)


def is_kernels_own(fd: int) -> bool:
    """Whether what ``fd`` has open is on a file system that only shows the kernel's state."""
    return fstype_magic(fd) & 0xFFFFFFFF in _KERNELS_OWN


def write_resource(parent_fd: int, base: str, name: str, write: Write, owner: Owner) -> None:
    """``base`` in the directory ``parent_fd``, and all below it, as members called ``name`` and ``name/...``. Blocking.

    Raises: FileNotFoundError, and what ``write`` raises.
    """
    writer = NodeWriter(write, owner)
    raw = os.fsencode(base)
    top = Node(os.fsencode(name), parent_fd, raw, os.stat(raw, dir_fd=parent_fd, follow_symlinks=False), 0)
    writer.add(top)
    if stat.S_ISDIR(top.status.st_mode):
        for node in _below(top):
            writer.add(node)
    writer.finish()


def _below(top: Node) -> Iterator[Node]:
    """Depth first, names in byte order. What vanishes meanwhile is left out."""
    stack = [_enter(top)]
    try:
        while stack:
            prefix, fd, pending = stack[-1]
            if not pending:
                stack.pop()
                _close(fd)
                continue
            base = pending.pop()
            try:
                status = os.stat(base, dir_fd=fd, follow_symlinks=False)
            except FileNotFoundError:
                continue
            node = Node(prefix + base, fd, base, status, 0)
            yield node
            if stat.S_ISDIR(status.st_mode) and len(stack) < _MAX_DEPTH:
                stack.append(_enter(node))
    finally:
        for _, fd, _ in stack:
            _close(fd)


def _enter(node: Node) -> tuple[bytes, int, list[bytes]]:
    """(prefix of the names in it, descriptor, names with the first one last); -1 for what is not entered."""
    prefix = node.name if node.name.endswith(b"/") else node.name + b"/"
    try:
        fd = os.open(node.base, _DIRECTORY, dir_fd=node.parent_fd)
    except OSError:
        return prefix, -1, []
    names = [] if is_kernels_own(fd) else sorted((os.fsencode(entry) for entry in os.listdir(fd)), reverse=True)
    return prefix, fd, names


def _close(fd: int) -> None:
    if fd >= 0:
        os.close(fd)


class Rules:
    """``keep_kind``: a directory is not replaced by something else, nor the other way. ``owner``: of what is written, by
    what the archive says."""

    def __init__(self, keep_kind: bool, owner: Owner) -> None:
        self.keep_kind = keep_kind
        self.owner = owner


def extract(raw: Readable, root_fd: int, directory: str, rules: Rules) -> None:
    """Unpack ``raw`` (a tar, compressed or not) into ``directory``, a path without links below ``root_fd``. Blocking.

    A file that is cut off is taken away again; what was whole before it stays, as in Docker.
    Raises: InvalidArgument (no tar, names or links that lead out, kinds that differ), NotFound, ResourceExhausted, ...
    """
    stream = open_stream(raw)
    source = Source(lambda: stream.read(CHUNK))
    writer = _Extractor(_Places(root_fd, directory), source, directory, rules)
    try:
        for member in tar.read_members(source):
            writer.write(member)
        writer.finish()
        source.drain()
    finally:
        writer.close()


class _Places(Tree):
    """Directories below ``directory`` of a root that is not ours alone; one descriptor is kept, that of the last."""

    def __init__(self, root_fd: int, directory: str) -> None:
        self._whole_fd = root_fd
        self._prefix = os.fsencode(directory.rstrip("/"))
        self.implied = set()
        self.root_fd = self._look(b"")
        self._last: tuple[bytes, int] | None = None

    def close(self) -> None:
        self._drop()
        os.close(self.root_fd)

    def directory(self, name: bytes, *, make: bool = True) -> int:
        if not name:
            return self.root_fd
        if self._last is not None and self._last[0] == name:
            return self._last[1]
        try:
            fd = self._look(name)
        except FileNotFoundError:
            if not make:
                raise
            fd = self._make(name)
        self._drop()
        self._last = (name, fd)
        return fd

    def make_directory(self, fd: int, base: bytes) -> bool:
        try:
            os.mkdir(base, 0o755, dir_fd=fd)
        except FileExistsError:
            if stat.S_ISDIR(os.stat(base, dir_fd=fd, follow_symlinks=False).st_mode):
                return False
            self.remove(fd, base)
            os.mkdir(base, 0o755, dir_fd=fd)
        return True

    def remove(self, fd: int, base: bytes) -> os.stat_result:
        """Nothing goes that is mounted in the container: the kernel only minds the mounts of who removes."""
        status = os.stat(base, dir_fd=fd, follow_symlinks=False)
        _remove(fd, base, stat.S_ISDIR(status.st_mode), _mount_of(fd))
        return status

    def _look(self, name: bytes) -> int:
        path = os.fsdecode(self._prefix + b"/" + name if name else self._prefix) or "/"
        fd = openat2_in_root(self._whole_fd, path, os.O_RDONLY | os.O_DIRECTORY)
        if is_kernels_own(fd):
            os.close(fd)
            raise InvalidArgument(f"{path} is on a file system of the kernel's: nothing is copied there")
        return fd

    def _make(self, name: bytes) -> int:
        parent, _, base = name.rpartition(b"/")
        fd = self.directory(parent)
        os.mkdir(base, 0o755, dir_fd=fd)
        made = os.open(base, _DIRECTORY, dir_fd=fd)
        os.fchmod(made, 0o755)
        return made

    def _drop(self) -> None:
        if self._last is not None:
            os.close(self._last[1])
            self._last = None


def _remove(fd: int, base: bytes, directory: bool, mount: int) -> None:
    """Raises: OSError (EBUSY for a place where something is mounted)."""
    flags = _DIRECTORY if directory else os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
    opened = os.open(base, flags, dir_fd=fd)
    try:
        if _mount_of(opened) != mount:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), base)
        if directory:
            for entry in os.scandir(opened):
                _remove(opened, os.fsencode(entry.name), entry.is_dir(follow_symlinks=False), mount)
    finally:
        os.close(opened)
    if directory:
        os.rmdir(base, dir_fd=fd)
    else:
        os.unlink(base, dir_fd=fd)


def _mount_of(fd: int) -> int:
    """The number of the mount that ``fd`` was opened through."""
    with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("mnt_id:"))


class _Extractor(Writer):
    def __init__(self, places: _Places, source: Source, directory: str, rules: Rules) -> None:
        super().__init__(places, source, _NO_LIMITS)
        self._directory = directory
        self._rules = rules

    def write(self, member: Member) -> None:
        try:
            self._write(member)
        except FileNotFoundError as err:
            raise NotFound(f"{self._shown(member)}: no such file or directory", errno=err.errno) from err
        except OSError as err:
            raise _in_words(err, self._shown(member)) from err

    def _write(self, member: Member) -> None:
        name = self._cleaned(member.name, "entry name", member.type == tar.DIRECTORY)
        if not name:
            return  # the directory itself: it stays as it is
        if member.type == tar.HARDLINK:
            self._cleaned(member.linkname, "hardlink target", False)
        uid, gid = self._rules.owner(member.uid, member.gid)
        fd, base = self._tree.parent(name)
        self._check_kind(fd, base, member)
        self._put(fd, base, name, member._replace(uid=uid, gid=gid))

    @staticmethod
    def _cleaned(name: bytes, what: str, directory: bool) -> bytes:
        try:
            return clean(name.lstrip(b"/"))
        except Outside:
            text = os.fsdecode(name.rstrip(b"/")) + ("/" if directory else "")
            raise InvalidArgument(f'invalid {what} "{text}"') from None

    def _check_kind(self, fd: int, base: bytes, member: Member) -> None:
        if not self._rules.keep_kind:
            return
        try:
            is_directory = stat.S_ISDIR(os.stat(base, dir_fd=fd, follow_symlinks=False).st_mode)
        except FileNotFoundError:
            return
        if is_directory == (member.type == tar.DIRECTORY):
            return
        there, comes = ("directory", "non-directory") if is_directory else ("non-directory", "directory")
        raise InvalidArgument(f'cannot overwrite {there} "{self._shown(member)}" with {comes} "{self._directory}"')

    def _write_file(self, fd: int, base: bytes, member: Member) -> None:
        try:
            super()._write_file(fd, base, member)
        except BerthError:  # the archive ends in the middle of it
            os.unlink(base, dir_fd=fd)
            raise

    @staticmethod
    def _shown(member: Member) -> str:
        return os.fsdecode(clean(member.name.lstrip(b"/")))


def _in_words(err: OSError, name: str) -> BerthError:
    made = from_oserror(err, f"RemoveAll {name}" if err.errno == errno.EBUSY else name)
    return made if err.errno in (errno.ENOSPC, errno.EDQUOT) else InvalidArgument(made.message, errno=err.errno)
