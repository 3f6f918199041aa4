"""``docker cp``: what a path of a container is, the tar of it, and a tar into one of its directories.

Paths are the container's: relative ones begin at its "/", and links are followed inside. A trailing "/" or "/." asks for
what a link leads to, and for a directory.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, nullcontext

from berth.base.errors import BerthError, InvalidArgument
from berth.engine.apart import apart
from berth.engine.containers import archive_paths as paths
from berth.engine.containers.deps import Deps, publish
from berth.engine.containers.record import Container
from berth.engine.containers.view import View, viewing
from berth.engine.images.load import Pipe
from berth.engine.outflow import outflow
from berth.engine.userns import Range
from berth.kernel import idmapped_overlay
from berth.oci.users import resolve
from berth.snapshots.archive import Owner
from berth.snapshots.resource import Rules, extract, write_resource
from berth.snapshots.tar_write import Write
from berth.spec.streams import PathArchive, PathStat

_OVERFLOW_ID = 65534


async def stat_path(deps: Deps, ref: str, path: str) -> PathStat:
    """Raises: NotFound, InvalidArgument."""
    async with viewing(deps, deps.containers.get(ref), write=False) as view:
        return await asyncio.to_thread(_stat, view, path, ref)


async def read_path(deps: Deps, ref: str, path: str) -> PathArchive:
    """What the path is, and its tar. Raises: NotFound, InvalidArgument."""
    container = deps.containers.get(ref)
    held = AsyncExitStack()
    try:
        view = await held.enter_async_context(viewing(deps, container, write=False))
        with paths.in_words(path, ref):
            place = await asyncio.to_thread(held.enter_context, paths.opened(view.root_fd, path))
        status = await asyncio.to_thread(_stat_place, view, place, path, ref)
    except BaseException:
        await held.aclose()
        raise
    publish(deps, container, "archive-path")

    def work(write: Write) -> None:
        write_resource(place.parent_fd, place.base, place.name, write, _as_inside(view))

    return PathArchive(status, outflow(None, work), held.aclose)


async def write_path(
    deps: Deps, ref: str, path: str, source: AsyncIterator[bytes], *, keep_kind: bool, as_user: bool
) -> None:
    """Unpack a tar into the directory ``path``, which is there.

    ``keep_kind``: see ``Rules``. ``as_user``: all of it belongs to the container's user, not to whom the tar says.
    Raises: NotFound, InvalidArgument (no directory, read-only, what ``extract`` refuses), ResourceExhausted.
    """
    container = deps.containers.get(ref)
    async with viewing(deps, container, write=True) as view:
        with paths.in_words(path, ref):
            directory = await asyncio.to_thread(paths.extraction_point, view.root_fd, path)
        _check_writable(container, directory, view.live)
        rules = Rules(keep_kind, await asyncio.to_thread(_owner_of, container, view, as_user))
        identity = idmapped_overlay.identity(*view.id_map.root) if view.id_map else nullcontext()

        def work(pipe: Pipe) -> None:
            with identity:
                extract(pipe, view.root_fd, directory, rules)

        await _feed(source, work)
    publish(deps, container, "extract-to-dir")


async def _feed(source: AsyncIterator[bytes], work: Callable[[Pipe], None]) -> None:
    """Run ``work`` on a thread over what comes from ``source``; an end before its time is told as ``source`` tells it."""
    pipe = Pipe()
    feeder = asyncio.ensure_future(pipe.feed(source))
    task = asyncio.ensure_future(apart(lambda: work(pipe), "extract"))
    try:
        await asyncio.shield(task)
    except BerthError:
        if feeder.done() and not feeder.cancelled() and (failed := feeder.exception()) is not None:
            raise failed from None
        raise
    finally:
        feeder.cancel()  # a reader that is still there hears of it
        await asyncio.gather(feeder, task, return_exceptions=True)


def _stat(view: View, path: str, ref: str) -> PathStat:
    with paths.in_words(path, ref), paths.opened(view.root_fd, path) as place:
        return _stat_place(view, place, path, ref)


def _stat_place(view: View, place: paths.Place, path: str, ref: str) -> PathStat:
    with paths.in_words(path, ref):
        status = os.stat(place.base, dir_fd=place.parent_fd, follow_symlinks=False)
        target = paths.link_target(view.root_fd, path) if paths.is_link(status) else ""
        return PathStat(place.name, status.st_size, status.st_mode, status.st_mtime_ns, target)


def _check_writable(container: Container, directory: str, live: bool) -> None:
    """Raises: InvalidArgument."""
    below = [
        point for point in container.row.mounts
        if f"{directory}/".startswith(f"{point.destination.rstrip('/')}/") and (live or point.type != "tmpfs")
    ]  # fmt: skip
    if not below:
        if container.row.host_config.get("ReadonlyRootfs"):
            raise InvalidArgument("container rootfs is marked read-only")
    elif not max(below, key=lambda point: len(point.destination)).rw:
        raise InvalidArgument("mounted volume is marked read-only")


def _owner_of(container: Container, view: View, as_user: bool) -> Owner:
    """Who is to own what comes. Raises: InvalidArgument (there is no such user)."""
    user = str(container.row.config.get("User") or "")
    if not as_user or not user:
        return lambda uid, gid: _as_outside(view, uid, gid)
    found = resolve(user, [], f"/proc/self/fd/{view.root_fd}")
    given = _as_outside(view, found.uid, found.gid)
    return lambda uid, gid: given


def _as_inside(view: View) -> Owner:
    """The host's ids as the container has them; what has no number there is nobody's."""
    id_map = view.id_map
    if id_map is None:
        return lambda uid, gid: (uid, gid)
    return lambda uid, gid: (_inside(id_map.uid, uid), _inside(id_map.gid, gid))


def _inside(ranges: tuple[Range, ...], number: int) -> int:
    return next(
        (number - r.outside + r.inside for r in ranges if r.outside <= number < r.outside + r.size), _OVERFLOW_ID
    )


def _as_outside(view: View, uid: int, gid: int) -> tuple[int, int]:
    if view.id_map is None:
        return uid, gid
    return _outside(view.id_map.uid, uid), _outside(view.id_map.gid, gid)


def _outside(ranges: tuple[Range, ...], number: int) -> int:
    for r in ranges:
        if r.inside <= number < r.inside + r.size:
            return number - r.inside + r.outside
    raise InvalidArgument(f"Container ID {number} cannot be mapped to a host ID")
