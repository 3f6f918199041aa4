"""One process's streams: output to the log and to clients, input from clients.

A client is a socket that the daemon handed over. Its bytes wait in a bounded buffer: past ``HIGH_WATER`` the process's output is
not read any more (the process feels back-pressure, as with a pipe), and a client that takes nothing for ``STUCK_S`` is
dropped, so that a stuck reader never stops a container.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from typing import Protocol

HIGH_WATER = 1 << 20
STEP = 64 * 1024
STUCK_S = 30.0

EPOLLIN = 1
EPOLLOUT = 4


class Loop(Protocol):
    """What streams need of the shim's event loop."""

    def watch(self, fd: int, events: int, callback: Callable[[int], None]) -> None: ...

    def unwatch(self, fd: int) -> None: ...


class Client:
    """One attached client."""

    def __init__(
        self, loop: Loop, sock: socket.socket, *, stdin: bool, stdout: bool, stderr: bool, framed: bool,
        detach_keys: bytes,
    ) -> None:  # fmt: skip
        sock.setblocking(False)
        self.sock = sock
        self.fd = sock.fileno()
        self.wants = {"stdout": stdout, "stderr": stderr}
        self.stdin = stdin
        self.framed = framed
        self.detach_keys = detach_keys
        self.matched = 0
        self.out = bytearray()
        self.stuck_since = 0.0
        self.reading = stdin
        self.closing = False
        self.dead = False
        self.hub: Hub | None = None
        self._loop = loop
        self._watched = -1

    def update(self) -> None:
        """Tell the loop what is waited for."""
        if self.dead:
            return
        events = (EPOLLIN if self.reading else 0) | (EPOLLOUT if self.out else 0)
        if events != self._watched:
            self._loop.watch(self.fd, events, self._ready)
            self._watched = events

    def send(self, stream: str, chunk: bytes) -> None:
        """Queue output and write what goes at once."""
        if self.dead or not self.wants.get(stream):
            return
        if self.framed:
            self.out += (b"\x01\0\0\0" if stream == "stdout" else b"\x02\0\0\0") + len(chunk).to_bytes(4, "big")
        self.out += chunk
        self.flush()

    def flush(self) -> None:
        while self.out:
            try:
                sent = self.sock.send(memoryview(self.out)[: 4 * STEP])
            except BlockingIOError:
                if not self.stuck_since:
                    self.stuck_since = time.monotonic()
                break
            except OSError:
                self.drop()
                return
            del self.out[:sent]
            self.stuck_since = 0.0
        if not self.out and self.closing:
            self.drop()
            return
        self.update()

    def finish(self) -> None:
        """Close once everything was delivered."""
        self.closing = True
        self.reading = False
        self.flush()

    def drop(self) -> None:
        if self.dead:
            return
        self.dead = True
        self._loop.unwatch(self.fd)
        self.sock.close()
        self.out.clear()
        if self.hub is not None:
            self.hub.client_gone(self)

    def check_stuck(self, now: float) -> None:
        if self.out and self.stuck_since and now - self.stuck_since > STUCK_S:
            self.drop()

    def _ready(self, events: int) -> None:
        if events & EPOLLOUT:
            self.flush()
        if self.dead:
            return
        if events & EPOLLIN and self.reading:
            self._read()
        elif events & ~(EPOLLIN | EPOLLOUT):  # hang-up or error: nobody is there any more
            self.drop()

    def _read(self) -> None:
        try:
            chunk = self.sock.recv(STEP)
        except BlockingIOError:
            return
        except OSError:
            self.drop()
            return
        if self.hub is None:
            return
        if not chunk:
            self.reading = False
            self.update()
            self.hub.input_ended(self)
            return
        self.take(chunk)

    def take(self, chunk: bytes) -> None:
        """Input from the client, detach keys looked for."""
        hub = self.hub
        if hub is None:
            return
        if self.detach_keys and hub.tty:
            chunk, detached = self._without_keys(chunk)
            if chunk:
                hub.input(self, chunk)
            if detached:
                hub.detached(self)
            return
        hub.input(self, chunk)

    def _without_keys(self, chunk: bytes) -> tuple[bytes, bool]:
        keys, kept = self.detach_keys, bytearray()
        for byte in chunk:
            if byte == keys[self.matched]:
                self.matched += 1
                if self.matched == len(keys):
                    self.matched = 0
                    return bytes(kept), True
                continue
            if self.matched:
                kept += keys[: self.matched]
                self.matched = 1 if byte == keys[0] else 0
                if self.matched:
                    continue
            kept.append(byte)
        return bytes(kept), False


