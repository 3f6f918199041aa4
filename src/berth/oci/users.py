"""Docker's USER text → numbers, by the container's own /etc/passwd and /etc/group.

Forms: "", "name", "name:group", "uid", "uid:gid", "name:gid", "uid:group". The files belong to the image and are hostile:
at most ``MAX_BYTES`` are read, line by line, of a regular file only, through no magic link, and no number passes 2^31 - 1
(CVE-2024-40635, CVE-2026-46680: a larger one became root; CVE-2016-3697: a numeric name was taken for a user;
CVE-2026-47262: endless files).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from berth.base.errors import InvalidArgument
from berth.kernel.files import openat2_in_root

MAX_ID = (1 << 31) - 1
MAX_BYTES = 4 << 20
_CHUNK = 65536
_TOO_LARGE = "uids and gids must be in range 0-2147483647"


class ResolvedUser(NamedTuple):
    uid: int
    gid: int
    additional_gids: list[int]
    home: str


def resolve(text: str, additional_groups: list[str], root: str = "/") -> ResolvedUser:
    """Resolve inside ``root`` (the caller stands in the container's mount namespace, or passes a root).

    Raises: InvalidArgument ("unable to find user x: no matching entries in passwd file", ids out of range).
    """
    user_text, _, group_text = text.partition(":")
    user_name, uid, gid, home = _user(user_text, _entries(root, "etc/passwd", 7))
    # Docker gives the groups that name the user, whether it was asked for by name or by a number it owns
    member = user_name if not group_text else ""
    wanted = {name for name in (group_text, *additional_groups) if name and _number(name) is None}
    gids, extra = _groups(wanted, member, root) if wanted or member else ({}, [])
    if group_text:
        gid = _group(group_text, gids)
    for name in additional_groups:
        extra.append(_group(name, gids))
    if not extra or gid not in extra:
        extra.insert(0, gid)  # the primary group is one of the supplementary ones (CVE-2022-36109)
    return ResolvedUser(uid, gid, list(dict.fromkeys(extra)), home or "/")


def _user(text: str, users: Iterator[list[str]]) -> tuple[str, int, int, str]:
    """(name, uid, gid, home). A number is never looked up as a name, nor a name as a number."""
    if text == "":
        text = "0"
    number = _number(text)
    for entry in users:
        if number is None and entry[0] != text:
            continue
        uid, gid = _entry_number(entry[2]), _entry_number(entry[3])
        if uid is None or gid is None or (number is not None and uid != number):
            continue
        return entry[0], uid, gid, entry[5]
    if number is None:
        raise InvalidArgument(f"unable to find user {text}: no matching entries in passwd file", op="user", path=text)
    return "", number, 0, ""


def _groups(wanted: set[str], member: str, root: str) -> tuple[dict[str, int], list[int]]:
    """One pass over the group file: gids of the wanted names (the first entry counts), and those that name ``member``."""
    gids: dict[str, int] = {}
    of_member: list[int] = []
    for entry in _entries(root, "etc/group", 4):
        gid = _entry_number(entry[2])
        if gid is None:
            continue
        if entry[0] in wanted:
            gids.setdefault(entry[0], gid)
        if member and member in entry[3].split(","):
            of_member.append(gid)
    return gids, of_member


def _group(text: str, gids: dict[str, int]) -> int:
    number = _number(text)
    if number is not None:
        return number
    if text in gids:
        return gids[text]
    raise InvalidArgument(f"unable to find group {text}: no matching entries in group file", op="group", path=text)


def _number(text: str) -> int | None:
    """A decimal id, None for a name. Raises: InvalidArgument past 2^31 - 1."""
    if not text or not text.isascii() or not text.isdigit():
        return None
    number = int(text) if len(text) < 20 else MAX_ID + 1
    if number > MAX_ID:
        raise InvalidArgument(_TOO_LARGE, op="user", path=text)
    return number


def _entry_number(text: str) -> int | None:
    """An id of the image's file; one that is no id, or too large, makes its line count for nothing."""
    try:
        return _number(text)
    except InvalidArgument:
        return None


def _entries(root: str, path: str, fields: int) -> Iterator[list[str]]:
    """Lines of a colon file with at least ``fields`` fields; a missing or odd file has none."""
    try:
        root_fd = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # not blocking: a FIFO would keep us until somebody writes; no magic link: /proc/self/fd/N is no user database
            fd = openat2_in_root(root_fd, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        finally:
            os.close(root_fd)
    except OSError:
        return
    try:
        if stat.S_ISREG(os.fstat(fd).st_mode):
            for line in _lines(fd):
                parts = line.split(":")
                if len(parts) >= fields and not line.startswith("#"):
                    yield parts
    finally:
        os.close(fd)


def _lines(fd: int) -> Iterator[str]:
    """At most ``MAX_BYTES`` of lines; memory stays at one chunk, the container pays for it. A line longer than that is none."""
    left, rest = MAX_BYTES, b""
    while left > 0:
        try:
            chunk = os.read(fd, min(_CHUNK, left))
        except OSError:  # a regular file of procfs may refuse
            chunk = b""
        left -= len(chunk)
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop() if chunk and len(lines[-1]) <= _CHUNK else b""
        for line in [line for line in lines if b":" in line]:  # what can be no entry costs the least
            yield line.decode("utf-8", "replace")
        if not chunk:
            return
