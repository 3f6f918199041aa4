"""What macvlan and ipvlan stand on: a link of the host's, a VLAN of one, or a dummy that leads nowhere.

    -o parent=eth0        used as it is, never changed
    -o parent=eth0.50     the VLAN 50 of eth0 (802.1Q): made with the network and removed with the last one on it, unless it
                          was there
    no parent, --internal a dummy link of the network's own: containers of this host see one another, and nobody else

Links that we made carry the alias ``berth:<instance>``.
"""

from __future__ import annotations

import errno

from berth.base.errors import Conflict, InvalidArgument, NotFound, Unsupported, from_oserror
from berth.kernel.netlink import link
from berth.kernel.netlink.sock import Netlink
from berth.networks.drivers.bridge import MTU_OPTION, alias_of
from berth.networks.drivers.contract import Bare
from berth.networks.patience import patiently
from berth.networks.records import Endpoint, NetworkRecord
from berth.networks.sandbox import Sandbox, drop_interface

VLAN_IDS = range(1, 4095)


class OnParent(Bare):
    """A driver whose interfaces are links of a ``kind`` on a parent, born inside the container. ``kind`` is its name too."""

    name: str
    addressed = True

    def __init__(self, nl: Netlink, instance_id: str) -> None:
        self._nl = nl
        self._alias = alias_of(instance_id)
        self._users: dict[str, set[str]] = {}  # which networks stand on a parent

    def data(self, network: NetworkRecord) -> bytes:
        """What the kernel's kind of link wants to know, encoded. Raises: InvalidArgument (an option)."""
        raise NotImplementedError

    def taken(self, network: NetworkRecord) -> tuple[int, ...]:
        """What the kernel says when an interface that is about to go is in the way of another one."""
        return (errno.EBUSY,)

    def ensure(self, network: NetworkRecord) -> None:
        self._users.setdefault(network.link, set()).add(network.id)
        check_kind(self._nl, self.name)
        ensure_parent(self._nl, network, self._alias)

    def remove(self, network: NetworkRecord) -> None:
        users = self._users.get(network.link, set())
        users.discard(network.id)
        if not users:
            self._users.pop(network.link, None)
            remove_parent(self._nl, network, self._alias)

    def attach(self, network: NetworkRecord, endpoint: Endpoint, netns_fd: int) -> None:
        mtu = int(network.options.get(MTU_OPTION) or 0)
        try:
            index = link.get_link(self._nl, network.link).ifindex
            new = link.NewLink(
                endpoint.ifname, self.name, self.data(network), index, mac=endpoint.mac, mtu=mtu, netns_fd=netns_fd
            )
            patiently(lambda: link.add_link(self._nl, new), self.taken(network))
        except OSError as err:
            raise from_oserror(
                err, f"attach container {endpoint.container_name} to parent interface {network.link}"
            ) from err

    def detach(self, network: NetworkRecord, endpoint: Endpoint, inside: Sandbox) -> None:
        drop_interface(endpoint, inside)


def plan_parent(nl: Netlink, network: NetworkRecord, wanted: str, alias: str, prefix: str) -> None:
    """Set ``link`` and ``ours``. ``prefix`` begins the dummy's name. Raises: InvalidArgument, NotFound (no such link)."""
    if not wanted or network.internal:
        network.link, network.ours, network.internal = f"{prefix}{network.id[:12]}", True, True
        return
    found = link.find_link(nl, wanted)
    network.link = wanted
    network.ours = found is None or found.alias == alias
    if found is None:
        base, _ = parse_vlan(wanted)
        if link.find_link(nl, base) is None:
            raise NotFound(f"requested parent interface {base} was not found on this host")


def parse_vlan(name: str) -> tuple[str, int]:
    """``eth0.50`` → (eth0, 50). Raises: NotFound (no VLAN's name), InvalidArgument (the number)."""
    base, dot, number = name.rpartition(".")
    if not dot or not base:
        raise NotFound(f"requested parent interface {name} was not found on this host")
    if not number.isdecimal() or int(number) not in VLAN_IDS:
        raise InvalidArgument(
            f"invalid VLAN in parent interface {name}: the number after the dot must be from 1 to 4094"
        )
    return base, int(number)


def ensure_parent(nl: Netlink, network: NetworkRecord, alias: str) -> None:
    """The parent exists and is up. Raises: NotFound (somebody removed it), Unsupported (no 802.1Q, no dummy)."""
    found = link.find_link(nl, network.link)
    try:
        if found is None:
            if not network.ours:
                raise NotFound(f"parent interface {network.link} is gone from this host")
            link.add_link(nl, _new_parent(nl, network.link, alias))
        elif not found.up and network.ours:
            nl.ask(link.set_link(found.ifindex, up=True))
    except OSError as err:
        raise from_oserror(err, f"make the parent interface {network.link}") from err


def _new_parent(nl: Netlink, name: str, alias: str) -> link.NewLink:
    kind = "vlan" if "." in name else "dummy"
    if not link.knows_kind(nl, kind):
        raise Unsupported(f"make the parent interface {name}: this kernel has no {_WORDS[kind]}")
    if kind == "dummy":
        return link.NewLink(name, kind, alias=alias, up=True)
    base, number = parse_vlan(name)
    parent = link.get_link(nl, base).ifindex
    return link.NewLink(name, kind, link.VLAN.encode({"id": number}), parent, alias=alias, up=True)


_WORDS = {
    "vlan": "802.1Q VLANs (module 8021q)",
    "dummy": "dummy links (module dummy): name a parent with -o parent=<link>",
}


def remove_parent(nl: Netlink, network: NetworkRecord, alias: str) -> None:
    """The parent, if we made it."""
    found = link.find_link(nl, network.link)
    if found is not None and found.alias == alias:
        link.delete_link(nl, network.link)


def check_kind(nl: Netlink, kind: str) -> None:
    """Raises: Unsupported (this kernel has no such links)."""
    if not link.knows_kind(nl, kind):
        raise Unsupported(f"this kernel has no {kind} links (module {kind})")


def check_exclusive(network: NetworkRecord, others: list[NetworkRecord], drivers: tuple[str, ...]) -> None:
    """A link serves macvlan or ipvlan, not both. Raises: Conflict naming who has it."""
    for other in others:
        if other.driver in drivers and other.link == network.link:
            raise Conflict(f"network {other.name} ({other.driver}) is already using parent interface {network.link}")
