"""The container's root filesystem: root, mounts in the config's order, devices, masks, pivot_root.

Every target is opened inside the root (openat2) and mounted on by descriptor; every source is opened from the host before the
root is entered. Spec: OCI runtime-spec 1.2 config.md "Mounts", config-linux.md.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from berth.base.errors import InvalidArgument, Unsupported, from_oserror
from berth.kernel import idmap, idmapped_overlay
from berth.kernel import mount as m
from berth.kernel.cgroups import Hierarchies
from berth.kernel.files import (
    PROC_SUPER_MAGIC,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_SYMLINKS,
    ensure_in_root,
    fstype_magic,
    openat2,
    openat2_in_root,
)
from berth.oci import devices, mounts
from berth.oci.copyup import copy_tree
from berth.oci.stage import CGROUP, CHILDREN, STAGED, TREE_OF, Empty, Stage, make_readonly, mask, place_cgroups
from berth.spec.shim import OverlayRootfs

_NONE: Mapping[int, int] = MappingProxyType({})


def mount_root(stage: Stage, spec: Mapping[str, Any], rootfs: OverlayRootfs | None, handed: int = -1) -> int:
    """Mount the root at the stage and return its descriptor; ``handed``: the parent's. Raises: NotFound, Internal, ..."""
    fd = open_root(spec, rootfs) if handed < 0 else handed
    try:
        m.move_mount(fd, stage.place)
    except OSError as err:
        raise from_oserror(err, "mount the root filesystem", op="mount") from err
    os.close(stage.place)
    return fd


def open_root(spec: Mapping[str, Any], rootfs: OverlayRootfs | None) -> int:
    """The root as a detached mount. Raises: NotFound, Internal, ..."""
    root = spec.get("root") or {}
    try:
        if rootfs is not None:
            linux = spec.get("linux") or {}
            if linux.get("uidMappings") and not rootfs.get("shifted"):
                return _open_mapped(linux["uidMappings"], linux.get("gidMappings") or (), rootfs)
            if not rootfs["lower"]:  # a whole copy: nothing to lay over
                return m.open_tree(m.AT_FDCWD, rootfs["upper"], m.OPEN_TREE_CLONE)
            if rootfs["volatile"]:
                _forget_volatile(rootfs["work"])
            return m.overlay(rootfs["lower"], rootfs["upper"], rootfs["work"], volatile=rootfs["volatile"])
        fd = m.open_tree(m.AT_FDCWD, str(root.get("path") or ""), m.OPEN_TREE_CLONE | m.AT_RECURSIVE)
        m.mount_setattr(fd, 0, 0, m.MS_SLAVE if _propagation(spec) & m.MS_SLAVE else m.MS_PRIVATE, recursive=True)
        return fd
    except OSError as err:
        raise from_oserror(err, "mount the root filesystem", op="mount") from err


