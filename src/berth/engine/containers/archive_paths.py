"""Paths of a container for ``docker cp``: opened below its root, links read by hand where their target is to be told."""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from berth.base.errors import Internal, InvalidArgument, NotFound
from berth.kernel.files import openat2_in_root
from berth.snapshots.resource import is_kernels_own

_MAX_LINKS = 255
_DIRECTORY = os.O_PATH | os.O_DIRECTORY


class Place(NamedTuple):
    """``base`` in the directory ``parent_fd``, itself if it is a link; ``name``: what it is called in an archive."""

    parent_fd: int
    base: str
    name: str


@contextmanager
def opened(root_fd: int, path: str) -> Iterator[Place]:
    """Raises: OSError (ENOENT for what lies on a file system of the kernel's as well)."""
    clean = posixpath.normpath("/" + path.lstrip("/"))
    directory, base = posixpath.split(clean)
    name = base or "/"
    if not base or path.endswith("/") or posixpath.basename(path) == ".":
        name = "." if posixpath.basename(path) == "." else name
        directory, base = clean, "."
    parent_fd = openat2_in_root(root_fd, directory, _DIRECTORY)
    try:
        if is_kernels_own(parent_fd):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        yield Place(parent_fd, base, name)
    finally:
        os.close(parent_fd)


def is_link(status: os.stat_result) -> bool:
    return stat.S_ISLNK(status.st_mode)


def extraction_point(root_fd: int, path: str) -> str:
    """The directory that ``path`` leads to, without links. Raises: OSError, InvalidArgument."""
    found = link_target(root_fd, path)
    fd = openat2_in_root(root_fd, found, os.O_PATH | os.O_NOFOLLOW)
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            raise InvalidArgument("extraction point is not a directory")
    finally:
        os.close(fd)
    return found


def link_target(root_fd: int, path: str) -> str:
    """``path`` with every link followed below the root; what is not there stays as it is written. Raises: InvalidArgument."""
    pending = deque(path.split("/"))
    at, links = "", 0
    while pending:
        part = pending.popleft()
        if part == "..":
            at = posixpath.dirname(at).rstrip("/")
        if part in ("", ".", ".."):
            continue
        target = _read_link(root_fd, f"{at}/{part}")
        if target is None:
            at = f"{at}/{part}"
            continue
        links += 1
        if links > _MAX_LINKS:
            raise InvalidArgument(f"evalSymlinksInScope: too many links in {path}")
        if target.startswith("/"):
            at = ""
        pending.extendleft(reversed(target.split("/")))
    return at or "/"


def _read_link(root_fd: int, path: str) -> str | None:
    """None where there is no link."""
    try:
        fd = openat2_in_root(root_fd, path, os.O_PATH | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return os.readlink("", dir_fd=fd) if is_link(os.fstat(fd)) else None
    finally:
        os.close(fd)


@contextmanager
def in_words(path: str, ref: str) -> Iterator[None]:
    """An ``OSError`` about ``path`` of the container ``ref`` in Docker's words. Raises: NotFound, InvalidArgument, Internal."""
    try:
        yield
    except FileNotFoundError as err:
        raise NotFound(f"Could not find the file {path} in container {ref}", errno=err.errno) from err
    except OSError as err:
        kind = InvalidArgument if err.errno in (errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG) else Internal
        raise kind(f"lstat {path}: {os.strerror(err.errno or 0).lower()}", errno=err.errno) from err
