"""One entry of ``mounts``: its options understood, its source opened as a mount that stands nowhere yet.

Spec: OCI runtime-spec 1.2 config.md "Mounts", "Linux mount options". The words are mount(8)'s and the specification's.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from berth.base.errors import InvalidArgument
from berth.kernel import mount as m
from berth.oci.places import Place, open_place, split_words

IGNORED_WORDS = frozenset(
    "defaults async silent loud mand nomand acl noacl iversion noiversion nolazytime "
    "bind rbind remount tmpcopyup idmap ridmap".split()
)
"""What says how to mount, or asks for what the kernel does anyway."""


class Entry(NamedTuple):
    """``bind``: the source is a place of the host's; ``recursive`` with what is mounted below it."""

    place: str
    kind: str
    source: str
    options: tuple[str, ...]
    bind: bool
    recursive: bool
    uid_mappings: tuple[Mapping[str, Any], ...] = ()
    gid_mappings: tuple[Mapping[str, Any], ...] = ()
    where: Place = Place()

    @property
    def shared(self) -> bool:
        """Mounts made in the container are to reach the host: the source must be opened where the host's mounts are."""
        return "shared" in self.options or "rshared" in self.options

    @property
    def idmapped(self) -> bool:
        return bool(self.uid_mappings or self.gid_mappings) or "idmap" in self.options or "ridmap" in self.options


class Options(NamedTuple):
    """``data`` for the filesystem; attributes to set and clear, on the mount alone and on all below it; propagation."""

    data: list[str]
    attributes: int
    cleared: int
    all_attributes: int
    all_cleared: int
    propagation: int


def entries_of(spec: Mapping[str, Any]) -> list[Entry]:
    """Raises: InvalidArgument (no destination, words that are none)."""
    found = []
    for raw in spec.get("mounts") or ():
        place, options = raw.get("destination"), tuple(str(o) for o in raw.get("options") or ())
        if not isinstance(place, str) or not place:
            raise InvalidArgument("a mount of config.json has no destination", op="mount")
        kind, source = str(raw.get("type") or "bind"), str(raw.get("source") or "")
        options, where = split_words(options)
        bind = kind == "bind" or "bind" in options or "rbind" in options
        found.append(Entry(
            place if place.startswith("/") else "/" + place, kind, source, options, bind, "rbind" in options,
            tuple(raw.get("uidMappings") or ()), tuple(raw.get("gidMappings") or ()), where,
        ))  # fmt: skip
    return found


def parse_options(entry: Entry) -> Options:
    """Raises: InvalidArgument: a bind knows no other words."""
    data: list[str] = []
    attributes = cleared = all_attributes = all_cleared = propagation = 0
    for option in entry.options:
        if option in m.OPTION_FLAGS:
            set_, clear = m.OPTION_FLAGS[option]
            attributes = attributes & ~clear | set_
            cleared = cleared & ~set_ | clear
        elif option in m.RECURSIVE_FLAGS:
            set_, clear = m.RECURSIVE_FLAGS[option]
            all_attributes = all_attributes & ~clear | set_
            all_cleared = all_cleared & ~set_ | clear
        elif option in m.PROPAGATION:
            propagation = m.PROPAGATION[option]
        elif option not in IGNORED_WORDS:
            data.append(option)
    if entry.bind and data:
        raise InvalidArgument(f'unknown mount option "{data[0]}"', op="mount", path=entry.place)
    return Options(data, attributes, cleared, all_attributes, all_cleared, propagation)


def open_bind(entry: Entry, *, userns_fd: int = -1) -> int:
    """The source as a detached mount with its attributes. Raises: OSError, InvalidArgument."""
    fd = open_place(entry.source, entry.where, recursive=entry.recursive, userns_fd=userns_fd)
    try:
        if userns_fd >= 0 and not entry.where.layers:
            deep = entry.recursive and "idmap" not in entry.options
            m.mount_setattr(fd, m.ATTR_IDMAP, recursive=deep, userns_fd=userns_fd)
        set_attributes(fd, parse_options(entry))
    except BaseException:
        os.close(fd)
        raise
    return fd


def open_filesystem(entry: Entry, label: str = "") -> int:
    """A new filesystem as a detached mount. Raises: OSError, InvalidArgument."""
    options = parse_options(entry)
    data = [*options.data, *([f"context={label}"] if label else [])]
    source = entry.source if entry.kind in _WITH_SOURCE or entry.source.startswith("/") else ""
    fd = m.new_filesystem(entry.kind, data, options.attributes, source=source)
    if options.all_attributes or options.all_cleared or options.propagation:
        set_attributes(fd, options._replace(attributes=0, cleared=0))
    return fd


_WITH_SOURCE = frozenset({"tmpfs", "proc"})


def set_attributes(fd: int, options: Options) -> None:
    """The attributes and the propagation of a mount, alone and with all below it."""
    if options.attributes or options.cleared:
        m.mount_setattr(fd, options.attributes, options.cleared)
    if options.all_attributes or options.all_cleared:
        m.mount_setattr(fd, options.all_attributes, options.all_cleared, recursive=True)
    if options.propagation:
        flag = options.propagation & ~m.MS_REC
        m.mount_setattr(fd, 0, 0, flag, recursive=bool(options.propagation & m.MS_REC))


def is_directory(fd: int) -> bool:
    return stat.S_ISDIR(os.fstat(fd).st_mode)


def known_options() -> Sequence[str]:
    return sorted({*m.OPTION_FLAGS, *m.RECURSIVE_FLAGS, *m.PROPAGATION, *IGNORED_WORDS, "dirsync", "lazytime", "sync"})
