"""A driver that is somebody else's program, asked by Docker's remote-driver protocol (libnetwork, docs/remote.md).

    create  GetCapabilities, CreateNetwork     remove  DeleteNetwork
    attach  CreateEndpoint, Join: the plugin names a link of this host, which we move inside and name
    expose  ProgramExternalConnectivity, for the endpoint with the default route
    detach  the link goes back to the host under its old name
    leave   RevokeExternalConnectivity, Leave, DeleteEndpoint

The plugin keeps networks and endpoints on its own, so nothing of it is repeated when this engine starts again.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from berth.base.errors import BerthError, Conflict, InvalidArgument, NotFound, from_oserror
from berth.kernel.netlink import link
from berth.kernel.netlink.sock import Netlink
from berth.networks.records import Endpoint, NetworkRecord, Subnet
from berth.networks.request import NetworkRequest
from berth.networks.sandbox import IFNAME_OPTION, Sandbox
from berth.plugins.client import Plugins
from berth.spec.api.containers import PortBinding

log = logging.getLogger(__name__)

KIND = "NetworkDriver"
_GENERIC = "com.docker.network.generic"
_PORTMAP = "com.docker.network.portmap"
_EXPOSED = "com.docker.network.endpoint.exposedports"
_PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}


class RemoteDriver:
    """Behind the contract of ``contract.Driver``, on its plugin's thread; ``here`` asks the kernel on the networks' one. The
    plugin is looked for at each call: it may come and go."""

    publishes = False
    addressed = True
    keeps = True

    def __init__(self, nl: Netlink, name: str, plugins: Plugins, here: Callable[..., None]) -> None:
        self.name = name
        self.scope = "local"
        self._nl = nl
        self._plugins = plugins
        self._here = here
        self._planned: set[str] = set()

    def activate(self) -> None:
        """Raises: NotFound (no such plugin), BerthError of what it says."""
        self.scope = str(self._ask("GetCapabilities", {}).get("Scope") or "local")

    def _ask(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._plugins.get(self.name, KIND).ask(f"{KIND}.{method}", body)

    # --- networks

    def plan(self, asked: NetworkRequest, network: NetworkRecord, others: Sequence[NetworkRecord]) -> None:
        self._planned.add(network.id)

    def ensure(self, network: NetworkRecord) -> None:
        """CreateNetwork, once in the network's life."""
        if network.id not in self._planned:
            return
        self._planned.discard(network.id)
        options: dict[str, Any] = {_GENERIC: network.options, "com.docker.network.enable_ipv4": network.ipv4,
                                   "com.docker.network.enable_ipv6": network.ipv6}  # fmt: skip
        if network.internal:
            options["com.docker.network.internal"] = True
        body: dict[str, Any] = {"NetworkID": network.id, "Options": options}
        for key, version in (("IPv4Data", 4), ("IPv6Data", 6)):
            body[key] = [_ipam(s) for s in network.subnets if s.is_ipv6 == (version == 6)]
        self._ask("CreateNetwork", body)

    def remove(self, network: NetworkRecord) -> None:
        if network.id in self._planned:  # it was never made
            self._planned.discard(network.id)
            return
        self._tell("DeleteNetwork", {"NetworkID": network.id})

    # --- endpoints

    def join(self, network: NetworkRecord, endpoint: Endpoint) -> None:
        """The plugin may choose the MAC where nobody asked for one."""
        endpoint.mac = str(endpoint.asked.get("MacAddress") or "")

    def attach(self, network: NetworkRecord, endpoint: Endpoint, netns_fd: int) -> None:
        """Raises: BerthError: nothing of the endpoint is left then."""
        names = _names(network, endpoint)
        self._create(names, endpoint)
        try:
            self._join(names, network, endpoint, netns_fd)
        except BaseException:
            self._tell("DeleteEndpoint", names)
            raise

    def _create(self, names: dict[str, str], endpoint: Endpoint) -> None:
        given = {"Address": _cidr(endpoint.ipv4, endpoint.prefix_len), "AddressIPv6": _cidr(endpoint.ipv6, endpoint.prefix_len6),
                 "MacAddress": endpoint.mac}  # fmt: skip
        answer = self._ask("CreateEndpoint", {**names, "Interface": given, "Options": endpoint.options})
        chosen = {key: str(value) for key, value in (answer.get("Interface") or {}).items() if value}
        for key in chosen:
            if given.get(key):
                self._tell("DeleteEndpoint", names)
                raise Conflict(
                    f"plugin {self.name} wants another {key} than {given[key]} for an endpoint: {chosen[key]}"
                )
        endpoint.mac = chosen.get("MacAddress") or endpoint.mac
        endpoint.ipv4, endpoint.prefix_len = _split(chosen.get("Address")) or (endpoint.ipv4, endpoint.prefix_len)
        endpoint.ipv6, endpoint.prefix_len6 = _split(chosen.get("AddressIPv6")) or (endpoint.ipv6, endpoint.prefix_len6)

    def _join(self, names: dict[str, str], network: NetworkRecord, endpoint: Endpoint, netns_fd: int) -> None:
        sandbox = f"/proc/{os.getpid()}/fd/{netns_fd}"
        answer = self._ask("Join", {**names, "SandboxKey": sandbox, "Options": endpoint.options})
        name = answer.get("InterfaceName") or {}
        source = str(name.get("SrcName") or "")
        try:
            if not source:
                raise InvalidArgument(f"plugin {self.name} gave container {endpoint.container_name} no interface")
            endpoint.ifname = _inner_name(name, endpoint)
            endpoint.gateway = "" if network.internal else str(answer.get("Gateway") or "")
            endpoint.gateway6 = "" if network.internal else str(answer.get("GatewayIPv6") or "")
            endpoint.static_routes = [
                (str(route["Destination"]), str(route.get("NextHop") or ""))
                for route in answer.get("StaticRoutes") or ()
            ]
            self._here(self._move_in, source, endpoint, netns_fd)
        except BaseException:
            self._tell("Leave", names)
            raise
        endpoint.host_link = source

    def _move_in(self, source: str, endpoint: Endpoint, netns_fd: int) -> None:
        try:
            found = link.get_link(self._nl, source)
            self._nl.ask(link.move_link(found.ifindex, netns_fd, endpoint.ifname, endpoint.mac))
        except OSError as err:
            raise from_oserror(
                err, f"give container {endpoint.container_name} the link {source} of plugin {self.name}"
            ) from err
        endpoint.mac = endpoint.mac or found.mac
        endpoint.mtu = found.mtu

    def mend(self, network: NetworkRecord, endpoint: Endpoint) -> bool:
        return True  # its plugin's to do

    def expose(self, network: NetworkRecord, endpoint: Endpoint) -> None:
        return

    def program(
        self,
        network: NetworkRecord,
        endpoint: Endpoint,
        bindings: dict[str, Sequence[PortBinding]],
        exposed: Iterable[str],
    ) -> None:
        """The container is reached by these ports of the host, and reaches the world. A plugin need not have it."""
        ports = [_port(key) for key in exposed]
        portmap = [_binding(key, binding) for key, found in bindings.items() for binding in found]
        options = {_PORTMAP: portmap, _EXPOSED: ports}
        try:
            self._ask("ProgramExternalConnectivity", {**_names(network, endpoint), "Options": options})
        except NotFound as err:
            log.debug("plugin %s: %s", self.name, err)

    def detach(self, network: NetworkRecord, endpoint: Endpoint, inside: Sandbox) -> None:
        home_fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            with Netlink(fd=inside.rtnl_fd) as nl:
                found = link.find_link(nl, endpoint.ifname)
                if found is not None:
                    nl.ask(link.set_link(found.ifindex, up=False))
                    nl.ask(link.move_link(found.ifindex, home_fd, endpoint.host_link))
        except OSError as err:
            raise from_oserror(err, f"take the link {endpoint.host_link} of plugin {self.name} back") from err
        finally:
            os.close(home_fd)

    def leave(self, network: NetworkRecord, endpoint: Endpoint) -> None:
        if endpoint.host_link:
            endpoint.host_link = ""
            for method in ("RevokeExternalConnectivity", "Leave", "DeleteEndpoint"):
                self._tell(method, _names(network, endpoint))

    def sweep(self, live: Iterable[Endpoint]) -> None:
        return

    def _tell(self, method: str, body: dict[str, Any]) -> None:
        """What must be undone is undone here, whatever the plugin says."""
        try:
            self._ask(method, body)
        except NotFound as err:
            log.debug("plugin %s: %s", self.name, err)
        except BerthError as err:
            log.warning("plugin %s: %s", self.name, err)


