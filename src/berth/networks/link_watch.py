"""``LinkWatch``: a socket that becomes readable when a link or an address of this host went away."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import NamedTuple

from berth.kernel.netlink import filters, inet, link
from berth.kernel.netlink.sock import Netlink, messages

_RTNLGRP_LINK, _RTNLGRP_IPV4_IFADDR, _RTNLGRP_IPV6_IFADDR = 1, 5, 9


class Gone(NamedTuple):
    """The link of that name went away, or lost an address. "" when some news were lost: look at everything."""

    name: str


class LinkWatch:
    def __init__(self) -> None:
        self._nl = Netlink()
        self._nl.sock.setblocking(False)
        filters.only_types(self._nl.sock, (link.RTM_DELLINK, inet.RTM_DELADDR))
        for group in (_RTNLGRP_LINK, _RTNLGRP_IPV4_IFADDR, _RTNLGRP_IPV6_IFADDR):
            self._nl.subscribe(group)

    def fileno(self) -> int:
        return self._nl.sock.fileno()

    def close(self) -> None:
        self._nl.close()

    def gone(self) -> Iterator[Gone]:
        """Read what came."""
        while True:
            try:
                datagram = self._nl.sock.recv(1 << 16)
            except BlockingIOError:
                return
            except OSError:  # ENOBUFS: we missed some
                yield Gone("")
                continue
            for message in messages(datagram):
                if message.type == link.RTM_DELLINK:
                    yield Gone(link.name_of(message))
                elif message.type == inet.RTM_DELADDR:
                    try:
                        yield Gone(socket.if_indextoname(inet.index_of(message)))
                    except OSError:
                        continue  # the link went with it, and was told of
