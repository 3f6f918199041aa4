"""json-file: ``{"log":"text\\n","stream":"stdout","time":"2026-01-02T03:04:05.000000006Z"}``, one line each.

A line longer than 16 KB is several entries without the newline, as in Docker. Chunks are encoded whole where their text
allows it: plain ASCII needs one ``replace``, other text one call of the C encoder.
"""

from __future__ import annotations

import json.encoder
import os
import time

MAX_PARTIAL = 16 * 1024
_SAFE = bytes(c for c in range(32, 127) if c not in b'"\\') + b"\n"
_encode_string = json.encoder.encode_basestring  # the C one: quotes included, non-ASCII kept


def render_time(ns: int) -> str:
    """RFC 3339 with nine digits, so that lines sort as text."""
    seconds, fraction = divmod(ns, 1_000_000_000)
    t = time.gmtime(seconds)
    return f"{t[0]:04d}-{t[1]:02d}-{t[2]:02d}T{t[3]:02d}:{t[4]:02d}:{t[5]:02d}.{fraction:09d}Z"


def encode_lines(text: bytes, tail: bytes) -> bytes:
    """Whole lines as entries; ``tail`` is ``,"stream":…}`` and a newline."""
    separator = b'\\n"' + tail + b'{"log":"'
    if not text.translate(None, _SAFE):
        body = text[:-1].replace(b"\n", separator)
        return b'{"log":"' + body + b'\\n"' + tail
    if b"\\" in text:  # an escaped backslash before an n would look like an escaped newline
        return b"".join(
            b'{"log":' + _encode_string(line.decode("utf-8", "replace") + "\n").encode() + tail
            for line in text[:-1].split(b"\n")
        )
    encoded = _encode_string(text[:-1].decode("utf-8", "replace")).encode()
    return b'{"log":' + encoded[:-1].replace(b"\\n", separator) + b'\\n"' + tail


class JsonFileWriter:
    """One container's log file. ``lost`` counts bytes that could not be written."""

    def __init__(self, path: str, *, max_size: int, max_file: int, attrs: dict[str, str]) -> None:
        self._path = path
        self._max_size = max_size
        self._max_file = max_file
        extra = b',"attrs":' + json.dumps(attrs).encode() if attrs else b""
        self._heads = {name: extra + b',"stream":"' + name.encode() + b'","time":"' for name in ("stdout", "stderr")}
        self._partial = {"stdout": b"", "stderr": b""}
        self.lost = 0
        self._fd = -1
        self._size = 0
        self._open()

    def _open(self) -> None:
        try:
            self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
            self._size = os.fstat(self._fd).st_size
        except OSError:
            self._fd = -1  # a full disk, or the folder was taken away: tried again with the next chunk

    def write(self, stream: str, chunk: bytes) -> None:
        """Take a chunk as it was read. Never raises."""
        carried = self._partial[stream]
        at = chunk.rfind(b"\n") + 1
        tail = self._heads[stream] + render_time(time.time_ns()).encode() + b'"}\n'
        if at:
            self._append(encode_lines(carried + chunk[:at] if carried else chunk[:at], tail))
            carried = chunk[at:]
        else:
            carried += chunk
        while len(carried) >= MAX_PARTIAL:
            self._append_partial(carried[:MAX_PARTIAL], tail)
            carried = carried[MAX_PARTIAL:]
        self._partial[stream] = carried

    def finish(self, stream: str) -> None:
        """The stream has ended: what is left is an entry without a newline."""
        carried, self._partial[stream] = self._partial[stream], b""
        if carried:
            self._append_partial(carried, self._heads[stream] + render_time(time.time_ns()).encode() + b'"}\n')

    def _append_partial(self, text: bytes, tail: bytes) -> None:
        self._append(b'{"log":' + _encode_string(text.decode("utf-8", "replace")).encode() + tail)

    def _append(self, entries: bytes) -> None:
        while self._max_size > 0 and self._size + len(entries) > self._max_size:
            room = self._max_size - self._size
            cut = entries.rfind(b"\n", 0, max(room, 0)) + 1
            if not cut and not self._size:
                cut = entries.find(b"\n") + 1  # one entry alone is longer than a file may be
            if cut:
                self._put(entries[:cut])
                entries = entries[cut:]
            if not entries:
                return
            self._rotate()
        self._put(entries)

    def _put(self, entries: bytes) -> None:
        if self._fd < 0:
            self._open()
        try:
            written = os.write(self._fd, entries) if self._fd >= 0 else 0
        except OSError:
            written = 0
        self._size += written
        if 0 < written < len(entries):
            self._mend(entries[:written])
        self.lost += len(entries) - written

    def _mend(self, written: bytes) -> None:
        """A torn entry at the end of a full disk: take the file back to the last whole one."""
        torn = len(written) - (written.rfind(b"\n") + 1)
        try:
            os.ftruncate(self._fd, self._size - torn)
            self._size -= torn
            self.lost += torn
        except OSError:
            pass

    def _rotate(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        try:
            if self._max_file <= 1:
                os.truncate(self._path, 0)
            else:
                for number in range(self._max_file - 1, 1, -1):
                    try:
                        os.rename(f"{self._path}.{number - 1}", f"{self._path}.{number}")
                    except FileNotFoundError:
                        pass
                os.rename(self._path, f"{self._path}.1")
        except OSError:
            pass
        self._open()

    def reopen(self) -> None:
        """Somebody moved the file away (logrotate): go on in a new one."""
        if self._fd >= 0:
            os.close(self._fd)
        self._open()

    def close(self) -> None:
        for stream in self._partial:
            self.finish(stream)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