class Hub:
    """The streams of one process (init or exec): output descriptors, clients, standard input, log."""

    def __init__(
        self, loop: Loop, *, tty: bool, stdin_once: bool, log: Callable[[str, bytes], None],
        log_end: Callable[[str], None], on_detach: Callable[[], None], on_vanish: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        self.tty = tty
        self._loop = loop
        self._stdin_once = stdin_once
        self._log = log
        self._log_end = log_end
        self._on_detach = on_detach
        self._on_vanish = on_vanish
        self.clients: list[Client] = []
        self._outputs: dict[int, str] = {}  # descriptor → stream name
        self._paused = False
        self._stdin_fd = -1
        self._stdin = bytearray()
        self._stdin_closing = False
        self._stdin_watched = False
        self.master = -1

    # --- wiring

    def add_output(self, fd: int, stream: str) -> None:
        os.set_blocking(fd, False)
        self._outputs[fd] = stream
        self._loop.watch(fd, EPOLLIN, lambda events: self._readable(fd))

    def set_stdin(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._stdin_fd = fd

    def set_master(self, fd: int) -> None:
        """A terminal is both: what is written to it is input, what is read is stdout."""
        self.master = fd
        self.add_output(fd, "stdout")
        self._stdin_fd = os.dup(fd)

    def attach(self, client: Client, early: bytes) -> None:
        client.hub = self
        self.clients.append(client)
        client.update()
        if early and client.stdin:
            client.take(early)

    # --- output

    def _readable(self, fd: int) -> None:
        stream = self._outputs.get(fd)
        if stream is None:
            return
        try:
            chunk = os.read(fd, STEP)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""  # a terminal whose other side was closed says EIO
        if not chunk:
            self._end(fd)
            return
        self._deliver(stream, chunk)
        if any(len(c.out) > HIGH_WATER for c in self.clients):
            self._pause()

    def _deliver(self, stream: str, chunk: bytes) -> None:
        self._log(stream, chunk)
        for client in tuple(self.clients):
            client.send(stream, chunk)

    def _pause(self) -> None:
        self._paused = True
        for fd in self._outputs:
            self._loop.unwatch(fd)

    def tick(self, now: float) -> None:
        """Drop stuck clients; read on when the others have caught up."""
        for client in tuple(self.clients):
            client.check_stuck(now)
        self.resume_if_possible()

    def resume_if_possible(self) -> None:
        if self._paused and all(len(c.out) <= HIGH_WATER // 2 for c in self.clients):
            self._paused = False
            for fd in tuple(self._outputs):
                self._loop.watch(fd, EPOLLIN, lambda events, fd=fd: self._readable(fd))  # type: ignore[misc]

    @property
    def paused(self) -> bool:
        return self._paused

    def drain(self) -> bool:
        """Read what is there now; True when every output has ended. After: the process has exited."""
        for fd, stream in tuple(self._outputs.items()):
            while True:
                try:
                    chunk = os.read(fd, STEP)
                except BlockingIOError:
                    break
                except OSError:
                    chunk = b""
                if not chunk:
                    self._end(fd)
                    break
                self._deliver(stream, chunk)
        return not self._outputs

    def _end(self, fd: int) -> None:
        stream = self._outputs.pop(fd)
        self._loop.unwatch(fd)
        os.close(fd)
        if fd == self.master:
            self.master = -1
        self._log_end(stream)

    def finish(self) -> None:
        """Nothing more will come: close outputs, input, and each client once it has everything."""
        for fd in tuple(self._outputs):
            self._end(fd)
        self._close_stdin()
        for client in tuple(self.clients):
            client.finish()

    # --- input

    def input(self, client: Client, chunk: bytes) -> None:
        if self._stdin_fd < 0:
            return
        self._stdin += chunk
        self._write_stdin()

    def _write_stdin(self) -> None:
        while self._stdin:
            try:
                sent = os.write(self._stdin_fd, memoryview(self._stdin)[:STEP])
            except BlockingIOError:
                break
            except OSError:
                self._stdin.clear()
                self._close_stdin()
                return
            del self._stdin[:sent]
        full = bool(self._stdin)
        if full != self._stdin_watched:
            self._stdin_watched = full
            if full:
                self._loop.watch(self._stdin_fd, EPOLLOUT, lambda events: self._write_stdin())
            else:
                self._loop.unwatch(self._stdin_fd)
            for client in self.clients:  # back-pressure: no more from the clients until the process has read
                if client.stdin and not client.closing:
                    client.reading = not full
                    client.update()
        if not full and self._stdin_closing:
            self._close_stdin()

    def input_ended(self, client: Client) -> None:
        """A client closed its side. With StdinOnce (and for an exec) the process sees the end of its input."""
        client.stdin = False
        if self._stdin_once and not self.tty:
            self.close_stdin()

    def close_stdin(self) -> None:
        self._stdin_closing = True
        if not self._stdin:
            self._close_stdin()

    def _close_stdin(self) -> None:
        if self._stdin_fd >= 0:
            if self._stdin_watched:
                self._loop.unwatch(self._stdin_fd)
                self._stdin_watched = False
            os.close(self._stdin_fd)
            self._stdin_fd = -1

    def detached(self, client: Client) -> None:
        client.finish()
        self._on_detach()

    def client_gone(self, client: Client) -> None:
        if client in self.clients:
            self.clients.remove(client)
        self.resume_if_possible()
        if self._stdin_once and client.stdin and not self.tty and not client.closing:
            self.close_stdin()  # it vanished with its input open
        if self._on_vanish is not None and not client.closing and not self.clients:
            self._on_vanish()
