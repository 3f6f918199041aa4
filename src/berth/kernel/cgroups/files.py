"""Reading, writing and removing in cgroup filesystems."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any


def remove_tree(path: str) -> None:
    """rmdir, with the groups that the container made below it first."""
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return
    except OSError:
        for entry in os.scandir(path):
            if entry.is_dir(follow_symlinks=False):
                remove_tree(entry.path)
        os.rmdir(path)


def write(path: str, value: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    except OSError as err:
        raise OSError(err.errno, err.strerror, path) from None
    finally:
        os.close(fd)


def read(path: str) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 1 << 20).decode(errors="replace")
    finally:
        os.close(fd)


def rdma_line(device: str, limits: Mapping[str, Any]) -> str:
    """``mlx5_0 hca_handle=2 hca_object=2000``."""
    words = [("hcaHandles", "hca_handle"), ("hcaObjects", "hca_object")]
    return " ".join([device, *(f"{word}={limits[key]}" for key, word in words if limits.get(key) is not None)])