def _names(network: NetworkRecord, endpoint: Endpoint) -> dict[str, str]:
    return {"NetworkID": network.id, "EndpointID": endpoint.id}


def _ipam(subnet: Subnet) -> dict[str, Any]:
    return {
        "AddressSpace": "LocalDefault", "Pool": subnet.subnet, "Gateway": _cidr(subnet.gateway, subnet.prefix_len),
        "AuxAddresses": {name: _cidr(address, subnet.prefix_len) for name, address in subnet.aux.items()},
    }  # fmt: skip


def _cidr(address: str, length: int) -> str:
    return f"{address}/{length}" if address else ""


def _split(cidr: str | None) -> tuple[str, int] | None:
    if not cidr:
        return None
    address, _, length = cidr.partition("/")
    return address, int(length or (128 if ":" in address else 32))


def _inner_name(name: dict[str, Any], endpoint: Endpoint) -> str:
    """What the user asked for, else the plugin's name, else its prefix and a number."""
    if endpoint.options.get(IFNAME_OPTION):
        return endpoint.ifname
    prefix = str(name.get("DstPrefix") or "eth")
    return str(name.get("DstName") or f"{prefix}{endpoint.index}")[:15]


def _port(key: str) -> dict[str, int]:
    number, _, proto = key.partition("/")
    return {"Proto": _PROTOCOLS.get(proto or "tcp", 6), "Port": int(number.partition("-")[0])}


def _binding(key: str, binding: PortBinding) -> dict[str, Any]:
    first, _, last = str(binding.get("HostPort") or "0").partition("-")
    return {
        **_port(key), "IP": "", "HostIP": binding.get("HostIp") or "", "HostPort": int(first or 0),
        "HostPortEnd": int(last or first or 0),
    }  # fmt: skip
