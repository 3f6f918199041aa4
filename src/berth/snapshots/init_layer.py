"""The init layer: empty mount targets, the lowest lower directory of every container.

Being lowest it never hides what an image has. Being shared, it costs a container nothing.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
DIRECTORIES = ("dev", "dev/pts", "dev/shm", "dev/mqueue", "proc", "sys", "etc")
FILES = ("dev/console", "etc/hosts", "etc/hostname", "etc/resolv.conf", ".dockerenv")
LINKS = (("etc/mtab", "/proc/mounts"),)


def ensure_init_layer(root: str) -> None:
    """Make the layer, or put it right. Idempotent."""
    _ensure_directory(root)
    for name in DIRECTORIES:
        _ensure_directory(os.path.join(root, name))
    for name in FILES:
        path = os.path.join(root, name)
        mode = 0o600 if name == "dev/console" else 0o644
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        try:
            os.fchmod(fd, 0o755 if name == ".dockerenv" else mode)
        finally:
            os.close(fd)
    for name, target in LINKS:
        path = os.path.join(root, name)
        if not os.path.islink(path):
            os.symlink(target, path)


def add_mount_targets(root: str) -> None:
    """The same targets in a tree that is an image's copy: only what is missing; nothing of the image's is followed or changed."""
    for name in DIRECTORIES:
        _add(root, name, lambda base, fd: os.mkdir(base, 0o755, dir_fd=fd))
    for name in FILES:
        _add(root, name, lambda base, fd: os.close(os.open(base, _NEW, 0o644, dir_fd=fd)))
    for name, target in LINKS:
        _add(root, name, lambda base, fd, target=target: os.symlink(target, base, dir_fd=fd))  # type: ignore[misc]


def _add(root: str, name: str, make: Callable[[str, int], None]) -> None:
    fd = os.open(root, _DIRECTORY)
    try:
        *parents, base = name.split("/")
        for part in parents:
            following = os.open(part, _DIRECTORY, dir_fd=fd)
            os.close(fd)
            fd = following
        make(base, fd)
    except (FileExistsError, NotADirectoryError):
        pass  # the image has its own idea of it; the runtime says so should it be in the way
    except OSError as err:
        if err.errno != errno.ELOOP:
            raise
    finally:
        os.close(fd)


def _ensure_directory(path: str) -> None:
    try:
        os.mkdir(path, 0o755)
    except FileExistsError:
        pass
    os.chmod(path, 0o755, follow_symlinks=True)
