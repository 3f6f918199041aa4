"""``Forwarding``: switched on for containers, without making this host a router between its own networks.

Who finds forwarding off and switches it on keeps everything that is not of a bridge from being forwarded (``guarded``), until the
machine starts again: a file in the run-root remembers it for the daemons that come after.
"""

from __future__ import annotations

import logging
import os

from berth.kernel.netlink.netns import read_sysctl, write_sysctl

log = logging.getLogger(__name__)

_SYSCTLS = {4: ("ipv4", "ip_forward"), 6: ("ipv6", "conf", "all", "forwarding")}
_TAKES_ADVICE, _STILL_TAKES_IT = "1", "2"


class Forwarding:
    """``folder`` is the run-root's. On the networks' worker thread."""

    def __init__(self, folder: str, *, guards: bool) -> None:
        self._path = os.path.join(folder, "forwarding")
        self._guards = guards

    @property
    def guarded(self) -> frozenset[int]:
        """The IP versions that were switched on for containers only."""
        return self._switched_on() if self._guards else frozenset()

    def enable(self, version: int) -> None:
        """Raises: OSError."""
        name, before = _SYSCTLS[version], self._switched_on()
        is_off = read_sysctl(name) == "0"
        os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
        with open(self._path, "w", encoding="ascii") as file:
            file.write(" ".join(map(str, sorted(before | {version} if is_off else before))))
        if is_off:
            if version == 6:
                _keep_taking_advice()
            write_sysctl(name, "1")
            log.info("enabled net.%s", ".".join(name))

    def _switched_on(self) -> frozenset[int]:
        try:
            with open(self._path, encoding="ascii") as file:
                return frozenset(int(word) for word in file.read().split())
        except FileNotFoundError:
            return frozenset()


def _keep_taking_advice() -> None:
    """A link that takes its address and route from a router's advertisements would stop to when this host forwards."""
    for link in os.listdir("/proc/sys/net/ipv6/conf"):
        name = ("ipv6", "conf", link, "accept_ra")
        try:
            if link not in ("all", "default") and read_sysctl(name) == _TAKES_ADVICE:
                write_sysctl(name, _STILL_TAKES_IT)
        except OSError:
            continue  # the link went meanwhile
