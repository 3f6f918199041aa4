"""Who may ask netd, and what it answers."""

from __future__ import annotations

import os
import socket
import struct
import time
from typing import Any

from berth.netd import table
from berth.netd.dns.service import Resolvers
from berth.netd.holds import HoldRefused, Holds
from berth.netd.loop import GONE, READ, Loop
from berth.netd.protocol import (
    FDS_PER_PACKET,
    HOLDS_PER_PACKET,
    MAX_PACKET,
    VERSION,
    hold_from,
    member_from,
    pack,
    settings_from,
    unpack,
)

_UCRED = struct.Struct("3i")
_UNCLAIMED_S = 60.0
_EINVAL, _EPERM = 22, 1


class Server:
    """The listening socket, its clients and the table. Ends when nothing is held and nobody is connected."""

    def __init__(self, loop: Loop, listener: socket.socket, table_path: str) -> None:
        self._loop = loop
        self._listener = listener
        self._table_path = table_path
        self._clients: set[socket.socket] = set()
        self._began = time.monotonic()
        self._holds = Holds(loop)
        self._resolvers = Resolvers(loop)
        before = table.load(table_path)
        self._kept = -1
        self._instance = before.instance if before is not None else ""
        self._take_up(before)
        listener.setblocking(False)
        loop.watch(listener.fileno(), READ, self._accept)
        loop.ticks.append(self._end_if_unclaimed)

    def _take_up(self, before: table.TableFile | None) -> None:
        """Hold what a predecessor held. One that someone else has taken meanwhile is left to the daemon to report."""
        for hold in before.holds if before is not None else ():
            try:
                self._holds.hold([hold])
            except HoldRefused:
                self._changed()

    def _accept(self, _events: int) -> None:
        try:
            client, _address = self._listener.accept()
        except OSError:
            return
        _pid, uid, _gid = _UCRED.unpack(client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
        if uid != 0:
            client.close()
            return
        client.setblocking(True)  # answers are small and the daemon reads them: never a queue here
        client.settimeout(5.0)
        self._clients.add(client)
        self._loop.watch(client.fileno(), READ, lambda events: self._ready(client, events))

    def _ready(self, client: socket.socket, events: int) -> None:
        try:
            packet = b""
            fds: list[int] = []
            if events & (READ | GONE):
                packet, fds, _flags, _address = socket.recv_fds(client, MAX_PACKET, FDS_PER_PACKET)
            if packet:
                client.send(pack(self._answer(packet, fds)))
                return
        except OSError:
            pass
        self._drop(client)

    def _drop(self, client: socket.socket) -> None:
        self._clients.discard(client)
        self._loop.forget(client.fileno())
        client.close()
        if not self._clients and not self._busy:
            self._loop.stop()

    @property
    def _busy(self) -> bool:
        return bool(self._holds) or bool(self._resolvers)

    def _end_if_unclaimed(self) -> None:
        if not self._clients and not self._busy and time.monotonic() - self._began > _UNCLAIMED_S:
            self._loop.stop()

    def _answer(self, packet: bytes, fds: list[int]) -> dict[str, Any]:
        """``fds`` that a verb takes are taken off the list; the rest is closed."""
        seq: object = None
        try:
            request = unpack(packet)
            request["fds"] = fds
            seq = request.get("seq")
            verb = _VERBS.get(str(request.get("op")))
            if verb is None:
                return _error(seq, _EINVAL, f"unknown op {request.get('op')!r}")
            return {"re": seq, "ok": verb(self, request)}
        except HoldRefused as err:
            return {"re": seq, "error": {"errno": err.errno, "index": err.index, "message": str(err)}}
        except PermissionError as err:
            return _error(seq, _EPERM, str(err))
        except (ValueError, KeyError, TypeError) as err:
            return _error(seq, _EINVAL, f"malformed request: {err!r}")
        finally:
            for fd in fds:
                os.close(fd)

    def _hello(self, request: dict[str, Any]) -> dict[str, Any]:
        instance = str(request["instance"])
        if self._instance and instance != self._instance:
            raise PermissionError(f"this netd serves {self._instance}, not {instance}")
        self._instance = instance
        return {"version": VERSION, "pid": os.getpid(), "holds": len(self._holds)}

    def _hold(self, request: dict[str, Any]) -> dict[str, Any]:
        self._holds.hold([hold_from(row) for row in request["holds"]])
        self._changed()
        return {}

    def _release(self, request: dict[str, Any]) -> dict[str, Any]:
        released = self._holds.release((str(p), str(ip), int(port)) for p, ip, port in request["places"])
        if released:
            self._changed()
        return {"released": released}

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        first = int(request.get("from", 0))
        holds = self._holds.list_()
        page = holds[first : first + HOLDS_PER_PACKET]
        return {"holds": page, "more": first + len(page) < len(holds)}

    def _serve(self, request: dict[str, Any]) -> dict[str, Any]:
        """With descriptors: a container's resolver begins. Without: its settings change. Members join in either case."""
        ident, fds = str(request["sandbox"]), request["fds"]
        settings = settings_from(request["settings"])
        for row in request["members"]:
            self._resolvers.names.join(member_from(row))
        if len(fds) == FDS_PER_PACKET:
            udp, tcp, netns_fd = fds
            fds.clear()
            self._resolvers.serve(ident, settings, socket.socket(fileno=udp), socket.socket(fileno=tcp), netns_fd)
        else:
            self._resolvers.change(ident, settings)
        return {}

    def _join(self, request: dict[str, Any]) -> dict[str, Any]:
        for row in request["members"]:
            self._resolvers.names.join(member_from(row))
        return {}

    def _leave(self, request: dict[str, Any]) -> dict[str, Any]:
        self._resolvers.names.leave(str(endpoint) for endpoint in request["endpoints"])
        self._resolvers.end(str(ident) for ident in request["sandboxes"])
        return {}

    def _served(self, request: dict[str, Any]) -> dict[str, Any]:
        first = int(request.get("from", 0))
        sandboxes = [[ident, settings.as_row()] for ident, settings in self._resolvers.sandboxes().items()]
        endpoints = self._resolvers.names.endpoints()
        page = slice(first, first + HOLDS_PER_PACKET)
        more = first + HOLDS_PER_PACKET < max(len(sandboxes), len(endpoints))
        return {"sandboxes": sandboxes[page], "endpoints": endpoints[page], "more": more}

    def _keep(self, request: dict[str, Any]) -> dict[str, Any]:
        """The descriptor that came stays open from now on, in place of the one before: none lets that go."""
        if self._kept >= 0:
            os.close(self._kept)
        self._kept = request["fds"].pop() if request["fds"] else -1
        return {}

    def _quit(self, _request: dict[str, Any]) -> dict[str, Any]:
        self._loop.stop()
        return {}

    def _changed(self) -> None:
        """Write the table once the burst is over: the answer goes first."""
        self._loop.idle = self._store

    def _store(self) -> None:
        try:
            table.store(self._table_path, self._instance, self._holds.list_())
        except OSError:
            pass  # a full disk: the daemon has the same facts in its database

    def close(self) -> None:
        """Close the doors; the table keeps saying what was held."""
        if self._loop.idle is not None:
            self._store()
        for client in self._clients:
            client.close()
        self._listener.close()
        if self._kept >= 0:
            os.close(self._kept)


_VERBS = {
    "hello": Server._hello,
    "hold": Server._hold,
    "release": Server._release,
    "list": Server._list,
    "serve": Server._serve,
    "join": Server._join,
    "leave": Server._leave,
    "served": Server._served,
    "keep": Server._keep,
    "quit": Server._quit,
}


def _error(seq: object, code: int, message: str) -> dict[str, Any]:
    return {"re": seq, "error": {"errno": code, "index": 0, "message": message}}
