"""What the stores keep of networks and endpoints: the rows of ``networks`` and ``endpoints``, as JSON documents.

A row is desired and observed state in one: ``published`` is what the kernel and netd were told, so that a new daemon knows
what must be there without asking anybody. A container has an endpoint a network it is connected to, in the order of its
interfaces.
"""

import sqlite3
from ipaddress import ip_address, ip_network
from typing import Any

import msgspec

LOCAL_IPAM = ("default", "null")
"""Every other IPAM driver is a plugin."""


class Subnet(msgspec.Struct):
    """One block of addresses of a network. ``ip_range`` is where unasked-for addresses come from, "" for all of it."""

    subnet: str  # 172.17.0.0/16
    gateway: str = ""  # 172.17.0.1
    ip_range: str = ""
    aux: dict[str, str] = {}  # name → address that no container gets

    @property
    def is_ipv6(self) -> bool:
        return ":" in self.subnet

    @property
    def prefix_len(self) -> int:
        return int(self.subnet.rpartition("/")[2])


def default_gateway_name(subnet: Subnet) -> str:
    """The auxiliary address that is a bridge's way out."""
    return f"DefaultGatewayIPv{6 if subnet.is_ipv6 else 4}"


class Published(msgspec.Struct, frozen=True, array_like=True):
    """Published ports: ``host_ip:host_port/proto`` on the host leads to ``container_port`` of the endpoint.

    ``count`` above 1: that many ports in a row, on both sides. ``source``: only clients of this subnet may come.
    """

    proto: str  # tcp, udp or sctp
    container_port: int
    host_ip: str  # "0.0.0.0", "::", or one address
    host_port: int
    count: int = 1
    source: str = ""


class NetworkRecord(msgspec.Struct):
    """A network: what a user names and inspects, and what its driver needs."""

    id: str
    name: str
    driver: str  # bridge, host or null (Docker's word for none), macvlan, ...
    created_ns: int
    scope: str = "local"
    subnets: list[Subnet] = []
    ipv4: bool = True
    ipv6: bool = False
    internal: bool = False
    attachable: bool = False
    subnets_asked: bool = False  # the user gave a subnet: then, and only then, static addresses may be asked for
    labels: dict[str, str] = {}
    options: dict[str, str] = {}  # as they were asked for
    ipam_driver: str = "default"
    ipam_options: dict[str, str] | None = None
    link: str = ""  # the bridge's name, or the parent's
    mtu: int = 1500
    icc: bool = True
    masquerade: bool = True
    host_binding: str = ""  # the host address of -p 8080:80 here; "" is the daemon's --ip
    gateway_mode: str = "nat"  # nat, nat-unprotected, routed or isolated: see drivers/bridge.py
    gateway_mode6: str = "nat"
    vni: int = 0  # overlay: its VXLAN id
    shared: bool = False  # it is in the cluster store; each host gives addresses of blocks of its own
    blocks: list[str] = []  # this host's; its gateways are in the first of each IP version
    gateways_asked: dict[str, str] = {}  # by subnet, of a shared network
    pools: dict[str, str] = {}  # by subnet, what a remote IPAM driver calls it
    ours: bool = True  # we made the link (False: the user's own bridge, used as it is, never changed)

    @property
    def v4(self) -> Subnet | None:
        """The first IPv4 subnet."""
        return next((s for s in self.subnets if not s.is_ipv6), None)

    @property
    def v6(self) -> Subnet | None:
        """The first IPv6 subnet."""
        return next((s for s in self.subnets if s.is_ipv6), None)

    def way_out(self, subnet: Subnet) -> str:
        """Where its containers' default route leads: a bridge's auxiliary address of Docker's name for it, else its gateway."""
        named = subnet.aux.get(default_gateway_name(subnet)) if self.driver == "bridge" else None
        return named or subnet.gateway

    @property
    def vxlan(self) -> str:
        """The name of an overlay's VXLAN link; "" of other networks."""
        return f"vx-{self.id[:12]}" if self.driver == "overlay" else ""

    @property
    def encrypted(self) -> bool:
        """overlay with ``--opt encrypted``: what goes to other hosts goes by ESP."""
        return self.driver == "overlay" and self.options.get("encrypted", "false").lower() not in ("false", "0")

    @property
    def remote_ipam(self) -> bool:
        """Its addresses come from a plugin."""
        return self.ipam_driver not in LOCAL_IPAM

    @property
    def versions_here(self) -> set[int]:
        """The IP versions that this host has blocks of."""
        return {6 if ":" in block else 4 for block in self.blocks}

    def owns(self, address: str) -> bool:
        """Whether an address is in a block of this host's."""
        return any(ip_address(address) in ip_network(block) for block in self.blocks)

    @property
    def predefined(self) -> bool:
        """One of the three that every engine has, which cannot be removed."""
        return self.name in ("bridge", "host", "none")

    @property
    def resolves(self) -> bool:
        """Whether its containers find one another by name: every network that a user made."""
        return not self.predefined


