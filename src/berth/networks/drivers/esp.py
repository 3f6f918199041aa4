"""IPsec between the hosts of encrypted overlays: ESP in transport mode around their VXLAN, on a UDP port of its own.

    policies    to and from that port: only under ESP with a peer of ours, everything else is dropped, both ways
    states      one a direction, key and peer; ours carry this engine's ``reqid``

The drops are made before the port is opened and stay when the daemon dies, so nothing is ever sent or taken in the clear.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from berth.base.errors import Unsupported, from_oserror
from berth.kernel.netlink import xfrm
from berth.kernel.netlink.sock import Netlink, NetlinkError, Request

log = logging.getLogger(__name__)

PORT = 4790
"""Of VXLAN in ESP: nobody on the wire sees it."""
_BETWEEN_PEERS, _REST = 1000, 2000  # priorities: the lower number is asked first


class Association(NamedTuple):
    """A key and the number that it goes by."""

    spi: int
    key: bytes


class Tunnel(NamedTuple):
    """This host and another one: what comes may be under any of ``inbound``, what goes is under ``outbound``."""

    peer: str
    inbound: tuple[Association, ...]
    outbound: Association


class Esp:
    """Of one engine. ``address`` is where peers reach it; ``nonce_path`` a file that a reboot takes away."""

    def __init__(self, instance_id: str, address: str, nonce_path: str) -> None:
        digest = hashlib.blake2b(b"esp\0" + instance_id.encode(), digest_size=4).digest()
        self.reqid = int.from_bytes(digest, "big") | 1
        self._address = address
        self._version = 6 if ":" in address else 4
        self._nonce_path = nonce_path

    def check(self) -> None:
        """Raises: Unsupported (this kernel does not encrypt)."""
        if not xfrm.has_esp(self._version):
            raise Unsupported(
                "overlay networks cannot be encrypted on this host: its kernel has no ESP with AES-GCM (modules "
                f"esp{self._version}, gcm), and nothing is sent in the clear that was asked to be encrypted"
            )

    def nonce(self) -> str:
        """Part of the keys of what this host sends: a new one whenever the kernel's counters begin anew. Raises: OSError."""
        with xfrm.open_xfrm() as nl:
            sending = any(s.src == self._address for s in self._states(nl))
        try:
            with open(self._nonce_path, encoding="ascii") as file:
                found = file.read().strip()
        except FileNotFoundError:
            found = ""
        if found and sending:
            return found
        fresh = os.urandom(16).hex()
        with open(f"{self._nonce_path}.new", "w", encoding="ascii") as file:
            file.write(fresh)
        os.rename(f"{self._nonce_path}.new", self._nonce_path)
        return fresh

    def close_port(self) -> None:
        """Nothing goes to the port or comes there but between peers. Raises: BerthError."""
        try:
            with xfrm.open_xfrm() as nl:
                nl.ask(*(xfrm.set_policy(policy) for policy in self._drops()))
        except OSError as err:
            raise from_oserror(err, "close the port of encrypted overlays") from err

    def reconcile(self, tunnels: Sequence[Tunnel]) -> None:
        """The kernel has these tunnels: what is right is left as it is. Raises: BerthError.

        A peer that is not among them keeps what it had until ``remove``: a state that was made anew under the same key would
        count from one again, and be refused as a replay.
        """
        states = {(s.src, s.dst, s.spi): s for t in tunnels for s in self._states_of(t)}
        policies = [*self._drops(), *(p for t in tunnels for p in self._policies_of(t))]
        try:
            with xfrm.open_xfrm() as nl:
                have = {(s.src, s.dst, s.spi): s for s in self._states(nl)}
                for state in (s for name, s in states.items() if name not in have):
                    nl.ask(xfrm.add_state(state))
                known = set(xfrm.list_policies(nl, PORT))
                for policy in (p for p in policies if p not in known):
                    nl.ask(xfrm.set_policy(policy))
                peers = {tunnel.peer for tunnel in tunnels}
                gone = [s for name, s in have.items() if name not in states and peers & {s.src, s.dst}]
                _delete(nl, [xfrm.delete_state(s) for s in gone])
        except OSError as err:
            raise from_oserror(err, "encrypt between the hosts of an overlay") from err

    def remove(self) -> None:
        """Nothing of ours is left: the last encrypted network is gone."""
        with xfrm.open_xfrm() as nl:
            ours = [p for p in xfrm.list_policies(nl, PORT) if p.reqid in (0, self.reqid)]
            _delete(nl, [xfrm.delete_policy(p) for p in ours])
            _delete(nl, [xfrm.delete_state(s) for s in self._states(nl)])

    def _states(self, nl: Netlink) -> list[xfrm.State]:
        return [s for s in xfrm.list_states(nl) if s.reqid == self.reqid]

    def _drops(self) -> list[xfrm.Policy]:
        return [xfrm.Policy(way, PORT, _REST, version=self._version) for way in (xfrm.IN, xfrm.OUT)]

    def _states_of(self, tunnel: Tunnel) -> list[xfrm.State]:
        here, there = self._address, tunnel.peer
        found = [xfrm.State(there, here, each.spi, self.reqid, each.key) for each in tunnel.inbound]
        return [*found, xfrm.State(here, there, tunnel.outbound.spi, self.reqid, tunnel.outbound.key)]

    def _policies_of(self, tunnel: Tunnel) -> list[xfrm.Policy]:
        here, there = self._address, tunnel.peer
        return [
            xfrm.Policy(xfrm.IN, PORT, _BETWEEN_PEERS, there, here, self.reqid, 0, self._version),
            xfrm.Policy(xfrm.OUT, PORT, _BETWEEN_PEERS, here, there, self.reqid, tunnel.outbound.spi, self._version),
        ]


def _delete(nl: Netlink, requests: Iterable[Request]) -> None:
    """What is gone already is passed over."""
    for request in requests:
        try:
            nl.ask(request)
        except NetlinkError as err:
            log.debug("xfrm: %s", err)
