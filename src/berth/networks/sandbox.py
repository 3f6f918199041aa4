"""A container's network from inside: its namespace, and the addresses, routes and sysctls of an endpoint's interface."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Interface
from typing import NamedTuple

from berth.base.errors import InvalidArgument, from_oserror
from berth.kernel.netlink import inet, link
from berth.kernel.netlink.netns import inside, write_sysctl
from berth.kernel.netlink.sock import Netlink, NetlinkError, Request
from berth.networks.patience import patiently
from berth.networks.records import Endpoint

IFNAME_OPTION = "com.docker.network.endpoint.ifname"
SYSCTLS_OPTION = "com.docker.network.endpoint.sysctls"
ON_LINK = {"0.0.0.0": inet.AF_INET, "::": inet.AF_INET6}
"""An endpoint's gateway that is none: everybody is a neighbour (ipvlan in its l3 modes)."""
_ENOENT = (3, 99)  # ESRCH, EADDRNOTAVAIL: it is gone already
_TAKEN = (errno.EADDRINUSE, errno.EBUSY)


class Sandbox(NamedTuple):
    """A network namespace and a rtnetlink socket that was opened inside."""

    netns_fd: int
    rtnl_fd: int


@contextmanager
def open_sandbox(pid: int) -> Iterator[Sandbox]:
    """The sandbox of a living process; the calling thread visits it. Raises: OSError."""
    netns_fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        with at(netns_fd), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC) as rtnl:
            pass_on = os.dup(rtnl.fileno())
        try:
            yield Sandbox(netns_fd, pass_on)
        finally:
            os.close(pass_on)
    finally:
        os.close(netns_fd)


@contextmanager
def at(netns_fd: int) -> Iterator[None]:
    """The calling thread stands inside for a moment."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        with inside(netns_fd, home):
            yield
    finally:
        os.close(home)


def configure(endpoint: Endpoint, sandbox: Sandbox) -> None:
    """Interface up, addresses, default routes where the endpoint has them, sysctls. Raises: BerthError."""
    try:
        if endpoint.ipv6 or SYSCTLS_OPTION in endpoint.options:
            _sysctls(endpoint, sandbox.netns_fd)
        with Netlink(fd=sandbox.rtnl_fd) as nl:
            index = link.get_link(nl, endpoint.ifname).ifindex
            routes = (*_default_routes(endpoint, index), *_static_routes(endpoint, index))
            if not endpoint.ipv6 and SYSCTLS_OPTION not in endpoint.options:
                link.leave_without_ipv6(nl, index=index)
            _ask(nl, [link.set_link(index, up=True), *_addresses(endpoint, index), *routes])
    except OSError as err:
        raise from_oserror(err, f"configure {endpoint.ifname} of container {endpoint.container_name}") from err


def _ask(nl: Netlink, requests: Sequence[Request]) -> None:
    """All at once; where a MAC or an address is taken still, one by one from there."""
    try:
        nl.ask(*requests)
    except NetlinkError as err:
        if err.errno not in _TAKEN:
            raise
        for request in requests[err.index :]:
            try:
                patiently(lambda request=request: nl.ask(request), _TAKEN)  # type: ignore[misc]
            except NetlinkError as again:
                if again.errno != errno.EEXIST:  # else it was done the first time
                    raise


def _addresses(endpoint: Endpoint, index: int) -> Iterator[Request]:
    if endpoint.ipv4:
        subnet = IPv4Interface(f"{endpoint.ipv4}/{endpoint.prefix_len}").network
        yield inet.add_address(index, endpoint.ipv4, endpoint.prefix_len, broadcast=str(subnet.broadcast_address))
    if endpoint.ipv6:
        yield inet.add_address(index, endpoint.ipv6, endpoint.prefix_len6)


def _default_routes(endpoint: Endpoint, index: int) -> Iterator[Request]:
    for wanted, gateway in ((endpoint.routes4, endpoint.gateway), (endpoint.routes6, endpoint.gateway6)):
        if wanted and gateway in ON_LINK:
            yield inet.add_route("", 0, oif=index, family=ON_LINK[gateway])
        elif wanted:
            yield inet.add_route("", 0, gateway=gateway, oif=index)


def _static_routes(endpoint: Endpoint, index: int) -> Iterator[Request]:
    for destination, next_hop in endpoint.static_routes:
        network, _, length = destination.partition("/")
        yield inet.add_route(network, int(length or (128 if ":" in network else 32)), gateway=next_hop, oif=index)


def replace_routes(before: list[Endpoint], after: list[Endpoint], sandbox: Sandbox) -> None:
    """Move the default routes of a living container: away from ``before``, over to ``after``. Raises: BerthError."""
    with Netlink(fd=sandbox.rtnl_fd) as nl:
        try:
            for endpoint in before:
                for gateway in filter(None, (endpoint.gateway, endpoint.gateway6)):
                    _drop_route(nl, gateway, endpoint.ifname)
            for endpoint in after:
                requests = list(_default_routes(endpoint, link.get_link(nl, endpoint.ifname).ifindex))
                if requests:
                    nl.ask(*requests)
        except OSError as err:
            raise from_oserror(err, "change the default route") from err


def _drop_route(nl: Netlink, gateway: str, ifname: str) -> None:
    if gateway in ON_LINK:
        found = link.find_link(nl, ifname)
        if found is None:
            return
        request = inet.delete_route("", 0, oif=found.ifindex, family=ON_LINK[gateway])
    else:
        request = inet.delete_route("", 0, gateway=gateway)
    try:
        nl.ask(request)
    except NetlinkError as err:
        if err.errno not in _ENOENT:
            raise


def drop_interface(endpoint: Endpoint, sandbox: Sandbox) -> None:
    """Take an endpoint's interface out of a living container; nothing when it is gone."""
    with Netlink(fd=sandbox.rtnl_fd) as nl:
        link.delete_link(nl, endpoint.ifname)


def _sysctls(endpoint: Endpoint, netns_fd: int) -> None:
    with at(netns_fd):
        if endpoint.ipv6:
            for key, value in (("disable_ipv6", "0"), ("accept_dad", "0")):
                write_sysctl(("ipv6", "conf", endpoint.ifname, key), value)
        for name, value in parse_sysctls(endpoint.options.get(SYSCTLS_OPTION, "")):
            write_sysctl(tuple(endpoint.ifname if part.upper() == "IFNAME" else part for part in name), value)


def parse_sysctls(text: str) -> list[tuple[tuple[str, ...], str]]:
    """``net.ipv4.conf.IFNAME.log_martians=1,...`` → path below /proc/sys/net and value. Raises: InvalidArgument."""
    found: list[tuple[tuple[str, ...], str]] = []
    for entry in filter(None, text.split(",")):
        name, eq, value = entry.partition("=")
        parts = tuple(name.split("."))
        if (
            not eq
            or len(parts) != 5
            or parts[0] != "net"
            or parts[2] not in ("conf", "neigh")
            or parts[3].upper() != "IFNAME"
        ):  # docker's CLI writes it small
            raise InvalidArgument(
                f"invalid endpoint sysctl setting {entry}: write net.ipv4.conf.IFNAME.<name>=<value> (or ipv6, mpls; neigh)"
            )
        if parts[1] not in ("ipv4", "ipv6", "mpls") or "/" in name or ".." in name:
            raise InvalidArgument(f"invalid endpoint sysctl setting {entry}: unrecognised address family")
        found.append((parts[1:], value))
    return found
