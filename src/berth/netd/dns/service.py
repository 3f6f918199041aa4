"""``Resolvers``: the DNS sockets of every container, and what they answer."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager

from berth.kernel.netlink.netns import inside
from berth.netd.dns import message as m
from berth.netd.dns.forward import Forward, Server
from berth.netd.dns.hosts import HostResolvers
from berth.netd.dns.message import Question
from berth.netd.dns.names import Names
from berth.netd.dns.ready import Ready
from berth.netd.loop import READ, WRITE, Loop, Timer

_DATAGRAM_MAX = m.OUR_UDP_SIZE
_UNDER_WAY_MAX = 512  # questions of one container that wait for an answer from outside
_CONNECTIONS_MAX = 64
_IDLE_S = 10.0

Answer = Callable[[bytes], None]


class Settings:
    """How a container resolves. ``own`` are its ``--dns``; ``daemons`` the daemon's; ``outside``: it may ask beyond its
    networks."""

    __slots__ = ("daemons", "outside", "own")

    def __init__(self, own: Sequence[str], daemons: Sequence[str], outside: bool) -> None:
        self.own = tuple(own)
        self.daemons = tuple(daemons)
        self.outside = outside

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Settings) and self.as_row() == other.as_row()

    __hash__ = None  # type: ignore[assignment]

    def as_row(self) -> list[object]:
        return [list(self.own), list(self.daemons), self.outside]


class Sandbox:
    """One container's resolver: its sockets, its namespace, its settings."""

    def __init__(
        self, loop: Loop, names: Names, hosts: HostResolvers, ident: str, settings: Settings, udp: socket.socket,
        tcp: socket.socket, netns_fd: int,
    ) -> None:  # fmt: skip
        self._loop = loop
        self._names = names
        self._hosts = hosts
        self.ident = ident
        self.settings = settings
        self._udp = udp
        self._tcp = tcp
        self._netns_fd = netns_fd
        self._home_fd = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._under_way: set[Forward] = set()
        self._connections: set[_Connection] = set()
        self._ready = Ready(names)
        for sock in (udp, tcp):
            sock.setblocking(False)
        loop.watch(udp.fileno(), READ, self._datagram)
        loop.watch(tcp.fileno(), READ, self._accept)

    def close(self) -> None:
        """Let go of the container's namespace: until then it can't end."""
        for forward in list(self._under_way):
            forward.cancel()
        for connection in list(self._connections):
            connection.close()
        for sock in (self._udp, self._tcp):
            self._loop.forget(sock.fileno())
            sock.close()
        os.close(self._netns_fd)
        os.close(self._home_fd)

    def _datagram(self, _events: int) -> None:
        """One a turn: who asks without end keeps nobody else waiting."""
        try:
            packet, asker = self._udp.recvfrom(_DATAGRAM_MAX)
        except OSError:
            return
        known = self._ready.get(packet)
        if known is not None:
            self._send(known, asker)
        else:
            self._ask(packet, False, lambda raw: self._send(raw, asker))

    def _send(self, packet: bytes, asker: tuple[str, int]) -> None:
        try:
            self._udp.sendto(packet, asker)
        except OSError:
            pass  # as a network would: lost

    def _accept(self, _events: int) -> None:
        try:
            client, _address = self._tcp.accept()
        except OSError:
            return
        if len(self._connections) >= _CONNECTIONS_MAX:
            client.close()
            return
        self._connections.add(_Connection(self._loop, client, self._ask, self._connections.discard))

    def _ask(self, packet: bytes, tcp: bool, answer: Answer) -> None:
        """``answer`` is called at once, later, or never (when the question can't even be refused, or got lost outside)."""
        try:
            question = m.parse(packet)
        except m.Malformed as err:
            refusal = m.refuse(packet, err.rcode)
            if refusal:
                answer(refusal)
            return
        local = self._local(question, 65535 if tcp else question.udp_size)
        if local is not None:
            if not tcp:
                self._ready.put(packet, local)
            answer(local)
        else:
            self._forward(question, packet, tcp, answer)

    def _local(self, question: Question, limit: int) -> bytes | None:
        """The answer, if it is about a container that this one shares a network with."""
        if question.cls != m.IN:
            return None
        if question.type == m.PTR:
            member = self._names.at(self.ident, m.address_of_pointer(question.name))
            if member is None:
                return None
            return m.reply(question, m.NOERROR, m.pointer(f"{member.names[0]}.{member.network_name}"), limit=limit)
        members = self._names.find(self.ident, question.name)
        if members is None:
            return None
        records: list[bytes] = []
        if question.type in (m.A, m.AAAA):
            found = [member.ipv4 if question.type == m.A else member.ipv6 for member in members]
            records = m.addresses(question, [address for address in found if address])
        return m.reply(question, m.NOERROR, records, limit=limit)

    def _forward(self, question: Question, packet: bytes, tcp: bool, answer: Answer) -> None:
        servers = self._servers()
        if not servers or len(self._under_way) >= _UNDER_WAY_MAX:
            answer(m.reply(question, m.SERVFAIL, authoritative=False))
            return

        def done(found: bytes | None) -> None:
            self._under_way.difference_update([f for f in self._under_way if f.ended])
            if found is None:
                answer(m.reply(question, m.SERVFAIL, authoritative=False))
            else:
                answer(found if tcp else m.fitted(found, question))

        forward = Forward(self._loop, servers, question, packet, tcp=tcp, stand=self._stand, done=done)
        if not forward.ended:
            self._under_way.add(forward)

    def _servers(self) -> list[Server]:
        """A container's own are asked from where it stands: without a route outside, none of them is reached."""
        if self.settings.own:
            return [Server(address, True) for address in self.settings.own]
        if not self.settings.outside:
            return []
        return [Server(address, False) for address in self.settings.daemons or self._hosts.servers()]

    def _stand(self) -> AbstractContextManager[None]:
        return inside(self._netns_fd, self._home_fd)


