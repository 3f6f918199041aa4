"""Options of the local driver: ``type``, ``device`` and ``o`` are mount(8)'s words, put into a ``MountPlan``.

--opt type=tmpfs --opt device=tmpfs --opt o=size=10m,uid=1000
--opt type=none  --opt device=/srv/data --opt o=bind
--opt type=nfs   --opt device=:/export --opt o=addr=server,vers=4
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from typing import NamedTuple

from berth.base.errors import InvalidArgument, Unavailable
from berth.kernel import mount as m
from berth.spec.units import parse_bytes

_KNOWN = ("type", "o", "device", "size")
_NEEDS = {"device": ("type",), "type": ("device",), "o": ("device", "type")}
_NETWORK = ("nfs", "cifs")

_SET = {
    "ro": m.MS_RDONLY, "nosuid": m.MS_NOSUID, "nodev": m.MS_NODEV, "noexec": m.MS_NOEXEC, "sync": m.MS_SYNCHRONOUS,
    "dirsync": m.MS_DIRSYNC, "mand": m.MS_MANDLOCK, "noatime": m.MS_NOATIME, "nodiratime": m.MS_NODIRATIME,
    "relatime": m.MS_RELATIME, "strictatime": m.MS_STRICTATIME, "bind": m.MS_BIND, "rbind": m.MS_BIND | m.MS_REC,
    "remount": m.MS_REMOUNT, "defaults": 0,
}  # fmt: skip
_CLEAR = {
    "rw": m.MS_RDONLY, "suid": m.MS_NOSUID, "dev": m.MS_NODEV, "exec": m.MS_NOEXEC, "async": m.MS_SYNCHRONOUS,
    "nomand": m.MS_MANDLOCK, "atime": m.MS_NOATIME, "diratime": m.MS_NODIRATIME, "norelatime": m.MS_RELATIME,
    "nostrictatime": m.MS_STRICTATIME,
}  # fmt: skip


class MountPlan(NamedTuple):
    """Arguments of mount(2). ``propagation``: set by a call of its own, after the mount."""

    fstype: str
    device: str
    flags: int
    data: str
    propagation: int

    def __str__(self) -> str:
        """As Docker shows it behind ``device:target``, a password left out."""
        flags = f", flags: {self.flags:#x}" if self.flags else ""
        data = re.sub(r"\bpassword=[^,]*", "password=********", self.data)
        return flags + (f", data: {data}" if data else "")


def check_options(options: Mapping[str, str], *, quotas: bool) -> None:
    """Raises: InvalidArgument in Docker's words, without the volume's name."""
    for option in options:
        if option not in _KNOWN:
            raise InvalidArgument(f'invalid option: "{option}"')
    if size_limit(options) and not quotas:
        raise InvalidArgument("quota size requested but no quota support")
    for option, needed in _NEEDS.items():
        for other in needed if option in options else ():
            if other not in options:
                raise InvalidArgument(f'missing required option: "{other}"')


def size_limit(options: Mapping[str, str]) -> int:
    """Bytes that the volume may hold, 0 without a limit. Raises: InvalidArgument."""
    return _size(options["size"]) if "size" in options else 0


def needs_mount(options: Mapping[str, str] | None) -> bool:
    return bool(options and (options.get("type") or options.get("device")))


def plan_mount(options: Mapping[str, str]) -> MountPlan:
    """What mounts a volume with ``options``; a network filesystem's ``addr`` is looked up (it blocks).

    Raises: InvalidArgument, Unavailable (the address has no answer).
    """
    fstype, device = options.get("type", ""), options.get("device", "")
    if not device:
        raise InvalidArgument("missing device in volume options")
    flags = propagation = 0
    data = []
    for word in filter(None, options.get("o", "").split(",")):
        if word in m.PROPAGATION:
            propagation = m.PROPAGATION[word]
        elif word in _SET:
            flags |= _SET[word]
        elif word in _CLEAR:
            flags &= ~_CLEAR[word]
        else:
            data.append(_resolved(word) if fstype in _NETWORK else word)
    return MountPlan(fstype, device, flags, ",".join(data), propagation)


def _size(text: str) -> int:
    try:
        return parse_bytes(text, "size")
    except InvalidArgument:
        raise InvalidArgument(f"invalid size: '{text}'") from None


def _resolved(word: str) -> str:
    """The kernel takes addresses only."""
    key, _, host = word.partition("=")
    if key != "addr" or not host:
        return word
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as err:
        why = getattr(err, "strerror", None) or err
        raise Unavailable(f"error resolving passed in network volume address: lookup {host}: {why}") from err
    return f"addr={found[0][4][0]}"