class Endpoint(msgspec.Struct):
    """A container's place in a network. ``host`` and ``none`` give one too, with an id and nothing else."""

    id: str
    container_id: str
    container_name: str
    network_id: str
    network_name: str
    driver: str
    ipv4: str = ""
    prefix_len: int = 0
    gateway: str = ""
    ipv6: str = ""
    prefix_len6: int = 0
    gateway6: str = ""
    mac: str = ""
    host_link: str = ""  # the host's end of the veth
    ifname: str = "eth0"
    index: int = 0  # which of the container's interfaces it is
    mtu: int = 1500
    priority: int = 0  # GwPriority: the highest has the default route
    routes4: bool = False  # it has the IPv4 default route now
    routes6: bool = False
    names: list[str] = []  # what neighbours may call it by (DNSNames)
    asked: dict[str, Any] = {}  # the EndpointSettings of the create body
    published: list[Published] = []
    static_routes: list[tuple[str, str]] = []  # destination, next hop ("": on the link); of remote drivers

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(a for a in (self.ipv4, self.ipv6) if a)

    @property
    def options(self) -> dict[str, str]:
        """``--driver-opt`` of this endpoint."""
        return {str(k): str(v) for k, v in (self.asked.get("DriverOpts") or {}).items()}


_encode = msgspec.json.Encoder().encode
_decode_network = msgspec.json.Decoder(NetworkRecord).decode
_decode_endpoint = msgspec.json.Decoder(Endpoint).decode


def save_endpoints(conn: sqlite3.Connection, container_id: str, endpoints: list[Endpoint]) -> None:
    """The container's endpoints are these and no others. After: allocate (addresses) and again after publish (ports)."""
    conn.execute("DELETE FROM endpoints WHERE container_id = ?", (container_id,))
    for endpoint in endpoints:
        conn.execute(
            "INSERT INTO endpoints (id, container_id, network_id, doc) VALUES (?, ?, ?, ?)",
            (endpoint.id, container_id, endpoint.network_id, _encode(endpoint).decode()),
        )


def load_endpoints(conn: sqlite3.Connection) -> list[Endpoint]:
    """Every endpoint that was saved and not forgotten, those of a container in the order of its interfaces."""
    found = [_decode_endpoint(doc) for (doc,) in conn.execute("SELECT doc FROM endpoints")]
    return sorted(found, key=lambda e: (e.container_id, e.index))


def save_network(conn: sqlite3.Connection, record: NetworkRecord) -> None:
    """Insert or replace the network's row."""
    conn.execute(
        "INSERT OR REPLACE INTO networks (id, name, doc) VALUES (?, ?, ?)",
        (record.id, record.name, _encode(record).decode()),
    )


def forget_network(conn: sqlite3.Connection, network_id: str) -> None:
    """Delete the network's row; nothing when there is none."""
    conn.execute("DELETE FROM networks WHERE id = ?", (network_id,))


def load_networks(conn: sqlite3.Connection) -> list[NetworkRecord]:
    """Every network, by name."""
    return [_decode_network(doc) for (doc,) in conn.execute("SELECT doc FROM networks ORDER BY name")]
