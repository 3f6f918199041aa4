"""DNS of containers, the daemon's part: who is called what, and a pair of sockets in each container's namespace for netd.

The sockets are at 127.0.0.11, on ports that the kernel chose: port 53 of every address stays the container's own, for it may
be a name server itself. A table in the container's namespace rewrites 53 to those ports and back, without connection tracking.

Everything but ``member_of`` runs on the networks' worker thread.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network
from typing import Any, NamedTuple

from berth.base.errors import BerthError, from_oserror
from berth.kernel.nft import statements as st
from berth.kernel.nft.model import Chain, Hook, Rule, Table, rule
from berth.kernel.nft.ports import port_is, set_port
from berth.kernel.nft.transaction import Nft, replace_table
from berth.netd.dns.names import Member
from berth.networks import sandbox
from berth.networks.netd_link import NetdLink
from berth.networks.records import Endpoint
from berth.networks.sandbox import Sandbox

log = logging.getLogger(__name__)

ADDRESS = "127.0.0.11"
_SERVER = IPv4Network(f"{ADDRESS}/32")
_BACKLOG = 64
REMOTE = "remote/"
"""Endpoints of other hosts begin so: netd knows them, but serves nobody there."""


class Resolving(NamedTuple):
    """How one container resolves: its ``--dns``, whether it may ask outside of its networks."""

    servers: tuple[str, ...]
    outside: bool


def member_of(endpoint: Endpoint) -> Member:
    """The endpoint as netd knows it."""
    links = {}
    for entry in endpoint.asked.get("Links") or ():
        name, _, alias = str(entry).partition(":")
        links[(alias or name).lower()] = name
    return Member(
        endpoint.id, endpoint.network_id, endpoint.network_name, endpoint.container_id, endpoint.ipv4, endpoint.ipv6,
        tuple(endpoint.names), links,
    )  # fmt: skip


def rewrite(udp_port: int, tcp_port: int) -> Table:
    """The table inside a container: 127.0.0.11:53 is at these ports."""
    rules: list[Rule] = []
    for proto, port in (("udp", udp_port), ("tcp", tcp_port)):
        rules.append(rule(st.daddr(_SERVER), port_is(proto, "dport", 53), set_port(proto, "dport", port)))
        rules.append(rule(st.saddr(_SERVER), port_is(proto, "sport", port), set_port(proto, "sport", 53)))
    return Table("inet", "berth_dns", (), (Chain("output", tuple(rules), Hook("filter", "output", "raw")),))


class Resolver:
    """Serves containers through netd. ``daemons`` are the daemon's own ``--dns``."""

    def __init__(self, netd: NetdLink, daemons: Sequence[str]) -> None:
        self._netd = netd
        self._daemons = list(daemons)
        self._remote: dict[str, Member] | None = None  # not known yet: those that netd knows stay

    def serve(self, container_id: str, how: Resolving, endpoints: Sequence[Endpoint], inside: Sandbox) -> None:
        """Begin. ``endpoints`` are those of networks with names. Raises: BerthError."""
        try:
            with sandbox.at(inside.netns_fd):
                udp, tcp, nft = _open(socket.SOCK_DGRAM), _open(socket.SOCK_STREAM), Nft()
        except OSError as err:
            raise from_oserror(err, "make the resolver's sockets") from err
        with udp, tcp, nft:
            try:
                nft.commit(replace_table(rewrite(udp.getsockname()[1], tcp.getsockname()[1])))
            except OSError as err:
                raise from_oserror(err, "lead port 53 to the resolver") from err
            fds = (udp.fileno(), tcp.fileno(), inside.netns_fd)
            self._netd.serve(container_id, self._settings(how), [member_of(e) for e in endpoints], fds)

    def change(self, container_id: str, how: Resolving, endpoints: Sequence[Endpoint]) -> None:
        """Other settings, more endpoints."""
        self._netd.serve(container_id, self._settings(how), [member_of(e) for e in endpoints])

    def leave(self, endpoints: Sequence[Endpoint], containers: Sequence[str]) -> None:
        """Endpoints are gone, containers have ended: their namespaces can go only when netd lets go of its sockets."""
        self._netd.leave([e.id for e in endpoints], list(containers))

    def set_remote(self, members: Sequence[Member]) -> None:
        """These are the endpoints of other hosts, and no others."""
        before = self._remote
        known = {e for e in self._netd.served()[1] if e.startswith(REMOTE)} if before is None else set(before)
        self._remote = {member.endpoint: member for member in members}
        self._netd.leave(sorted(known - set(self._remote)))
        self._netd.join([m for m in members if before is None or before.get(m.endpoint) != m])

    def reconcile(self, wanted: dict[str, tuple[Resolving, list[Endpoint]]], pid_of: Callable[[str], int]) -> None:
        """Make netd agree: what it serves already stays untouched, what it doesn't gets new sockets."""
        served, known = self._netd.served()
        endpoints = [e for _how, ends in wanted.values() for e in ends]
        remote = {e for e in known if e.startswith(REMOTE)} if self._remote is None else set(self._remote)
        stale = known - {e.id for e in endpoints} - remote
        self._netd.leave(sorted(stale), [ident for ident in served if ident not in wanted])
        members = [member_of(e) for e in endpoints] + list((self._remote or {}).values())
        self._netd.join([m for m in members if m.endpoint not in known])
        for ident, (how, ends) in wanted.items():
            if ident not in served:
                self._again(ident, how, ends, pid_of(ident))
            elif served[ident] != self._settings(how):
                self.change(ident, how, [])

    def _again(self, container_id: str, how: Resolving, endpoints: list[Endpoint], pid: int) -> None:
        """New sockets for a living container: netd was started anew. Its old rewrites are replaced."""
        try:
            with sandbox.open_sandbox(pid) as inside:
                self.serve(container_id, how, endpoints, inside)
        except (OSError, BerthError) as err:
            log.error("container %s resolves no names: %s", container_id[:12], err)

    def _settings(self, how: Resolving) -> list[Any]:
        return [list(how.servers), self._daemons, how.outside]


def _open(kind: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, kind | socket.SOCK_CLOEXEC)
    try:
        sock.bind((ADDRESS, 0))
        if kind == socket.SOCK_STREAM:
            sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock
