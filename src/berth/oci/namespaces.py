"""Which namespaces a container gets: planned as a value, then entered by its init.

    fresh     unshared by init itself (pid and user: by clone3, in the parent)
    joined    by path, opened while the host's tree is still there
    left out  the runtime's own

Spec: OCI runtime-spec 1.2 config-linux.md "Namespaces", "User namespace mappings", "Offset for Time Namespace".
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from berth.base.errors import InvalidArgument, from_oserror
from berth.kernel import process as p

_FILES = {"mount": "mnt", "network": "net", "ipc": "ipc", "uts": "uts", "cgroup": "cgroup", "time": "time"}
ENTERED = {kind: (file, p.NAMESPACE_FLAGS[kind]) for kind, file in _FILES.items()}
"""Kind → file below /proc/<pid>/ns and flag, of those that a process can enter without a fork. In this order."""


class Spaces(NamedTuple):
    """``known``: of one container; else what every parked init takes, to be corrected when its config comes."""

    known: bool
    fresh: int
    joined: tuple[tuple[str, str], ...]
    fresh_pid: bool
    pid_path: str | None
    fresh_user: bool
    user_path: str | None
    uid_mappings: tuple[Mapping[str, Any], ...] = ()
    gid_mappings: tuple[Mapping[str, Any], ...] = ()
    time_offsets: Mapping[str, Any] | None = None

    @property
    def in_user_namespace(self) -> bool:
        return self.fresh_user or self.user_path is not None

    @property
    def clone_flags(self) -> int:
        return (p.CLONE_NEWPID if self.fresh_pid else 0) | (p.CLONE_NEWUSER if self.fresh_user else 0)


PARKED = Spaces(
    False, p.CLONE_NEWNS | p.CLONE_NEWUTS | p.CLONE_NEWIPC | p.CLONE_NEWNET | p.CLONE_NEWCGROUP, (), True, None, False,
    None,
)  # fmt: skip


def plan(linux: Mapping[str, Any]) -> Spaces:
    """The namespaces of a config. Raises: InvalidArgument (unknown, twice, maps without a user namespace)."""
    paths = _paths(linux.get("namespaces") or ())
    if "mount" not in paths:
        raise InvalidArgument("a container needs a mount namespace of its own", op="setns")
    fresh = 0
    joined = []
    for kind, (_, flag) in ENTERED.items():
        if kind in paths:
            if paths[kind] is None:
                fresh |= flag
            else:
                joined.append((kind, str(paths[kind])))
    uid, gid = tuple(linux.get("uidMappings") or ()), tuple(linux.get("gidMappings") or ())
    if (uid or gid) and "user" not in paths:
        raise InvalidArgument("user namespace mappings specified, but user namespace isn't enabled in the config")
    fresh_user = "user" in paths and paths["user"] is None
    if fresh_user and not (uid and gid):
        raise InvalidArgument("user namespaces enabled, but no uid and gid mappings found")
    offsets = linux.get("timeOffsets")
    if offsets and paths.get("time", "") is not None:
        raise InvalidArgument("time namespace offsets specified, but a new time namespace isn't enabled in the config")
    return Spaces(
        True, fresh, tuple(joined), "pid" in paths and paths["pid"] is None, paths.get("pid"), fresh_user,
        paths.get("user"), uid, gid, offsets,
    )  # fmt: skip


def _paths(entries: Any) -> dict[str, str | None]:
    paths: dict[str, str | None] = {}
    for entry in entries:
        kind = str(entry.get("type"))
        if kind not in p.NAMESPACE_FLAGS:
            raise InvalidArgument(f'unknown namespace "{kind}"', op="setns")
        if kind in paths:
            raise InvalidArgument(f'malformed spec file: duplicated ns "{kind}"', op="setns")
        path = entry.get("path") or None
        if path is not None and not str(path).startswith("/"):
            raise InvalidArgument(f"namespace path {path!r} is not an absolute path", op="setns", path=path)
        paths[kind] = path
    return paths


def enter(spaces: Spaces) -> None:
    """Join what has a path, then unshare what is new. After: user and pid, which a fork decides.

    Raises: BerthError naming the namespace.
    """
    opened = [
        (kind, path, _open(kind, path)) for kind, path in spaces.joined
    ]  # paths of the host: before its tree goes
    for kind, path, fd in opened:
        _join(kind, path, fd)
    if spaces.fresh:
        p.unshare(spaces.fresh)
    if spaces.fresh & p.CLONE_NEWTIME:
        _enter_time(spaces.time_offsets or {})


def _open(kind: str, path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as err:
        raise from_oserror(err, f"join the {kind} namespace {path}", op="setns", path=path) from err


def _join(kind: str, path: str, fd: int) -> None:
    try:
        p.setns(fd, p.NAMESPACE_FLAGS[kind])
    except OSError as err:
        raise from_oserror(err, f"join the {kind} namespace {path}", op="setns", path=path) from err
    finally:
        os.close(fd)


def join_path(kind: str, path: str) -> None:
    """Join one namespace by its path. Raises: BerthError naming it."""
    _join(kind, path, _open(kind, path))


def _enter_time(offsets: Mapping[str, Any]) -> None:
    """unshare made it for children only: write the offsets while nobody lives there, then go in ourselves."""
    lines = "".join(
        f"{clock} {int(value.get('secs') or 0)} {int(value.get('nanosecs') or 0)}\n" for clock, value in offsets.items()
    )
    try:
        if lines:
            fd = os.open("/proc/self/timens_offsets", os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(fd, lines.encode())
            finally:
                os.close(fd)
        join_path("time", "/proc/self/ns/time_for_children")
    except OSError as err:
        raise from_oserror(err, "set the offsets of the time namespace", op="timens") from err


def correct(spec: Mapping[str, Any], host_pid: int) -> frozenset[str]:
    """A parked init leaves the fresh namespaces that its config does not want; returns the staged trees that still fit.

    Raises: InvalidArgument naming the namespace.
    """
    paths = _paths((spec.get("linux") or {}).get("namespaces") or ())
    if "mount" not in paths:
        raise InvalidArgument("a container needs a mount namespace of its own", op="setns")
    usable = {"proc", "dev", "sys", "cgroup"}
    for kind in ("network", "ipc", "uts", "cgroup"):
        if kind in paths and paths[kind] is None:
            continue  # the fresh one
        join_path(kind, paths.get(kind) or f"/proc/{host_pid}/ns/{_FILES[kind]}")
        if kind == "network":
            usable.discard("sys")
        elif kind == "cgroup":
            usable -= {"sys", "cgroup"}
        elif kind == "ipc":
            usable.discard("dev")
    return frozenset(usable)


def become_root() -> None:
    """Be user 0 of the user namespace, so that what is made in the container is its root's. Unmapped 0: stay who we are."""
    try:
        os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    except OSError as err:
        if err.errno not in (1, 22):
            raise


def kinds(spec: Mapping[str, Any]) -> set[str]:
    return {str(n.get("type")) for n in (spec.get("linux") or {}).get("namespaces") or ()}
