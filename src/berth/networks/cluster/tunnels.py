"""Which hosts encrypt to one another with which keys. Pure.

The store has two or three secrets. What a host sends to another is under a key of its own, derived from a secret, both addresses
and the sender's nonce: no two senders share one, nor one sender before and after a reboot. A host takes what is under any
secret, and sends under the newest that the other one has said it takes.
"""

from __future__ import annotations

import hashlib
import hmac

from berth.kernel.netlink.xfrm import KEY_BYTES
from berth.networks.cluster.records import Esp, Secret
from berth.networks.cluster.view import View
from berth.networks.drivers.esp import Association, Tunnel
from berth.networks.records import NetworkRecord

_FIRST_SPI = 0x100


def derive(secret: Secret, src: str, dst: str, nonce: str) -> Association:
    """HKDF's expand step of one block. Spec: RFC 5869."""
    context = f"berth esp\0{src}\0{dst}\0{nonce}\x01".encode()
    out = hmac.new(secret.key, context, hashlib.sha512).digest()
    return Association(max(int.from_bytes(out[KEY_BYTES : KEY_BYTES + 4], "big"), _FIRST_SPI), out[:KEY_BYTES])


def plan_tunnels(view: View, me: Esp, networks: list[NetworkRecord]) -> list[Tunnel]:
    """One for each other host that has a block in an encrypted network of this host's."""
    if view.secrets is None:
        return []
    owners = {o.instance for n in networks if n.encrypted and n.blocks for o in view.blocks.get(n.id, {}).values()}
    peers = [view.esp[instance] for instance in sorted(owners - {me.instance}) if instance in view.esp]
    found: dict[str, Tunnel] = {}
    for peer in peers:
        inbound = tuple(derive(s, peer.address, me.address, peer.nonce) for s in view.secrets.keys)
        taken = [s for s in view.secrets.keys if s.id <= peer.newest] or view.secrets.keys[:1]
        found[peer.address] = Tunnel(peer.address, inbound, derive(taken[-1], me.address, peer.address, me.nonce))
    return list(found.values())
