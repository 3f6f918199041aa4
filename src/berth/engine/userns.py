"""``--userns-remap``: which ids of the host's stand for a container's.

    default              the ranges of ``dockremap`` in /etc/subuid and /etc/subgid (``dockremap.py`` makes them)
    user[:group], uid    the ranges of that user

Spec: subuid(5); Docker's ``--userns-remap`` and ``--userns=host``.
"""

from __future__ import annotations

import grp
import pwd
from collections.abc import Mapping
from typing import Any, NamedTuple

from berth.base.errors import InvalidArgument
from berth.snapshots.shift import Shift

DEFAULT_USER = "dockremap"
_FREE_FROM, SIZE = 100_000, 65_536
_MAX_ID = (1 << 32) - 2


class Range(NamedTuple):
    """Container's first id, the host's, how many."""

    inside: int
    outside: int
    size: int


class IdMap(NamedTuple):
    """The ranges of one engine's containers."""

    uid: tuple[Range, ...]
    gid: tuple[Range, ...]

    @property
    def root(self) -> tuple[int, int]:
        """The host's uid and gid of a container's root."""
        return self.uid[0].outside, self.gid[0].outside

    @property
    def highest_gid(self) -> int:
        """The container's highest group that there is."""
        return max(r.inside + r.size for r in self.gid) - 1

    @property
    def shift(self) -> Shift:
        """As files are moved through it."""
        return Shift(tuple((*r,) for r in self.uid), tuple((*r,) for r in self.gid))

    @property
    def reverse(self) -> IdMap:
        """From the host's ids to the container's."""
        return IdMap(*(tuple(Range(r.outside, r.inside, r.size) for r in ranges) for ranges in self))

    def render(self) -> dict[str, Any]:
        """As OCI ``linux`` has them."""
        return {
            f"{name}Mappings": [{"containerID": r.inside, "hostID": r.outside, "size": r.size} for r in ranges]
            for name, ranges in (("uid", self.uid), ("gid", self.gid))
        }


def map_of(shift: Shift) -> IdMap:
    """The map that a layer's files went through."""
    return IdMap(tuple(Range(*r) for r in shift.uid), tuple(Range(*r) for r in shift.gid))


def id_map_of(option: str, subuid: str = "/etc/subuid", subgid: str = "/etc/subgid") -> IdMap | None:
    """The daemon's option → its map, None when it is empty. Raises: InvalidArgument (no such user, no ranges)."""
    if not option:
        return None
    user, colon, group = (DEFAULT_USER if option == "default" else option).partition(":")
    names = {DEFAULT_USER} if option == "default" else _names_of(user)
    if colon:
        _check_group(group)
    uid, gid = _ranges(subuid, names), _ranges(subgid, names)
    for found, path in ((uid, subuid), (gid, subgid)):
        if not found:
            raise InvalidArgument(f'can\'t create ID mappings: no ranges found for user "{user}" in {path}')
    return IdMap(uid, gid)


def _names_of(user: str) -> set[str]:
    """Name and number of a user: subuid(5) may have either."""
    try:
        entry = pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
    except KeyError:
        if user.isdigit():
            return {user}
        raise InvalidArgument(f'error during "{user}" user lookup: there is no such user on this host') from None
    return {entry.pw_name, str(entry.pw_uid)}


def _check_group(group: str) -> None:
    try:
        grp.getgrgid(int(group)) if group.isdigit() else grp.getgrnam(group)
    except KeyError:
        raise InvalidArgument(f'error during "{group}" group lookup: there is no such group on this host') from None


def _ranges(path: str, names: set[str]) -> tuple[Range, ...]:
    """The user's ranges, one after the other from the container's 0 on."""
    found: list[Range] = []
    inside = 0
    for name, first, size in entries_of(path):
        if name in names and size > 0:
            found.append(Range(inside, first, size))
            inside += size
    return tuple(found)


def entries_of(path: str) -> list[tuple[str, int, int]]:
    """(name or number of the user, first id, how many) of each line that is one."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read(1 << 20)
    except OSError:
        return []
    entries = []
    for line in text.splitlines():
        name, *numbers = line.split("#", 1)[0].strip().split(":")
        if len(numbers) == 2 and all(n.isascii() and n.isdigit() for n in numbers) and int(numbers[0]) <= _MAX_ID:
            entries.append((name, int(numbers[0]), int(numbers[1])))
    return entries


def first_free(*paths: str) -> int:
    """The first of ``SIZE`` ids that nobody's entry has."""
    first = _FREE_FROM
    for _, start, size in sorted((e for path in paths for e in entries_of(path)), key=lambda e: e[1]):
        if start < first + SIZE and start + size > first:
            first = start + size
    return first


def remapped(id_map: IdMap | None, host_config: Mapping[str, Any]) -> bool:
    """Whether a container lives in a user namespace: the daemon has a map, and it did not opt out (``--userns=host``)."""
    return id_map is not None and host_config.get("UsernsMode") != "host"


def check(id_map: IdMap | None, host_config: Mapping[str, Any]) -> None:
    """Docker's refusals in Docker's words. Raises: InvalidArgument."""
    if not remapped(id_map, host_config):
        return
    if host_config.get("Privileged"):
        raise InvalidArgument(
            "privileged mode is incompatible with user namespaces.  You must run the container in the host namespace when "
            "running privileged mode"
        )
    if host_config.get("NetworkMode") == "host":
        raise InvalidArgument("cannot share the host's network namespace when user namespaces are enabled")
    if host_config.get("PidMode") == "host":
        raise InvalidArgument("cannot share the host PID namespace when user namespaces are enabled")
