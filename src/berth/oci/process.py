"""The last steps before the program: they are the same for init and for exec.

The order is the meaning, see ``become``.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Mapping
from typing import Any, NamedTuple

from berth.base.errors import Forbidden, InvalidArgument, NotFound, from_oserror
from berth.kernel import process as p
from berth.kernel.files import ensure_in_root, openat2_in_root
from berth.kernel.seccomp.compiler import compile_default, compile_profile
from berth.kernel.tty import make_controlling
from berth.oci import labels, notify, tuning
from berth.oci.users import resolve
from berth.spec.capabilities import ALL_CAPABILITIES

_CAPABILITIES = frozenset(ALL_CAPABILITIES)
_NULL_DEVICE = os.makedev(1, 3)
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Program(NamedTuple):
    """A process as it will be: everything looked up, nothing changed yet."""

    path: str
    args: list[str]
    env: dict[bytes, bytes]
    cwd: str
    uid: int
    gid: int
    groups: list[int]
    bounding: int
    effective: int
    permitted: int
    inheritable: int
    ambient: int
    no_new_privileges: bool
    filter: bytes | None
    rlimits: list[tuple[str, int, int]]
    umask: int
    warnings: list[str]
    filter_flags: int = 0
    extras: tuning.Extras | None = None
    listener: notify.Listener | None = None
    label: labels.Label | None = None
    kept_fds: int = 0  # from 3 on
    keyring: str = "_ses.berth"  # "": the caller's stays


def prepare(process: Mapping[str, Any], linux: Mapping[str, Any], *, make_cwd: bool) -> Program:
    """Look everything up inside the container. After: pivot_root (or setns).

    Raises: InvalidArgument (user, capability), NotFound and Forbidden (the program) in the words that clients match on.
    """
    user = process.get("user") or {}
    uid, gid = int(user.get("uid") or 0), int(user.get("gid") or 0)
    groups = [int(g) for g in user.get("additionalGids") or ()]
    home = "/"
    if "username" in user:
        found = resolve(str(user["username"]), [str(g) for g in user.get("additionalGroups") or ()])
        uid, gid, groups, home = found.uid, found.gid, found.additional_gids, found.home
    elif uid == 0:
        home = "/root"
    env = _environment(process.get("env") or (), home)
    cwd = str(process.get("cwd") or "/")
    if not cwd.startswith("/"):
        raise InvalidArgument(f"cwd {cwd!r} is not an absolute path", op="chdir", path=cwd)
    _enter_cwd(cwd, make=make_cwd)
    args = [str(a) for a in process.get("args") or ()]
    if not args:
        raise InvalidArgument("args must not be empty", op="execve")
    caps = process.get("capabilities") or {}
    warnings: list[str] = []
    limits = _limits(process.get("rlimits") or (), warnings)
    sets = {k: p.capability_mask(_known(caps.get(k) or (), warnings)) for k in
            ("bounding", "effective", "permitted", "inheritable", "ambient")}  # fmt: skip
    raisable = sets["permitted"] & sets["inheritable"]
    if sets["ambient"] & ~raisable:  # the kernel has it so, and callers ask for it all the same
        warnings.append("ambient capabilities that are not permitted and inheritable are ignored")
        sets["ambient"] &= raisable
    return Program(
        look_up(args[0], env.get(b"PATH", DEFAULT_PATH.encode()).decode("utf-8", "surrogateescape")), args, env, cwd,
        uid, gid, groups, sets["bounding"], sets["effective"], sets["permitted"], sets["inheritable"], sets["ambient"],
        bool(process.get("noNewPrivileges")), _filter(linux.get("seccomp"), caps.get("bounding") or ()), limits,
        int(user["umask"]) if user.get("umask") is not None else 0o022, warnings, _filter_flags(linux.get("seccomp")),
    )  # fmt: skip


def _known(names: Any, warnings: list[str]) -> list[str]:
    """Spec: a value that the runtime cannot map is a warning, not an error."""
    known = [n for n in names if n in _CAPABILITIES]
    for name in names:
        text = f'unknown or unavailable capability "{name}" is ignored'
        if name not in _CAPABILITIES and text not in warnings:
            warnings.append(text)
    return known


def _limits(asked: Any, warnings: list[str]) -> list[tuple[str, int, int]]:
    """What this host lets us set. Raises: InvalidArgument (unknown, twice, soft above hard)."""
    limits: dict[str, tuple[str, int, int]] = {}
    for entry in asked:
        name, soft, hard = str(entry.get("type")), int(entry.get("soft") or 0), int(entry.get("hard") or 0)
        if name in limits:
            raise InvalidArgument(f'duplicated rlimit "{name}"', op="setrlimit")
        try:
            soft, hard, warning = p.clamp_rlimit(name, soft, hard)
        except ValueError:
            raise InvalidArgument(f'unknown rlimit "{name}"', op="setrlimit") from None
        if warning:
            warnings.append(warning)
        limits[name] = (name, soft, hard)
    return list(limits.values())


def set_oom_score(value: int) -> list[str]:
    """Warnings: a host that does not let us lower it."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write(str(value))
    except PermissionError:
        return [f"oom_score_adj {value}: this host does not allow to lower it"]
    except OSError as err:
        raise from_oserror(err, f"set oom_score_adj to {value}", op="oom_score_adj") from err
    return []


