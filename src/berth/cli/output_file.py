"""What a command writes to a file that was named with ``-o``: judged first, then written whole or not at all."""

from __future__ import annotations

import os
import stat
import sys

from berth.base.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from berth.client.http import Response

_NOT_TO = (
    (stat.S_ISDIR, "directory"), (stat.S_ISFIFO, "named pipe (FIFO)"), (stat.S_ISSOCK, "socket"),
    (stat.S_ISCHR, "character device file"), (stat.S_ISBLK, "block device file"),
)  # fmt: skip


def check(target: str, what: str) -> None:
    """Whether the answer may go there, before it is asked for; without a name it goes to standard output.

    ``what`` begins the sentence ("failed to save image"). Raises: InvalidArgument.
    """
    if not target:
        if os.isatty(1):
            raise InvalidArgument("cowardly refusing to save to a terminal. Use the -o flag or redirect")
        return
    folder = os.path.dirname(target)
    if folder and not os.path.isdir(folder):
        raise InvalidArgument(f"{what}: invalid output path: stat {folder}: no such file or directory")
    mode = os.stat(target).st_mode if os.path.exists(target) else 0
    for is_so, kind in _NOT_TO:
        if is_so(mode):
            raise InvalidArgument(f"{what}: cannot write to a {kind}")


def write(response: Response, target: str, what: str) -> None:
    """The answer's body. Raises: InvalidArgument."""
    if not target:
        for chunk in response.chunks():
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
        return
    partial = f"{target}.{os.getpid()}.partial"
    try:
        with open(partial, "wb") as out:
            for chunk in response.chunks():
                out.write(chunk)
        os.rename(partial, target)
    except OSError as err:
        raise InvalidArgument(f"{what}: open {err.filename or target}: {(err.strerror or str(err)).lower()}") from err
    finally:
        if os.path.exists(partial):
            os.unlink(partial)
