"""The daemon's side of netd: finding a running one, starting one, asking it. Blocking; on the networks' worker thread.

A netd that died is started again at the next request, or when its pidfd says so: it takes up from its table, and
``reconcile`` settles the rest.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any

from berth.base import spawn
from berth.base.errors import Unavailable
from berth.netd import table
from berth.netd.dns.names import Member
from berth.netd.protocol import HOLDS_PER_PACKET, MAX_PACKET, OLDEST, VERSION, Hold, hold_from, pack, unpack

log = logging.getLogger(__name__)

_TIMEOUT_S = 10.0
_BACKLOG = 8

Start = Callable[[socket.socket, str], int]
"""Start netd on a listening socket and a table path (blocking); returns its pid."""


class HoldError(OSError):
    """netd could not hold a port: ``index`` says which of those asked for."""

    def __init__(self, code: int, message: str, index: int) -> None:
        super().__init__(code, message)
        self.index = index


def start_program(listener: socket.socket, table_path: str) -> int:
    """netd as a program of its own, where there is no zygote to fork it."""
    argv = [sys.executable, "-m", "berth.netd.main", str(listener.fileno()), table_path]
    return spawn.start(argv, pass_fds=(listener.fileno(),), new_session=True).pid


class NetdLink:
    """One connection to the instance's netd."""

    def __init__(self, directory: str, instance_id: str, start: Start | None = None) -> None:
        self.directory = directory
        self._instance_id = instance_id
        self._start = start or start_program
        self._sock: socket.socket | None = None
        self._seq = 0
        self.pid = 0

    @property
    def socket_path(self) -> str:
        return os.path.join(self.directory, "netd.sock")

    @property
    def table_path(self) -> str:
        return os.path.join(self.directory, "table.json")

    def open(self) -> bool:
        """Connect to the running netd, or start one. True when it was running: its ports are held already."""
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        if self._adopt():
            return True
        self._begin()
        return False

    def close(self) -> None:
        """Hang up. netd stays while it holds anything."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def quit(self) -> None:
        """End netd and give back everything it holds."""
        try:
            self._ask({"op": "quit"})
        except OSError:
            pass
        self.close()

    def hold(self, holds: Sequence[Hold]) -> None:
        """Hold all of these or none. Raises: HoldError (EADDRINUSE, EADDRNOTAVAIL, EACCES)."""
        done: list[Hold] = []
        for at in range(0, len(holds), HOLDS_PER_PACKET):
            page = holds[at : at + HOLDS_PER_PACKET]
            try:
                self._request({"op": "hold", "holds": page})
            except HoldError as err:
                err.index += at
                self.release(done)
                raise
            done += page

    def release(self, holds: Sequence[Hold]) -> None:
        """Give back these ports; those that aren't held are passed over."""
        for at in range(0, len(holds), HOLDS_PER_PACKET):
            self._request({"op": "release", "places": [hold.place for hold in holds[at : at + HOLDS_PER_PACKET]]})

    def list_(self) -> list[Hold]:
        """Everything that is held."""
        found: list[Hold] = []
        while True:
            page = self._request({"op": "list", "from": len(found)})
            found += [hold_from(row) for row in page["holds"]]
            if not page["more"]:
                return found

    def reconcile(self, desired: Sequence[Hold]) -> None:
        """Hold what is desired and release the rest. What somebody else has taken meanwhile is reported, and left."""
        held = set(self.list_())
        wanted = set(desired)
        self.release([hold for hold in held if hold not in wanted])
        for hold in desired:
            if hold in held:
                continue
            try:
                self.hold([hold])
            except HoldError as err:
                log.warning("port %s:%d/%s is published but %s", hold.host_ip, hold.port, hold.proto, err.strerror)

    def serve(self, sandbox: str, settings: list[Any], members: Sequence[Member], fds: Sequence[int] = ()) -> None:
        """Begin a container's resolver on (UDP socket, TCP socket, namespace), or change one's settings without them."""
        self._request({"op": "serve", "sandbox": sandbox, "settings": settings, "members": list(members)}, fds)

    def keep(self, fd: int = -1) -> None:
        """netd keeps this socket open for us; none: it lets go of the one that it keeps."""
        self._request({"op": "keep"}, (fd,) if fd >= 0 else ())

    def join(self, members: Sequence[Member]) -> None:
        """Names of endpoints are known from now on."""
        for at in range(0, len(members), HOLDS_PER_PACKET):
            self._request({"op": "join", "members": members[at : at + HOLDS_PER_PACKET]})

    def leave(self, endpoints: Sequence[str], sandboxes: Sequence[str] = ()) -> None:
        """Endpoints are unknown, and containers not served, from now on."""
        for at in range(0, max(len(endpoints), len(sandboxes)), HOLDS_PER_PACKET):
            page = slice(at, at + HOLDS_PER_PACKET)
            self._request({"op": "leave", "endpoints": endpoints[page], "sandboxes": sandboxes[page]})

    def served(self) -> tuple[dict[str, list[Any]], set[str]]:
        """Settings by served container, and the endpoints whose names are known."""
        sandboxes: dict[str, list[Any]] = {}
        endpoints: set[str] = set()
        at = 0
        while True:
            page = self._request({"op": "served", "from": at})
            sandboxes |= {str(ident): settings for ident, settings in page["sandboxes"]}
            endpoints |= {str(endpoint) for endpoint in page["endpoints"]}
            if not page["more"]:
                return sandboxes, endpoints
            at += HOLDS_PER_PACKET

    def _request(self, message: dict[str, Any], fds: Sequence[int] = ()) -> dict[str, Any]:
        """Ask; when netd has died since, start it again and ask once more. Raises: HoldError, Unavailable."""
        try:
            return self._ask(message, fds)
        except HoldError:
            raise
        except OSError as err:
            log.warning("netd is gone (%s): starting it again", err)
        self.close()
        self.open()
        try:
            return self._ask(message, fds)
        except HoldError:
            raise
        except OSError as err:
            raise Unavailable(f"netd does not answer: {err}", op="netd", errno=err.errno) from err

    def _ask(self, message: dict[str, Any], fds: Sequence[int] = ()) -> dict[str, Any]:
        """One round trip. Raises: HoldError (netd's refusal), OSError (no netd)."""
        if self._sock is None:
            raise OSError(errno.ENOTCONN, "not connected to netd")
        self._seq += 1
        packet = pack({**message, "seq": self._seq})
        if fds:
            socket.send_fds(self._sock, [packet], list(fds))
        else:
            self._sock.send(packet)
        while True:
            packet = self._sock.recv(MAX_PACKET)
            if not packet:
                raise ConnectionResetError(errno.ECONNRESET, "netd hung up")
            answer = unpack(packet)
            if answer.get("re") == self._seq:
                break
        refusal = answer.get("error")
        if refusal is not None:
            raise HoldError(int(refusal["errno"]), str(refusal["message"]), int(refusal["index"]))
        found: dict[str, Any] = answer["ok"]
        return found

    def _adopt(self) -> bool:
        """Connect to a netd that runs; one of another version or another engine's is not for us."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        sock.settimeout(_TIMEOUT_S)
        try:
            sock.connect(self.socket_path)
        except OSError:
            sock.close()
            return False
        self._sock = sock
        try:
            hello = self._ask({"op": "hello", "instance": self._instance_id, "version": VERSION})
        except (OSError, ValueError) as err:
            log.warning("the netd at %s is not ours: %s", self.socket_path, err)
            self.close()
            return False
        if not OLDEST <= hello["version"] <= VERSION:
            log.info("netd speaks version %s, not %s: starting its successor", hello["version"], VERSION)
            self.quit()
            return False
        self.pid = int(hello["pid"])
        return True

    def _begin(self) -> None:
        """Start one. The socket is bound before netd exists, so nobody finds a path without a listener behind it for long."""
        if table.load(self.table_path) is None:
            table.store(self.table_path, self._instance_id, [])
        try:
            os.unlink(self.socket_path)
        except FileNotFoundError:
            pass
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC) as listener:
            listener.bind(self.socket_path)
            os.chmod(self.socket_path, 0o600)
            listener.listen(_BACKLOG)
            self._start(listener, self.table_path)
        if not self._adopt():
            raise Unavailable("netd did not start", op="netd", path=self.socket_path)