def _filter_flags(profile: Any) -> int:
    """Raises: InvalidArgument (an unknown flag)."""
    if not isinstance(profile, dict):  # of JSON; to ask for Mapping would wake up the ABC machinery
        return 0
    flags = 0
    for name in profile.get("flags") or ():
        if name not in p.SECCOMP_FLAGS:
            raise InvalidArgument(f"seccomp: unknown flag {name!r}", op="seccomp")
        flags |= p.SECCOMP_FLAGS[name]
    return flags


def _filter(profile: Any, bounding: Any) -> bytes | None:
    if not profile:
        return None
    if profile == "default":
        return compile_default(frozenset(bounding))
    return compile_profile(profile)


def _environment(entries: Any, home: str) -> dict[bytes, bytes]:
    env: dict[bytes, bytes] = {}
    for entry in entries:
        key, eq, value = str(entry).encode("utf-8", "surrogateescape").partition(b"=")
        if eq and key and b"\0" not in value:
            env[key] = value
    if not env.get(b"HOME"):
        env[b"HOME"] = home.encode("utf-8", "surrogateescape")
    return env


def _enter_cwd(cwd: str, *, make: bool) -> None:
    """chdir, and be sure to stand inside the root.

    CVE-2024-21626: a cwd behind /proc/self/fd led out, so no magic link is followed. CVE-2026-55686: folders are made each
    in its opened parent, never along a path that somebody may swap.
    """
    try:
        root_fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        fd = (ensure_in_root(root_fd, cwd, directory=True) if make
              else openat2_in_root(root_fd, cwd, os.O_PATH | os.O_DIRECTORY))  # fmt: skip
        os.fchdir(fd)
        os.close(fd)
        os.close(root_fd)
        where = os.getcwd()
    except OSError as err:
        text = f'chdir to cwd ("{cwd}") set in config.json failed'
        raise from_oserror(err, text, op="chdir", path=cwd) from err
    if not where.startswith("/"):
        raise Forbidden("current working directory is outside of container mount namespace root", op="chdir", path=cwd)


def look_up(name: str, search: str) -> str:
    """The program's path. Raises: NotFound, Forbidden, InvalidArgument: Go's sentences of os/exec, that clients know."""
    if "/" in name:
        _check_executable(name, name)
        return name
    for directory in search.split(":"):
        path = os.path.join(directory or ".", name)
        try:
            info = os.stat(path)
        except OSError:
            continue
        if stat.S_ISREG(info.st_mode) and info.st_mode & 0o111:
            return path
    raise NotFound(f'exec: "{name}": executable file not found in $PATH', op="execve", path=name, errno=errno.ENOENT)


def _check_executable(path: str, shown: str) -> None:
    try:
        info = os.stat(path)
    except OSError as err:
        text = f'exec: "{shown}": stat {path}: {os.strerror(err.errno or 0).lower()}'
        kind = NotFound if err.errno in (errno.ENOENT, errno.ENOTDIR) else Forbidden
        code = errno.ENOENT if kind is NotFound else err.errno
        raise kind(text, op="execve", path=path, errno=code) from err
    if stat.S_ISDIR(info.st_mode):
        raise InvalidArgument(f'exec: "{shown}": is a directory', op="execve", path=path, errno=errno.EISDIR)
    if not info.st_mode & 0o111:
        raise Forbidden(f'exec: "{shown}": permission denied', op="execve", path=path, errno=errno.EACCES)


