"""``container cp``: files between this machine and a container, by docker's rules for what exists and what ends in a slash.

source  destination            becomes
file    missing                a file of that name (its directory must exist; not with a slash behind)
file    file                   overwritten
file    directory              a file in it
dir     missing                a directory of that name with the source's contents
dir     directory              a directory in it; of ``dir/.`` the contents alone
dir     file                   refused
"""

from __future__ import annotations

import os
import sys

from berth.base.errors import BerthError, InvalidArgument
from berth.cli.command import Command
from berth.cli.flags import Flag
from berth.client.engine import query

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from berth.cli.flags import Flags
    from berth.client.engine import Engine

_GO_DIRECTORY, _GO_SYMLINK = 1 << 31, 1 << 27
"""Bits of Go's file mode, as the API's stat has it."""


def split(word: str) -> tuple[str, str]:
    """Container and path; ("", word) of a path of this machine."""
    if word.startswith("/"):
        return "", word
    container, colon, path = word.partition(":")
    if not colon or container.startswith("."):
        return "", word
    return container, path


def copy(engine: Engine, flags: Flags) -> int:
    for word, what in zip(flags.args, ("source", "destination"), strict=True):
        if not word:
            raise InvalidArgument(f"{what} can not be empty")
    (source_in, source), (target_in, target) = map(split, flags.args)
    if source_in and target_in:
        raise InvalidArgument("copying between containers is not supported")
    if not source_in and not target_in:
        raise InvalidArgument("must specify at least one container source")
    if source_in:
        return _from_container(engine, flags, source_in, source, target)
    return _to_container(engine, flags, source, target_in, target)


# --- places ------------------------------------------------------------------------------------------------------


class Place:
    """A path, whether something is there, and whether that is a directory."""

    def __init__(self, path: str, *, exists: bool = True, is_dir: bool = False, base: str = "") -> None:
        self.path = path
        self.exists = exists
        self.is_dir = is_dir
        self.base = base or split_entry(path)[1]
        """What the source's entry is called in an archive of it."""


def split_entry(path: str) -> tuple[str, str]:
    """Directory and last part; of ``dir/.`` the directory and ``.``."""
    if path.endswith("/.") or path == ".":
        return path[:-2] or "/" if path != "." else ".", "."
    clean = path.rstrip("/") or "/"
    folder, _, base = clean.rpartition("/")
    return folder or ("/" if clean.startswith("/") else "."), base


def plan(source: Place, target: Place) -> tuple[str, str]:
    """The directory to unpack in, and what the archive's top entry is called there ("" leaves its name).

    Raises: InvalidArgument.
    """
    folder, base = split_entry(target.path)
    if target.exists and target.is_dir:
        return target.path, ""
    if target.exists and source.is_dir:
        raise InvalidArgument("cannot copy directory")
    if not target.exists and not source.is_dir and target.path.endswith(("/", "/.")):
        raise InvalidArgument("no such directory")
    return folder, base


def renamed(name: str, old: str, new: str) -> str:
    """An archive's name with its first part replaced. ``new`` "" changes nothing."""
    if not new:
        return name
    first, slash, rest = name.partition("/")
    return new + slash + rest if first == old else name


# --- container → here --------------------------------------------------------------------------------------------


def _stat(engine: Engine, container: str, path: str) -> dict[str, Any]:
    """Raises: NotFound."""
    import base64
    import json

    response = engine.send("HEAD", f"/containers/{container}/archive" + query(path=path))
    found: dict[str, Any] = json.loads(base64.b64decode(response.headers["x-docker-container-path-stat"]))
    return found


def _followed(path: str, link: str) -> str:
    return link if link.startswith("/") else os.path.join(split_entry(path)[0], link)


def _from_container(engine: Engine, flags: Flags, container: str, path: str, target: str) -> int:
    import base64
    import json

    from berth.cli.tree_unpack import Reader, unpack

    if target != "-":
        target = _absolute(target)
        folder = os.path.dirname(target.rstrip("/") or "/")
        if not os.path.isdir(folder):
            raise InvalidArgument(f'invalid output path: directory "{folder}" does not exist')
    base = ""
    if flags.on("follow-link"):
        found = _stat_or_none(engine, container, path)
        if found and found["mode"] & _GO_SYMLINK:
            base, path = split_entry(path)[1], _followed(path, found["linkTarget"])
    response = engine.send("GET", f"/containers/{container}/archive" + query(path=path), fresh=True)
    if target == "-":
        for chunk in response.chunks():
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
        return 0
    found = json.loads(base64.b64decode(response.headers["x-docker-container-path-stat"]))
    source = Place(path, is_dir=bool(found["mode"] & _GO_DIRECTORY))
    archived = source.base
    place = _local(target)
    folder, name = plan(source, place)
    name = name or (base if base and source.base != "." else "")
    shown = _Shown(flags, f"{container}:{path}", target, "from")
    owners = flags.on("archive") and os.geteuid() == 0
    unpack(Reader(shown.counted(response.chunks())), folder, lambda n: renamed(n, archived, name), owners=owners)
    shown.done()
    return 0