class _Connection:
    """One client's TCP connection: questions one after another, each with its length before it."""

    def __init__(
        self, loop: Loop, sock: socket.socket, ask: Callable[[bytes, bool, Answer], None],
        ended: Callable[[_Connection], None],
    ) -> None:  # fmt: skip
        self._loop = loop
        self._sock = sock
        self._ask = ask
        self._ended = ended
        self._in = b""
        self._out = b""
        self._closed = False
        self._timer: Timer = loop.after(_IDLE_S, self.close)
        sock.setblocking(False)
        loop.watch(sock.fileno(), READ, self._ready)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._timer.cancel()
            self._loop.forget(self._sock.fileno())
            self._sock.close()
            self._ended(self)

    def _ready(self, events: int) -> None:
        try:
            if events & WRITE:
                self._flush()
            if events & ~WRITE:
                self._read()
        except BlockingIOError:
            return
        except OSError:
            self.close()

    def _read(self) -> None:
        chunk = self._sock.recv(65535)
        if not chunk:
            self.close()
            return
        self._in += chunk
        while len(self._in) >= 2 and not self._closed:
            size = int.from_bytes(self._in[:2], "big")
            if len(self._in) < 2 + size:
                return
            packet, self._in = self._in[2 : 2 + size], self._in[2 + size :]
            self._ask(packet, True, self._answer)

    def _answer(self, packet: bytes) -> None:
        if self._closed:
            return
        self._out += len(packet).to_bytes(2, "big") + packet
        self._timer.cancel()
        self._timer = self._loop.after(_IDLE_S, self.close)
        try:
            self._flush()
        except BlockingIOError:
            return
        except OSError:
            self.close()

    def _flush(self) -> None:
        try:
            self._out = self._out[self._sock.send(self._out) :] if self._out else b""
        finally:
            self._loop.change(self._sock.fileno(), READ | (WRITE if self._out else 0))


class Resolvers:
    """Every container's resolver, and the names they share."""

    def __init__(self, loop: Loop, hosts: HostResolvers | None = None) -> None:
        self._loop = loop
        self._hosts = hosts or HostResolvers()
        self.names = Names()
        self._sandboxes: dict[str, Sandbox] = {}

    def __len__(self) -> int:
        return len(self._sandboxes)

    def serve(self, ident: str, settings: Settings, udp: socket.socket, tcp: socket.socket, netns_fd: int) -> None:
        """Serve a container; one that is served already gets its new sockets."""
        self.end((ident,))
        self._sandboxes[ident] = Sandbox(self._loop, self.names, self._hosts, ident, settings, udp, tcp, netns_fd)

    def change(self, ident: str, settings: Settings) -> None:
        """Other settings for a container that is served."""
        self._sandboxes[ident].settings = settings

    def end(self, idents: Iterable[str]) -> None:
        """Stop serving these containers; those that aren't served are passed over."""
        for ident in idents:
            sandbox = self._sandboxes.pop(ident, None)
            if sandbox is not None:
                sandbox.close()

    def sandboxes(self) -> dict[str, Settings]:
        return {ident: sandbox.settings for ident, sandbox in self._sandboxes.items()}
