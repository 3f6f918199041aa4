"""Reading json-file logs back, fast: chunks of whole lines are decoded at once and become frames ready for the wire.

The daemon's side only: it may import msgspec and asyncio. A torn last line (a killed machine, a line being written) is left for
the next read. Rotation while following is noticed by the inode: the old file is read to its end first.
"""

import asyncio
import os
import struct
from collections.abc import AsyncIterator, Callable

import msgspec

from berth.base.clock import now_ns
from berth.kernel import inotify
from berth.logs.drivers.json_file import render_time
from berth.spec.streams import LogQuery

CHUNK = 512 * 1024
_BLOCK = 64 * 1024
_RECHECK_S = 0.2
_ATTEMPTS = 20
"""To open a file between two rotations."""


class _Entry(msgspec.Struct):
    log: str = ""
    stream: str = "stdout"
    time: str = ""
    attrs: dict[str, str] | None = None


_decoder = msgspec.json.Decoder(_Entry)
_NUMBER = {"stdout": 1, "stderr": 2}


class LogReader:
    """One reader's place in a container's log files. Plain code: each call reads and renders one chunk."""

    def __init__(self, path: str, query: LogQuery, tty: bool) -> None:
        self._path = path
        self._query = query
        self._tty = tty
        self._wanted = {name for name, on in (("stdout", query.stdout), ("stderr", query.stderr)) if on}
        self._since = render_time(query.since_ns) if query.since_ns else ""
        self._until = render_time(query.until_ns) if query.until_ns else ""
        self._fd = -1
        self._offset = 0
        self._rest = b""
        self._done = False
        for _ in range(_ATTEMPTS):
            if self._open_first():
                break

    def _files(self) -> list[str]:
        """Oldest first. Listed, not probed number by number: while rotation renames them one number is missing."""
        folder, name = os.path.split(self._path)
        try:
            endings = [entry[len(name) + 1 :] for entry in os.listdir(folder) if entry.startswith(name + ".")]
        except OSError:
            endings = []
        numbers = sorted((int(ending) for ending in endings if ending.isdecimal()), reverse=True)
        return [*(self._name(number) for number in numbers), self._path]

    def _name(self, number: int) -> str:
        return f"{self._path}.{number}" if number else self._path

    def _open_first(self) -> bool:
        """The file that holds the first wanted line; the others follow by ``_move_on``. False: rotation came in between."""
        left, last = self._query.tail, -1
        if left is None:
            return self._open_oldest()
        for file in reversed(self._files()):
            if not self._open(file) or self._inode() == last:
                return False
            self._offset, found = _tail_offset(self._fd, left)
            left, last = left - found, self._inode()
            if left <= 0:
                return True
        return _inode(self._files()[0]) == self._inode()

    def _open_oldest(self) -> bool:
        """False when there is none, or when rotation gave its name to another before it was open."""
        if not self._open(self._files()[0]):
            return False
        if _inode(self._files()[0]) != self._inode():
            self._close()
        return self._fd >= 0

    def _inode(self) -> int:
        return os.fstat(self._fd).st_ino

    def _open(self, path: str) -> bool:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return False
        self._close()
        self._fd, self._offset, self._rest = fd, 0, b""
        return True

    def next(self) -> bytes | None:
        """The next rendered bytes; b"" when a chunk held nothing that is wanted; None when there is no more for now."""
        while not self._done:
            if self._fd < 0 and not self._open_oldest():
                return None
            raw = os.pread(self._fd, CHUNK, self._offset)
            if raw:
                self._offset += len(raw)
                at = raw.rfind(b"\n") + 1
                if not at:
                    self._rest += raw
                    continue
                lines, self._rest = self._rest + raw[:at], raw[at:]
                return self._render(lines)
            if not self._move_on():
                return None
        return None

    def _move_on(self) -> bool:
        """At the end of a file: the one that rotation has put after ours. False when ours is the newest.

        Names shift while we look. Rotation renames the oldest first, so while ours still stands under its number the one
        below is its successor or is about to come there; ours is gone only when it has no name any more.
        """
        ours = os.fstat(self._fd)
        if ours.st_size < self._offset:  # it was cut: rotation with a single file
            self._offset, self._rest = 0, b""
            return True
        for _ in range(1000):
            if _inode(self._path) == ours.st_ino:
                return False
            now = os.fstat(
                self._fd
            )  # what was written between our last read and the rotation; nothing comes after that
            if now.st_size > self._offset:
                return True
            if now.st_nlink == 0:
                return self._open_oldest()
            number = next((n for n in range(1, len(self._files()) + 2) if _inode(self._name(n)) == ours.st_ino), 0)
            if not number:
                continue
            try:
                fd = os.open(self._name(number - 1), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except OSError:
                continue
            if _inode(self._name(number)) != ours.st_ino:
                os.close(fd)
                continue
            self._close()
            self._fd, self._offset, self._rest = fd, 0, b""
            return True
        return False

    def _render(self, lines: bytes) -> bytes:
        try:
            entries = _decoder.decode_lines(lines)
        except msgspec.DecodeError:
            entries = [e for e in map(_decode_one, lines.splitlines()) if e is not None]
        if not (self._since or self._until or self._query.timestamps or self._query.details):
            return self._render_plain(entries)
        out = []
        for entry in entries:
            if entry.stream not in self._wanted or (self._since and entry.time < self._since):
                continue
            if self._until and entry.time > self._until:
                self._done = True
                break
            text = entry.log
            if self._query.details:
                text = ",".join(f"{k}={v}" for k, v in sorted((entry.attrs or {}).items())) + " " + text
            if self._query.timestamps:
                text = f"{entry.time} {text}"
            out.append(self._frame(entry.stream, text.encode()))
        return b"".join(out)

    def _render_plain(self, entries: list[_Entry]) -> bytes:
        """Nothing to look at but the stream: neighbours of one stream share a frame."""
        if self._tty:
            return "".join([e.log for e in entries if e.stream in self._wanted]).encode()
        out: list[bytes] = []
        run: list[str] = []
        current = ""
        for entry in entries:
            if entry.stream != current:
                if run and current in self._wanted:
                    out.append(self._frame(current, "".join(run).encode()))
                run, current = [], entry.stream
            run.append(entry.log)
        if run and current in self._wanted:
            out.append(self._frame(current, "".join(run).encode()))
        return b"".join(out)

    def _frame(self, stream: str, text: bytes) -> bytes:
        if self._tty:
            return text
        return struct.pack(">BxxxI", _NUMBER.get(stream, 1), len(text)) + text

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    close = _close


def _decode_one(line: bytes) -> _Entry | None:
    try:
        return _decoder.decode(line)
    except msgspec.DecodeError:
        return None


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return -1


def _tail_offset(fd: int, lines: int) -> tuple[int, int]:
    """Where the last ``lines`` whole lines begin, and how many there are. Reads from the end, a block at a time."""
    size = os.fstat(fd).st_size
    if lines <= 0:
        return size, 0
    position, found = size, 0
    while position > 0:
        start = max(0, position - _BLOCK)
        block = os.pread(fd, position - start, start)
        at = len(block)
        while (at := block.rfind(b"\n", 0, at)) >= 0:
            if start + at == size - 1:
                continue  # the newline that ends the last line
            found += 1
            if found == lines:
                return start + at + 1, found
        position = start
    return 0, found + (1 if size else 0)


async def stream_log(path: str, query: LogQuery, tty: bool, ended: Callable[[], bool]) -> AsyncIterator[bytes]:
    """Everything the query asks for; with ``follow`` also what comes, until ``ended()`` or ``until`` and all was delivered."""
    reader = await asyncio.to_thread(LogReader, path, query, tty)
    watch_fd = -1
    try:
        while True:
            over = ended() or (query.until_ns is not None and now_ns() > query.until_ns)
            chunk = await asyncio.to_thread(reader.next)
            if chunk is not None:
                if chunk:
                    yield chunk
                continue
            if not query.follow or over:
                return
            if watch_fd < 0:
                watch_fd = inotify.watch(os.path.dirname(path))
                continue  # what came before the watch was there
            await _changed(watch_fd)
    finally:
        reader.close()
        if watch_fd >= 0:
            os.close(watch_fd)


async def _changed(fd: int) -> None:
    """Until the watched folder changes, or it is time to look whether the container has ended."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not future.done():
            future.set_result(None)

    loop.add_reader(fd, wake)
    try:
        await asyncio.wait_for(future, _RECHECK_S)
    except TimeoutError:
        pass
    finally:
        loop.remove_reader(fd)
    inotify.drain(fd)