def _give_pipes(stdio: tuple[int, int, int], uid: int) -> None:
    """A user's process may open /dev/stdout anew: its pipes are its own. Files and devices stay their owners'."""
    if uid == 0:
        return
    for fd in stdio:
        if stat.S_ISFIFO(os.fstat(fd).st_mode):
            with contextlib.suppress(PermissionError):  # a caller's pipe, of an owner whom this user namespace has not
                os.fchown(fd, uid, -1)


def _reopen_null() -> None:
    """Streams that are the host's null device become the container's own: a file of a mount outside holds up a checkpoint.

    CVE-2025-31133: what is opened inside is checked. Where it is something else, or missing, the host's stays.
    """
    streams = [fd for fd in range(3) if _is_null(os.fstat(fd))]
    if not streams:
        return
    try:
        if not _is_null(os.lstat("/dev/null")):
            return
        own = os.open("/dev/null", os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return
    os.set_blocking(own, True)
    for fd in streams if _is_null(os.fstat(own)) else ():
        os.dup2(own, fd)
    os.close(own)


def _is_null(info: os.stat_result) -> bool:
    return stat.S_ISCHR(info.st_mode) and info.st_rdev == _NULL_DEVICE


def _install_filter(program: Program) -> None:
    assert program.filter is not None
    if program.listener is None:
        p.seccomp_set_filter(program.filter, program.filter_flags)
        return
    notify.hand_over(
        program.listener, p.seccomp_set_filter(program.filter, program.filter_flags | p.SECCOMP_NEW_LISTENER)
    )


def become(program: Program, stdio: tuple[int, int, int], *, terminal: bool, last_capability: int) -> None:
    """Become the program; does not return. Raises: OSError, BerthError from the step that failed."""
    # a session of its own first: the terminal can only be taken by its leader
    if terminal:
        make_controlling(stdio[0])
        os.fchown(stdio[0], program.uid, -1)
    else:
        os.setsid()
        _give_pipes(stdio, program.uid)
    for number, fd in enumerate(stdio):
        os.dup2(fd, number)
    if not terminal:
        _reopen_null()
    # limits while we may still raise them
    for name, soft, hard in program.rlimits:
        try:
            p.set_rlimit(name, soft, hard)
        except (OSError, ValueError) as err:
            raise InvalidArgument(f"error setting rlimit type {name} to {soft}:{hard}: {err}", op="setrlimit") from None
    os.umask(program.umask)
    if program.keyring:
        p.join_session_keyring(program.keyring)
    if program.extras is not None:
        tuning.apply(program.extras)
    if program.label is not None:
        labels.apply(program.label)
    # a filter needs no_new_privs or CAP_SYS_ADMIN: without the first it must come before the capabilities go
    if program.filter is not None and not program.no_new_privileges:
        _install_filter(program)
    p.drop_bounding(program.bounding, last_capability)
    os.setgroups(program.groups)
    os.setresgid(program.gid, program.gid, program.gid)
    p.prctl(p.PR_SET_KEEPCAPS, 1)
    os.setresuid(program.uid, program.uid, program.uid)
    p.prctl(p.PR_SET_KEEPCAPS, 0)
    # what the engine itself was not given it cannot pass on: "all" is all that there are, as Docker has it
    ours = p.capget()[1]
    p.capset(program.effective & ours, program.permitted & ours, program.inheritable & ours)
    if program.ambient:
        for number in range(last_capability + 1):
            if (program.ambient & ours) >> number & 1:
                p.prctl(p.PR_CAP_AMBIENT, p.PR_CAP_AMBIENT_RAISE, number)
    if program.no_new_privileges:
        p.prctl(p.PR_SET_NO_NEW_PRIVS, 1)
        if program.filter is not None:
            _install_filter(program)
    p.reset_signals()
    p.close_range_cloexec(3 + program.kept_fds)  # nothing but the three streams, and what was asked for, goes in
    try:
        os.execve(program.path, program.args, program.env)
    except OSError as err:
        raise from_oserror(err, f"exec {program.path}", op="execve", path=program.path) from err
