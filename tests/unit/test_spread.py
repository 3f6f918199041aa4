"""Directories that the file system may put far from each other."""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path

from berth.kernel import files, mount

GET_FLAGS, SET_FLAGS = 0x80086601, 0x40086602


def flags_of(path: Path, also: int = 0) -> int:
    """The flags of a directory, ``also`` set first where the file system takes that."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        (flags,) = struct.unpack("I", fcntl.ioctl(fd, GET_FLAGS, bytes(4)))
        if also:
            fcntl.ioctl(fd, SET_FLAGS, struct.pack("I", flags | also))
            return flags_of(path)
    except OSError:
        return 0
    finally:
        os.close(fd)
    return int(flags)


def test_a_file_system_that_takes_it_is_told(tmp_path: Path) -> None:
    ours, same = tmp_path / "ours", tmp_path / "same"
    ours.mkdir()
    same.mkdir()
    files.spread_below(str(ours))
    files.spread_below(str(ours))
    assert flags_of(ours) == flags_of(same, also=files.TOP_DIRECTORY)


def test_one_that_cannot_hear_it_is_left_alone(tmp_path: Path) -> None:
    mount.mount("ramfs", str(tmp_path), "ramfs")
    try:
        files.spread_below(str(tmp_path))
        (tmp_path / "below").mkdir()
        assert os.listdir(tmp_path) == ["below"]
    finally:
        mount.umount2(str(tmp_path))
