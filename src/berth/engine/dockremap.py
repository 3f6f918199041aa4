"""The user ``dockremap`` and its subordinate ids, made when ``--userns-remap=default`` finds none, as dockerd makes them.

Lines are added to passwd, group, shadow, gshadow, subuid and subgid, under the lock that useradd(8) takes; every file is
replaced whole. What is there already stays: who has made the user with ranges of his own finds them used.
Spec: passwd(5), group(5), shadow(5), subuid(5), lckpwdf(3).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from berth.base.errors import BerthError, ResourceExhausted, from_oserror
from berth.engine.userns import DEFAULT_USER, SIZE, entries_of, first_free

_SYSTEM_IDS = range(999, 99, -1)  # from above, as useradd --system does
_MAX_BYTES = 16 << 20


def ensure(etc: str = "/etc") -> None:
    """Idempotent. Raises: Forbidden, ResourceExhausted: what keeps the user from being made, and what to do."""
    if _complete(etc):
        return
    try:
        with _locked(etc):
            if not _complete(etc):  # somebody else did it meanwhile
                _make(etc)
    except OSError as err:
        raise _unable(from_oserror(err, f"write {err.filename or etc}")) from err


def _unable(err: BerthError) -> BerthError:
    text = (
        f"--userns-remap=default: the user {DEFAULT_USER} cannot be made: {err.message}: make it with ranges in /etc/subuid "
        "and /etc/subgid, or name another user"
    )
    return type(err)(text, op=err.op, path=err.path, errno=err.errno)


def _complete(etc: str) -> bool:
    names = {DEFAULT_USER}
    ranges = all(any(n in names and size > 0 for n, _, size in entries_of(f"{etc}/{f}")) for f in ("subuid", "subgid"))
    return ranges and DEFAULT_USER in _names(_read(f"{etc}/passwd"))


def _make(etc: str) -> None:
    """Ranges last: with them it is complete. Raises: OSError, ResourceExhausted."""
    users, groups = _read(f"{etc}/passwd"), _read(f"{etc}/group")
    group_id = _id_of(groups)
    user_id = _id_of(users)
    if user_id is None:
        taken = {*_ids(users), *_ids(groups)}
        wanted = next((n for n in _SYSTEM_IDS if n not in taken), None)
        if wanted is None:
            raise _unable(ResourceExhausted("no system id from 100 to 999 is free"))
        user_id = wanted
        group_id = wanted if group_id is None else group_id
        _add(f"{etc}/passwd", f"{DEFAULT_USER}:x:{user_id}:{group_id}::/home/{DEFAULT_USER}:/bin/false")
        _add_beside(f"{etc}/shadow", f"{DEFAULT_USER}:!:0::::::")
    if DEFAULT_USER not in _names(groups):
        _add(f"{etc}/group", f"{DEFAULT_USER}:x:{user_id if group_id is None else group_id}:")
        _add_beside(f"{etc}/gshadow", f"{DEFAULT_USER}:!::")
    first = first_free(f"{etc}/subuid", f"{etc}/subgid")
    for name in ("subuid", "subgid"):
        if DEFAULT_USER not in {n for n, _, _ in entries_of(f"{etc}/{name}")}:
            _add(f"{etc}/{name}", f"{DEFAULT_USER}:{first}:{SIZE}")


@contextmanager
def _locked(etc: str) -> Iterator[None]:
    fd = os.open(f"{etc}/.pwd.lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _read(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read(_MAX_BYTES).splitlines()
    except FileNotFoundError:
        return []


def _names(lines: Iterable[str]) -> set[str]:
    return {line.partition(":")[0] for line in lines}


def _ids(lines: Iterable[str]) -> Iterator[int]:
    for line in lines:
        fields = line.split(":")
        if len(fields) > 2 and fields[2].isdecimal():
            yield int(fields[2])


def _id_of(lines: Iterable[str]) -> int | None:
    return next(_ids(line for line in lines if line.startswith(f"{DEFAULT_USER}:")), None)


def _add_beside(path: str, line: str) -> None:
    """To a file of secrets, where the host has one."""
    if os.path.exists(path):
        _add(path, line)


def _add(path: str, line: str) -> None:
    """A line more, with the file's mode and owner as they were; the file is replaced atomically. Raises: OSError."""
    text = "".join(f"{entry}\n" for entry in (*_read(path), line))
    temporary = f"{path}.berth"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
            file.flush()
            mode, uid, gid = _like(path)
            os.fchown(fd, uid, gid)
            os.fchmod(fd, mode)
            os.fsync(fd)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _like(path: str) -> tuple[int, int, int]:
    try:
        info = os.stat(path)
    except FileNotFoundError:
        return 0o644, 0, 0
    return info.st_mode & 0o7777, info.st_uid, info.st_gid
