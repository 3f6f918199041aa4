"""Device nodes: the default ones, ``linux.devices``, and for a privileged container every device of the host.

In a user namespace nobody may make a node: the host's own are bound there instead.
Spec: OCI runtime-spec 1.2 config-linux.md "Devices", "Default Devices".
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import Any

from berth.base.errors import InvalidArgument, from_oserror
from berth.kernel import mount as m
from berth.kernel.files import RESOLVE_NO_SYMLINKS, ensure_in_root, openat2
from berth.oci.stage import DEVICES, LINKS, fill_dev

_KINDS = {"b": stat.S_IFBLK, "c": stat.S_IFCHR, "u": stat.S_IFCHR, "p": stat.S_IFIFO}


def must_be_bound(linux: Mapping[str, Any]) -> bool:
    return any(n.get("type") == "user" for n in linux.get("namespaces") or ())


def fill(dev_fd: int, *, bound: bool) -> None:
    """The default devices and links in an empty /dev."""
    if not bound:
        fill_dev(dev_fd)
        return
    for name, major, minor in DEVICES:
        _bind(dev_fd, name, f"/dev/{name}", stat.S_IFCHR, os.makedev(major, minor))
    for name, target in LINKS:
        os.symlink(target, name, dir_fd=dev_fd)


def make_devices(root_fd: int, spec: Mapping[str, Any]) -> None:
    """What the config lists; where it mounts no /dev, the default ones too. Raises: InvalidArgument, ..."""
    linux = spec.get("linux") or {}
    bound = must_be_bound(linux)
    if not any(str(e.get("destination")).rstrip("/") == "/dev" for e in spec.get("mounts") or ()):
        _supply_defaults(root_fd, bound=bound)
    if linux.get("berthHostDevices"):
        _copy_host_devices(root_fd, bound=bound)
    for device in linux.get("devices") or ():
        path = device.get("path")
        if path == "/dev/ptmx":
            continue  # the container's own, of its devpts, whatever a caller that copies the host's list says
        kind = _KINDS.get(str(device.get("type")))
        if kind is None or not isinstance(path, str) or not path.startswith("/"):
            raise InvalidArgument(f'invalid device type "{device.get("type")}" of {path}', op="mknod")
        if device.get("fileMode") is None:
            mode = 0o666
        else:
            mode = int(device["fileMode"]) & 0o7777
        number = 0 if kind == stat.S_IFIFO else os.makedev(int(device.get("major") or 0), int(device.get("minor") or 0))
        if bound:
            _bind_device(root_fd, path, kind, number)
        else:
            owner = int(device.get("uid") or 0), int(device.get("gid") or 0)
            _mknod(root_fd, path, kind | mode, number, *owner)


def _supply_defaults(root_fd: int, *, bound: bool) -> None:
    dev_fd = ensure_in_root(root_fd, "/dev", directory=True)
    try:
        for name, major, minor in DEVICES:
            if bound:
                _bind(dev_fd, name, f"/dev/{name}", stat.S_IFCHR, os.makedev(major, minor))
            elif not _exists(dev_fd, name):
                _make_node(dev_fd, name, stat.S_IFCHR | 0o666, os.makedev(major, minor), 0, 0)
        for name, target in LINKS:
            if not _exists(dev_fd, name):
                os.symlink(target, name, dir_fd=dev_fd)
    finally:
        os.close(dev_fd)


def _exists(dir_fd: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _mknod(root_fd: int, path: str, mode: int, number: int, uid: int, gid: int) -> None:
    parent = ensure_in_root(root_fd, os.path.dirname(path) or "/", directory=True)
    name = os.path.basename(path)
    try:
        _make_node(parent, name, mode, number, uid, gid)
    except FileExistsError:
        info = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if info.st_rdev != number or stat.S_IFMT(info.st_mode) != stat.S_IFMT(mode):
            raise InvalidArgument(f"{path} exists and is another thing than the device asked for", path=path) from None
    except OSError as err:
        raise from_oserror(err, f"make the device {path}", op="mknod", path=path) from err
    finally:
        os.close(parent)


def _make_node(dir_fd: int, name: str, mode: int, number: int, uid: int, gid: int) -> None:
    before = os.umask(0)
    try:
        os.mknod(name, mode, number, dir_fd=dir_fd)
    finally:
        os.umask(before)
    os.chown(name, uid, gid, dir_fd=dir_fd, follow_symlinks=False)


def _bind_device(root_fd: int, path: str, kind: int, number: int) -> None:
    parent = ensure_in_root(root_fd, os.path.dirname(path) or "/", directory=True)
    try:
        _bind(parent, os.path.basename(path), path, kind, number)
    except OSError as err:
        raise from_oserror(err, f"bind the host's device {path}", op="mount", path=path) from err
    finally:
        os.close(parent)


def _bind(dir_fd: int, name: str, source: str, kind: int, number: int) -> None:
    """The host's node, checked to be the one that is meant, over a file of that name."""
    fd = m.open_tree(m.AT_FDCWD, source, m.OPEN_TREE_CLONE)
    try:
        info = os.fstat(fd)
        if stat.S_IFMT(info.st_mode) != kind or info.st_rdev != number:
            raise InvalidArgument(f"the host's {source} is not the device that is asked for", op="mount", path=source)
        try:
            flags = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(os.open(name, flags, 0o644, dir_fd=dir_fd))
        except FileExistsError:
            pass
        target = openat2(dir_fd, name, os.O_PATH | os.O_NOFOLLOW, 0, RESOLVE_NO_SYMLINKS)
        try:
            m.move_mount(fd, target)
        finally:
            os.close(target)
    finally:
        os.close(fd)


_DEFAULT_NAMES = frozenset(name for name, _, _ in DEVICES)
HOST_ONLY = frozenset({"pts", "ptmx", "shm", "fd", "mqueue", "console", ".lxc", ".lxd-mounts", ".udev"})


def _copy_host_devices(root_fd: int, directory: str = "/dev", *, bound: bool) -> None:
    for entry in os.scandir(directory):
        if directory == "/dev" and entry.name in HOST_ONLY:
            continue
        info = entry.stat(follow_symlinks=False)
        if stat.S_ISDIR(info.st_mode):
            _copy_host_devices(root_fd, entry.path, bound=bound)
        elif not (stat.S_ISBLK(info.st_mode) or stat.S_ISCHR(info.st_mode)):
            continue
        elif bound:
            if not (directory == "/dev" and entry.name in _DEFAULT_NAMES):
                _bind_device(root_fd, entry.path, stat.S_IFMT(info.st_mode), info.st_rdev)
        else:
            _mknod(root_fd, entry.path, info.st_mode, info.st_rdev, info.st_uid, info.st_gid)
