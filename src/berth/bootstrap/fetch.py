"""Files of an archive, by http, https and file:; proxies are taken from the environment."""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from berth.base.errors import DataLoss, InvalidArgument, NotFound, Unavailable

_CHUNK = 1 << 18
_AT_ONCE = 6
_TRIES = 3
_TIMEOUT_S = 60
_MAX_INDEX = 256 << 20


class Wish(NamedTuple):
    """A file to fetch: where from, where to, and what it must be."""

    url: str
    path: str
    size: int
    sha256: str


def read(url: str, limit: int = _MAX_INDEX) -> bytes:
    """A small file whole. Raises: NotFound, Unavailable, InvalidArgument for a URL that is none."""
    error: Exception | None = None
    for _ in range(_TRIES):
        try:
            with _open(url) as answer:
                content: bytes = answer.read(limit + 1)
            if len(content) > limit:
                raise DataLoss(f"{url} is larger than {limit} bytes")
            return content
        except (OSError, urllib.error.URLError) as err:
            error = err
            if _is_absent(err):
                raise NotFound(f"{url}: not found") from err
    raise Unavailable(f"{url}: {_reason(error)}") from error


def _open(url: str):  # type: ignore[no-untyped-def]  # what urlopen returns has no public type
    if not url.startswith(("http://", "https://", "file:")):
        raise InvalidArgument(f'"{url}" is no http, https or file URL')
    request = urllib.request.Request(url, headers={"User-Agent": "berth-bootstrap"})
    return urllib.request.urlopen(request, timeout=_TIMEOUT_S)


def _is_absent(err: Exception) -> bool:
    if isinstance(err, urllib.error.HTTPError):
        return err.code in (404, 410, 403)  # mirrors on object stores say 403 for what is not there
    return isinstance(getattr(err, "reason", err), FileNotFoundError)


def _reason(err: Exception | None) -> str:
    if isinstance(err, urllib.error.HTTPError):
        return f"the mirror answered with status {err.code}"
    return str(getattr(err, "reason", err))


def download(wishes: Iterable[Wish], advance: Callable[[int], None]) -> None:
    """Fetch all, several at once; ``advance`` is told of every piece. Raises: as ``read``, DataLoss for a wrong hash."""
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        tasks = [threads.submit(_download, wish, advance) for wish in wishes]
        try:
            for task in tasks:
                task.result()
        except BaseException:
            for task in tasks:
                task.cancel()
            raise


def _download(wish: Wish, advance: Callable[[int], None]) -> None:
    error: Exception | None = None
    for _ in range(_TRIES):
        got = 0
        try:
            with _open(wish.url) as answer, open(wish.path, "wb") as out:
                seen = hashlib.sha256()
                while piece := answer.read(_CHUNK):
                    got += len(piece)
                    if got > wish.size:
                        break
                    seen.update(piece)
                    out.write(piece)
                    advance(len(piece))
            if got == wish.size and seen.hexdigest() == wish.sha256:
                return
            error = DataLoss(f"{wish.url} is not what the archive's index names: hash or size differ")
        except (OSError, urllib.error.URLError) as err:
            error = err
            if _is_absent(err):
                raise NotFound(f"{wish.url}: not found") from err
        advance(-min(got, wish.size))
        if os.path.exists(wish.path):
            os.unlink(wish.path)
    if isinstance(error, DataLoss):
        raise error
    raise Unavailable(f"{wish.url}: {_reason(error)}") from error