def _stat_or_none(engine: Engine, container: str, path: str) -> dict[str, Any] | None:
    try:
        return _stat(engine, container, path)
    except BerthError:
        return None


def _absolute(path: str) -> str:
    """Absolute, with what stands at its end: a slash, or ``/.``."""
    whole = os.path.abspath(path)
    if path.endswith("/.") or path == ".":
        return f"{whole.rstrip('/')}/."
    return f"{whole.rstrip('/')}/" if path.endswith("/") else whole


def _local(path: str) -> Place:
    """A destination here, its links followed. Raises: InvalidArgument."""
    clean = path.removesuffix("/.").rstrip("/") or "/"
    if not os.path.exists(clean):
        return Place(os.path.realpath(clean) + path[len(clean) :], exists=False)
    is_dir = os.path.isdir(clean)
    if not is_dir and path != clean:
        raise InvalidArgument(f"stat {path}: not a directory")
    return Place(os.path.realpath(clean), is_dir=is_dir)


# --- here → container --------------------------------------------------------------------------------------------


def _to_container(engine: Engine, flags: Flags, source: str, container: str, path: str) -> int:
    if not path:
        raise InvalidArgument(f"no path behind {container}: - write {container}:/ for the root of its file system")
    path = path if path.startswith("/") else f"/{path}"
    target = _remote(engine, container, path)
    shown = _Shown(flags, source, f"{container}:{path}", "to")
    if source == "-":
        if not target.is_dir:
            raise InvalidArgument(f'destination "{container}:{path}" must be a directory')
        folder, upload = target.path, shown.counted(_standard_input())
    else:
        folder, packed = _packed(source, target, follow=flags.on("follow-link"))
        upload = shown.counted(packed)
    where = query(path=folder, noOverwriteDirNonDir="true", copyUIDGID="true" if flags.on("archive") else "")
    headers = {"Content-Type": "application/x-tar"}
    engine.send("PUT", f"/containers/{container}/archive{where}", headers=headers, upload=upload, fresh=True).read()
    shown.done()
    return 0


def _remote(engine: Engine, container: str, path: str) -> Place:
    """A destination in a container, its own link followed. What is not there may come into being."""
    found = _stat_or_none(engine, container, path)
    if found and found["mode"] & _GO_SYMLINK:
        path = _followed(path, found["linkTarget"])
        found = _stat_or_none(engine, container, path)
    return Place(path, exists=found is not None, is_dir=bool(found and found["mode"] & _GO_DIRECTORY))


def _packed(source: str, target: Place, *, follow: bool) -> tuple[str, Iterable[bytes]]:
    """The directory to unpack in and the archive. Raises: InvalidArgument."""
    from berth.cli.tree_pack import pack

    path = _absolute(source)
    clean = path.removesuffix("/.").rstrip("/") or "/"
    if not os.path.lexists(clean):
        raise InvalidArgument(f"lstat {clean}: no such file or directory")
    through = follow or path != clean
    is_dir = os.path.isdir(clean) and (through or not os.path.islink(clean))
    if path != clean and not is_dir:
        raise InvalidArgument(f"lstat {path}: not a directory")
    place = Place(path, is_dir=is_dir)
    folder, name = plan(place, target)
    return folder, pack(os.path.realpath(clean) if through else clean, name or place.base)


def _standard_input() -> Iterator[bytes]:
    while chunk := sys.stdin.buffer.read(1 << 18):
        yield chunk


class _Shown:
    """What a person at a terminal sees of a copy."""

    def __init__(self, flags: Flags, source: str, target: str, way: str) -> None:
        self._on = not flags.on("quiet") and os.isatty(2)
        self._target = target
        self._way = way
        self._size = 0

    def counted(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        from berth.spec.units import human_size

        for chunk in chunks:
            self._size += len(chunk)
            if self._on:
                print(f"\r\033[KCopying {self._way} container - {human_size(self._size, 3)}", end="", file=sys.stderr)
            yield chunk

    def done(self) -> None:
        from berth.spec.units import human_size

        if self._on:
            print(f"\r\033[KSuccessfully copied {human_size(self._size, 3)} to {self._target}", file=sys.stderr)


COMMANDS = {
    "cp": Command(
        "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n[OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
        "Copy files/folders between a container and the local filesystem\n\n"
        "Use '-' as the source to read a tar archive from stdin\n"
        "and extract it to a directory destination in a container.\n"
        "Use '-' as the destination to stream a tar archive of a\ncontainer source to stdout.",
        [
            Flag("archive", "bool", "Archive mode (copy all uid/gid information)", "a"),
            Flag("follow-link", "bool", "Always follow symbol link in SRC_PATH", "L"),
            Flag("quiet", "bool", "Suppress progress output during copy. Progress output is automatically suppressed if no "
                 "terminal is attached", "q"),
        ],
        (2, 2), copy, complete=("places",),
    ),
}  # fmt: skip
