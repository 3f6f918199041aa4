"""``Tree``: names of a layer as places inside its root directory, and nowhere else.

Every component is opened from the directory before it with O_NOFOLLOW; a symlink on the way is read and followed by hand,
absolute ones from the layer's root, and ".." never climbs above it. Nobody else writes below the root while a layer is
applied (its parents are 0700), so what was looked at is what is used.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections import deque

from berth.base.errors import InvalidArgument

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_LINKS = 40
_MAX_OPEN = 128
_MAX_PATH = 4096
OPAQUE = b"trusted.overlay.opaque"


class Outside(InvalidArgument):
    """A name that leads out of the layer."""


def clean(name: bytes) -> bytes:
    """``./a//b/../c`` → ``a/c``; the root itself is b"".

    Raises: Outside for a name that climbs above the root, InvalidArgument for one that no file system takes.
    """
    if len(name) > _MAX_PATH:
        raise InvalidArgument(f"a name of {len(name)} bytes is longer than {_MAX_PATH}")
    if b"//" not in name and b"/." not in name and not name.startswith((b"/", b".")):
        return name.rstrip(b"/")
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part == b"..":
            if not parts:
                raise Outside(f"{show(name)} is outside of the layer")
            parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)


def show(name: bytes) -> str:
    """A name for error messages: printable, bounded."""
    return repr(name[:200].decode(errors="backslashreplace"))


class Tree:
    """Directories below ``root``, by cleaned name. ``implied``: those that were made only because something lies in them.

    Raises: InvalidArgument where the layer contradicts itself (a file used as a directory, a loop of links), OSError.
    """

    def __init__(self, root: str) -> None:
        self.root_fd = os.open(root, _DIRECTORY)
        self.implied: set[bytes] = set()
        self._open: dict[bytes, int] = {b"": self.root_fd}

    def close(self) -> None:
        for fd in self._open.values():
            os.close(fd)
        self._open.clear()

    def directory(self, name: bytes, *, make: bool = True) -> int:
        """A descriptor of the directory ``name``, valid until the next call; what is missing is made.

        ``make=False`` raises FileNotFoundError instead.
        """
        fd = self._open.get(name)
        if fd is not None:
            return fd
        return self._walk(name, make)

    def parent(self, name: bytes, *, make: bool = True) -> tuple[int, bytes]:
        """The descriptor of the directory that holds ``name`` (cleaned, not the root), and the last component."""
        directory, _, base = name.rpartition(b"/")
        return self.directory(directory, make=make), base

    def remove(self, fd: int, base: bytes) -> os.stat_result:
        """Delete what is at ``base`` in the directory ``fd``, whole trees as well; returns what it was."""
        status = os.stat(base, dir_fd=fd, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            keep = next((name for name, opened in self._open.items() if opened == fd), b"")
            self._forget_all_but(keep)
            shutil.rmtree(base, dir_fd=fd)
        else:
            os.unlink(base, dir_fd=fd)
        return status

    def make_directory(self, fd: int, base: bytes) -> bool:
        """Make a directory, in place of anything that is no directory; False where there was one already.

        One that takes the place of a whiteout hides the lower layers' directory of that name: it becomes opaque.
        """
        try:
            os.mkdir(base, 0o755, dir_fd=fd)
        except FileExistsError:
            status = os.stat(base, dir_fd=fd, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                return False
            os.unlink(base, dir_fd=fd)
            os.mkdir(base, 0o755, dir_fd=fd)
            if is_whiteout(status):
                self._make_opaque(fd, base)
        return True

    # ---

    def _walk(self, name: bytes, make: bool) -> int:
        pending = deque(name.split(b"/"))
        at = b""  # the real path of ``fd``: no symlinks in it
        links = 0
        while pending:
            part = pending.popleft()
            if part in (b"", b"."):
                continue
            if part == b"..":
                at = at.rpartition(b"/")[0]
                continue
            below = at + b"/" + part if at else part
            if below in self._open:
                at = below
                continue
            target = self._step(at, part, below, make)
            if target is None:
                at = below
                continue
            links += 1
            if links > _MAX_LINKS:
                raise InvalidArgument(f"{show(name)}: too many levels of symbolic links")
            if target.startswith(b"/"):
                at = b""
            pending.extendleft(reversed(target.split(b"/")))
        return self._reopen(at)

    def _step(self, at: bytes, part: bytes, below: bytes, make: bool) -> bytes | None:
        """Open ``part`` of the directory ``at``; returns a symlink's target instead where it is one."""
        fd = self._reopen(at)
        try:
            opened = os.open(part, _DIRECTORY, dir_fd=fd)
        except FileNotFoundError:
            if not make:
                raise
            self._make_implied(fd, part, below)
            opened = os.open(part, _DIRECTORY, dir_fd=fd)
        except OSError as err:
            if err.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            status = os.stat(part, dir_fd=fd, follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                return os.readlink(part, dir_fd=fd)
            if not (make and is_whiteout(status)):
                raise InvalidArgument(f"{show(below)} is not a directory") from None
            self.make_directory(fd, part)
            opened = os.open(part, _DIRECTORY, dir_fd=fd)
        self._remember(below, opened)
        return None

    def _reopen(self, real: bytes) -> int:
        """The descriptor of a directory by its real path, opened again should it have been closed."""
        fd = self._open.get(real)
        if fd is not None:
            return fd
        fd = self.root_fd
        opened = -1
        for part in real.split(b"/"):
            following = os.open(part, _DIRECTORY, dir_fd=fd)
            if opened >= 0:
                os.close(opened)
            fd = opened = following
        self._remember(real, fd)
        return fd

    def _remember(self, real: bytes, fd: int) -> None:
        if len(self._open) >= _MAX_OPEN:
            for name in list(self._open)[1 : _MAX_OPEN // 2]:  # the root is the first
                os.close(self._open.pop(name))
        self._open[real] = fd

    def _forget_all_but(self, keep: bytes) -> None:
        """Close what may lie below a directory that is going away."""
        for name in [name for name in self._open if name not in (b"", keep)]:
            os.close(self._open.pop(name))

    def _make_implied(self, fd: int, part: bytes, name: bytes) -> None:
        os.mkdir(part, 0o755, dir_fd=fd)
        os.chmod(part, 0o755, dir_fd=fd)  # whatever the umask: made here and now, no link to follow
        self.implied.add(name)

    def _make_opaque(self, fd: int, base: bytes) -> None:
        opened = os.open(base, _DIRECTORY, dir_fd=fd)
        try:
            os.setxattr(opened, OPAQUE, b"y")
        finally:
            os.close(opened)


def is_whiteout(status: os.stat_result) -> bool:
    """True for overlayfs' mark that a name of the lower layers is gone: a character device 0:0."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def dress_implied(root: str, names: tuple[bytes, ...], lower: tuple[str, ...]) -> None:
    """Directories of the layer at ``root`` that no entry described get the looks that they have in the layers below.

    overlayfs shows the upper directory's owner, mode and attributes. ``lower``: top first. Apart from ``Tree``, so that a
    layer can be unpacked before those below it are there.
    """
    if not lower or not names:
        return
    tree = Tree(root)
    try:
        for name in names:
            try:
                fd = tree.directory(name, make=False)
            except (OSError, InvalidArgument):
                continue  # a later entry put something else in its place
            found = _find_lower(name, lower)
            if found is None:
                continue
            status, xattrs = found
            os.fchown(fd, status.st_uid, status.st_gid)
            os.fchmod(fd, stat.S_IMODE(status.st_mode))
            for key, value in xattrs.items():
                os.setxattr(fd, key, value)
    finally:
        tree.close()


def _find_lower(name: bytes, lower: tuple[str, ...]) -> tuple[os.stat_result, dict[str, bytes]] | None:
    for root in lower:
        fd = os.open(root, _DIRECTORY)
        try:
            for part in name.split(b"/"):
                following = os.open(part, _DIRECTORY, dir_fd=fd)
                os.close(fd)
                fd = following
            keys = [key for key in os.listxattr(fd) if not key.startswith(("trusted.overlay.", "security."))]
            return os.fstat(fd), {key: os.getxattr(fd, key) for key in keys}
        except FileNotFoundError:
            continue
        except NotADirectoryError:
            return None  # a whiteout, a file or a symlink: what lies below is hidden
        finally:
            os.close(fd)
    return None