def _open_mapped(uid: idmap.Mappings, gid: idmap.Mappings, rootfs: OverlayRootfs) -> int:
    """Seen through the container's id map. Raises: OSError, Unsupported where kernel or filesystem have no such mounts."""
    try:
        if not rootfs["lower"]:
            return idmapped_overlay.mapped_tree(rootfs["upper"], uid_mappings=uid, gid_mappings=gid)
        if rootfs["volatile"]:
            _forget_volatile(rootfs["work"])
        return idmapped_overlay.overlay(
            rootfs["lower"], rootfs["upper"], rootfs["work"], uid_mappings=uid, gid_mappings=gid,
            volatile=rootfs["volatile"],
        )  # fmt: skip
    except OSError as err:
        if err.errno not in (errno.EINVAL, errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        raise Unsupported(
            f"a user namespace needs id-mapped mounts (Linux 5.19, and a filesystem below {rootfs['upper']} that takes them): "
            f"{os.strerror(err.errno).lower()}", op="mount", path=rootfs["upper"], errno=err.errno,
        ) from err  # fmt: skip


def _propagation(spec: Mapping[str, Any]) -> int:
    word = (spec.get("linux") or {}).get("rootfsPropagation")
    if not word:
        return 0
    if word not in m.PROPAGATION:
        raise InvalidArgument(f"rootfsPropagation={word} is not supported", op="mount")
    return m.PROPAGATION[word]


def _forget_volatile(work: str) -> None:
    """An overlay that was mounted volatile before leaves a mark that keeps it from being mounted again."""
    mark = work + "/work/incompat/volatile"
    try:
        os.unlink(mark + "/dirty")
        os.rmdir(mark)
    except OSError:
        pass


def mount_all(
    stage: Stage, root_fd: int, spec: Mapping[str, Any], hierarchies: Hierarchies, usable: frozenset[str],
    handed: Mapping[int, int] = _NONE,
) -> list[int]:  # fmt: skip
    """All mounts of the config, masks and read-only paths. ``usable``: staged trees that fit the namespaces.

    ``handed``: mounts by index that the parent opened. Returns descriptors for ``make_late_readonly``.
    """
    linux = spec.get("linux") or {}
    masked, readonly = set(linux.get("maskedPaths") or ()), set(linux.get("readonlyPaths") or ())
    entries = mounts.entries_of(spec)
    by_place = {e.place.rstrip("/") or "/": (e.place, e.kind, e.source, e.options) for e in entries}
    trees = {t for t in CHILDREN if t in usable and stage.serves(t, by_place, masked, readonly)}
    cgroups_alone = "sys" not in trees and "cgroup" in usable and stage.serves_cgroups(by_place)
    hidden_children = {c for t in trees for c in CHILDREN[t] if by_place[c] == STAGED[c]}
    late: list[int] = []
    for index, entry in enumerate(entries):
        place = entry.place.rstrip("/")
        tree = TREE_OF.get(place)
        if tree in trees and place == "/" + tree:
            _move_tree(stage, root_fd, tree)
            continue
        if place in hidden_children:
            continue
        if cgroups_alone and place == CGROUP[0]:
            _move_tree(stage, root_fd, "sys/fs/cgroup")
            continue
        try:
            _mount_entry(root_fd, entry, hierarchies, linux, handed.get(index, -1), late)
        except OSError as err:
            raise from_oserror(
                err, f'error mounting "{entry.source}" to rootfs at "{entry.place}"', op="mount", path=entry.place
            ) from err
    moved_masks = {p for t in trees for p in stage.masked | stage.readonly if p.startswith(f"/{t}/")}
    empty = Empty()
    for path in linux.get("maskedPaths") or ():
        if path not in moved_masks:
            mask(root_fd, path, empty)
    empty.close()
    for path in linux.get("readonlyPaths") or ():
        if path not in moved_masks:
            make_readonly(root_fd, path)
    return late


def make_late_readonly(late: Sequence[int]) -> None:
    """A read-only /dev is made so once its nodes are in it."""
    for fd in late:
        m.mount_setattr(fd, m.ATTR_RDONLY)
        os.close(fd)


def _move_tree(stage: Stage, root_fd: int, tree: str) -> None:
    from_fd = os.open(f"{stage.path}/{tree}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    target = _system_place(root_fd, "/" + tree)
    m.move_mount(from_fd, target)
    os.close(target)
    os.close(from_fd)


def _system_place(root_fd: int, path: str) -> int:
    """/proc, /sys, /dev: an image that has a link there is refused (CVE-2019-19921, CVE-2026-41579)."""
    try:
        return openat2(root_fd, path.lstrip("/"), os.O_PATH | os.O_DIRECTORY, 0, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS)
    except FileNotFoundError:
        return ensure_in_root(root_fd, path, directory=True)
    except OSError as err:
        raise InvalidArgument(
            f'the image has no directory at "{path}" but a link or a file: the runtime does not mount there',
            op="mount", path=path, errno=err.errno,
        ) from err  # fmt: skip


def _mount_entry(
    root_fd: int, entry: mounts.Entry, hierarchies: Hierarchies, linux: Mapping[str, Any], handed: int, late: list[int]
) -> None:
    place = entry.place
    if entry.kind == "cgroup":
        target = _open_target(root_fd, place, directory=True)
        own_view = any(n.get("type") == "cgroup" for n in linux.get("namespaces") or ())
        place_cgroups(hierarchies, target, "ro" in entry.options, own_view=own_view)
        return
    if "remount" in entry.options:
        _remount(root_fd, entry)
        return
    filled = place.rstrip("/") == "/dev" and entry.kind == "tmpfs"
    postponed = "ro" in entry.options and not entry.bind and (filled or "tmpcopyup" in entry.options)
    if entry.bind:
        fd = handed if handed >= 0 else mounts.open_bind(entry)
    else:
        words = tuple(o for o in entry.options if o != "ro") if postponed else entry.options
        if entry.kind == "tmpfs" and not any(o.startswith("mode=") for o in words):
            words = (*_mode_of(root_fd, place), *words)
        fd = mounts.open_filesystem(entry._replace(options=words), str(linux.get("mountLabel") or ""))
    kept = False
    try:
        _check_proc(place, fd)
        target = (
            _system_place(root_fd, place) if place in ("/proc", "/sys", "/dev") and not entry.bind
            else _open_target(root_fd, place, directory=not entry.bind or mounts.is_directory(fd))
        )  # fmt: skip
        try:
            _check_target(place, target)
            if "tmpcopyup" in entry.options:
                copy_tree(target, fd)
            m.move_mount(fd, target)
        finally:
            os.close(target)
        if filled:
            devices.fill(fd, bound=devices.must_be_bound(linux))
        if postponed and filled:
            late.append(fd)
            kept = True
        elif postponed:
            m.mount_setattr(fd, m.ATTR_RDONLY)
    finally:
        if not kept:
            os.close(fd)


def _mode_of(root_fd: int, place: str) -> tuple[str, ...]:
    """A tmpfs has the mode of the folder that it hides; where there is none yet, the kernel's 1777."""
    try:
        fd = openat2_in_root(root_fd, place, os.O_PATH | os.O_DIRECTORY)
    except OSError:
        return ()
    try:
        return (f"mode={stat.S_IMODE(os.fstat(fd).st_mode):04o}",)
    finally:
        os.close(fd)


def _remount(root_fd: int, entry: mounts.Entry) -> None:
    """Other attributes for what is mounted there already."""
    fd = openat2_in_root(root_fd, entry.place, os.O_PATH)
    try:
        mounts.set_attributes(fd, mounts.parse_options(entry._replace(bind=False)))
    finally:
        os.close(fd)


_OVER_PROC = frozenset(
    "/proc/cpuinfo /proc/diskstats /proc/loadavg /proc/meminfo /proc/net/dev /proc/slabinfo /proc/stat /proc/swaps "
    "/proc/uptime /proc/sys/crypto/fips_enabled /proc/sys/kernel/ns_last_pid".split()
)
"""What lxcfs and its like lay over single files of procfs."""


def _check_proc(place: str, fd: int) -> None:
    """Nothing but a procfs at /proc, and nothing of the user's over procfs.

    CVE-2019-16884, CVE-2019-19921, CVE-2023-27561, CVE-2023-28642: a volume over /proc took masks and labels away.
    """
    clean = os.path.normpath(place)
    if clean == "/proc":
        wrong = fstype_magic(fd) != PROC_SUPER_MAGIC
    else:
        wrong = clean.startswith("/proc/") and clean not in _OVER_PROC
    if wrong:
        raise _inside_proc(place)


def _check_target(place: str, target: int) -> None:
    """The same for a path that led to procfs by way of links."""
    if fstype_magic(target) == PROC_SUPER_MAGIC and os.path.normpath(place) not in _OVER_PROC:
        raise _inside_proc(place)


def _inside_proc(place: str) -> InvalidArgument:
    return InvalidArgument(f'"{place}" cannot be mounted because it is inside /proc', op="mount", path=place)


def _open_target(root_fd: int, place: str, *, directory: bool) -> int:
    return ensure_in_root(root_fd, place, directory=directory)


def bind_console(root_fd: int, slave: int) -> None:
    """The container's terminal at /dev/console."""
    dev = openat2_in_root(root_fd, "/dev", os.O_PATH | os.O_DIRECTORY)
    try:
        try:
            os.close(os.open("console", os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=dev))
        except FileExistsError:
            pass
        target = openat2(dev, "console", os.O_PATH, 0, RESOLVE_NO_SYMLINKS)  # a link is refused (CVE-2025-52565)
    finally:
        os.close(dev)
    fd = m.open_tree(slave, "", m.OPEN_TREE_CLONE | m.AT_EMPTY_PATH)
    m.move_mount(fd, target)
    os.close(fd)
    os.close(target)


def enter_root(root_fd: int, spec: Mapping[str, Any], *, pivot: bool = True) -> None:
    """pivot_root into the root; the host's tree is detached, not only hidden. ``pivot`` False: on a ramfs, that can't."""
    if (spec.get("root") or {}).get("readonly"):
        m.mount_setattr(root_fd, m.ATTR_RDONLY)
    os.fchdir(root_fd)
    if pivot:
        m.pivot_root(".", ".")  # the old root now lies over the new one, at the same place
        m.umount2(".", m.MNT_DETACH)
    else:
        m.mount(".", "/", "", m.MS_MOVE)
        os.chroot(".")
    os.chdir("/")
    propagation = _propagation(spec)
    if propagation & (m.MS_SHARED | m.MS_UNBINDABLE):  # not before: pivot_root takes no shared mount
        m.mount("", "/", "", propagation)
