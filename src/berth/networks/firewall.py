"""Makes the kernel agree with the desired table: single elements on the hot path, the whole table when it doesn't.

Where the kernel can (Linux 6.9), the table is owned by our socket: a flush of the whole ruleset passes it over, and nobody else
changes it. netd keeps the socket open when the daemon dies. Elsewhere a ``Watch`` tells when somebody changed it.

Every call runs on the networks' worker thread. ``desired`` gives the table as it should be at that moment.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Sequence

from berth.kernel.netlink import filters
from berth.kernel.netlink.sock import NETLINK_NETFILTER, Netlink, NetlinkError, Request
from berth.kernel.nft import picture
from berth.kernel.nft import transaction as tx
from berth.kernel.nft.model import OWNED, Element, Table
from berth.networks import ruleset
from berth.networks.records import Endpoint

log = logging.getLogger(__name__)

_UNKNOWN_FLAGS = (errno.EOPNOTSUPP, errno.EINVAL)


class Firewall:
    """One engine's table."""

    def __init__(self, name: str, desired: Callable[[], Table], *, flags: int = OWNED) -> None:
        self.name = name
        self._desired = desired
        self._flags = flags
        self._claimed = False
        self._nft = tx.Nft()

    def close(self) -> None:
        """Let go of the socket; the rules stay."""
        self._nft.close()

    def fileno(self) -> int:
        """The socket that owns the table."""
        return self._nft.nl.sock.fileno()

    @property
    def owned(self) -> bool:
        """Whether the kernel keeps others from the table."""
        return self._claimed and bool(self._flags)

    @property
    def port_id(self) -> int:
        """Our socket's name in the kernel's notifications."""
        return self._nft.nl.port_id

    def reconcile(self) -> bool:
        """Compare, and rewrite the table in one transaction if it differs. True when it had to."""
        table = self._desired()._replace(flags=self._flags)
        if picture.read(self._nft, ruleset.FAMILY, self.name) == picture.picture_of(table):
            self._claim(table)
            return False
        try:
            self._nft.commit(tx.replace_table(table))
        except NetlinkError as err:
            if err.errno not in _UNKNOWN_FLAGS or not self._flags:
                raise
            self._flags = 0  # an older kernel
            self._nft.commit(tx.replace_table(table._replace(flags=0)))
        self._claimed = True
        return True

    def _claim(self, table: Table) -> None:
        """Own a table that is right already, as a predecessor left it."""
        if self._flags and not self._claimed:
            try:
                self._nft.commit([tx.claim_table(table)])
            except NetlinkError as err:
                if err.errno not in _UNKNOWN_FLAGS:
                    raise
                self._flags = 0  # an older kernel, or made under one
        self._claimed = True

    def exists(self) -> bool:
        return (ruleset.FAMILY, self.name) in picture.tables(self._nft, self.name)

    def change(self, before: Sequence[Endpoint], after: Sequence[Endpoint]) -> None:
        """From what these endpoints published to what they publish, in one transaction: no packet meets anything between.

        A table that is gone or bent is written anew whole.
        """
        old, new = ruleset.elements(before), ruleset.elements(after)
        requests: list[Request] = []
        for name in old:
            requests += tx.delete_elements(ruleset.FAMILY, self.name, name, _without(old[name], new[name]))
            requests += tx.add_elements(ruleset.FAMILY, self.name, name, _without(new[name], old[name]))
        if not requests:
            return
        try:
            self._nft.commit(requests)
        except NetlinkError as err:
            log.warning("firewall table %s was changed behind our back (%s): writing it anew", self.name, err)
            self.reconcile()

    def remove(self) -> None:
        """The table and everything in it."""
        self._nft.commit(tx.delete_table(ruleset.FAMILY, self.name))

    def warn_of_others(self) -> list[str]:
        """Log, and return, which other tables drop forwarded packets by policy: nothing of ours can overrule them."""
        found = [f"{f} {t} {c}" for f, t, c in picture.forward_drops(self._nft) if t != self.name]
        for chain in found:
            log.warning(
                "another firewall drops what it does not know: chain %s has policy drop: containers reach nothing, and published "
                "ports answer this host only, unless it is told to accept the bridge (see docs/networks.md)", chain,
            )  # fmt: skip
        return found


def _without(elements: list[Element], others: list[Element]) -> list[Element]:
    """Each once. Two clients' subnets of one port have an element in common."""
    left = dict.fromkeys(elements)
    for other in others:
        left.pop(other, None)
    return list(left)


class Watch:
    """A socket that becomes readable when somebody else changes nftables: ``nft flush ruleset`` takes our table with it."""

    def __init__(self, table: str, ours: int) -> None:
        self._table = table
        self._nl = Netlink(NETLINK_NETFILTER)
        self._nl.sock.setblocking(False)
        filters.pass_over(self._nl.sock, ours)
        self._nl.subscribe(tx.NFNLGRP_NFTABLES)

    def fileno(self) -> int:
        return self._nl.sock.fileno()

    def close(self) -> None:
        self._nl.close()

    def touched(self) -> bool:
        """Read what came. True when our table may have been changed (or when too much came to tell)."""
        found = False
        while True:
            try:
                datagram = self._nl.sock.recv(1 << 16)
            except BlockingIOError:
                return found
            except OSError:  # ENOBUFS: we missed some
                found = True
                continue
            found = found or self._table.encode() in datagram
