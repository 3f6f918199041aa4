"""Matches and statements: each function gives the nft text and the expressions that nft itself would emit for it.

Registers: a register of 16 bytes (1 to 4) is four of 4 bytes (8 to 23), so register 1 begins where 8 does; columns of a
concatenation lie in 1, 9, 10.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Network, IPv6Network

from berth.kernel.netlink.wire import BE32, RAW, STR, Table, nested
from berth.kernel.nft.model import PROTOCOLS, Expr, Map, Part

_VERDICT = Table(code=(1, BE32), chain=(2, STR))
_DATA = Table(value=(1, RAW), verdict=(2, nested(_VERDICT)))
_META = Table(dreg=(1, BE32), key=(2, BE32))
_CMP = Table(sreg=(1, BE32), op=(2, BE32), data=(3, nested(_DATA)))
_PAYLOAD = Table(dreg=(1, BE32), base=(2, BE32), offset=(3, BE32), len=(4, BE32))
_BITWISE = Table(sreg=(1, BE32), dreg=(2, BE32), len=(3, BE32), mask=(4, nested(_DATA)), xor=(5, nested(_DATA)))
_IMMEDIATE = Table(dreg=(1, BE32), data=(2, nested(_DATA)))
_LOOKUP = Table(set=(1, STR), sreg=(2, BE32), dreg=(3, BE32))
_CT = Table(dreg=(1, BE32), key=(2, BE32))
_FIB = Table(dreg=(1, BE32), result=(2, BE32), flags=(3, BE32))
_NAT = Table(type=(1, BE32), family=(2, BE32), addr_min=(3, BE32), proto_min=(5, BE32))
_NETWORK, _TRANSPORT = 1, 2  # header bases of a payload load
_IFNAMSIZ = 16
_NFPROTO = {4: 2, 6: 10}
_ADDRESS_AT = {("saddr", 4): 12, ("daddr", 4): 16, ("saddr", 6): 8, ("daddr", 6): 24}
AnyNetwork = IPv4Network | IPv6Network
_META_KEYS = {
    "iifname": 6, "oifname": 7, "nfproto": 15, "l4proto": 16, "iifkind": 26, "oifkind": 27,
}  # fmt: skip
_CT_STATES = {"invalid": 1, "established": 2, "related": 4, "new": 8}
_CT_STATUS_DNAT = 1 << 5
_ADDRTYPE_LOCAL = 2
_ACCEPT, _DROP, _JUMP = 1, 0, 0xFFFFFFFD
_EQ, _NEQ = 0, 1
_HOST32 = struct.Struct("=I")


def _meta(key: str, register: int = 1) -> Expr:
    return Expr("meta", _META.encode({"dreg": register, "key": _META_KEYS[key]}))


def compare(value: bytes, *, negated: bool = False) -> Expr:
    """Register 1 is (or is not) this."""
    return Expr("cmp", _CMP.encode({"sreg": 1, "op": _NEQ if negated else _EQ, "data": {"value": value}}))


def payload(base: int, offset: int, size: int, register: int = 1) -> Expr:
    """Bytes of a header of the packet."""
    return Expr("payload", _PAYLOAD.encode({"dreg": register, "base": base, "offset": offset, "len": size}))


def masked(mask: bytes) -> Expr:
    """Register 1 with these bits only."""
    values = {"sreg": 1, "dreg": 1, "len": len(mask), "mask": {"value": mask}, "xor": {"value": bytes(len(mask))}}
    return Expr("bitwise", _BITWISE.encode(values))


def _name(key: str, name: str, negated: bool) -> Part:
    padded = name.encode().ljust(_IFNAMSIZ, b"\0")
    return Part(f'{key} {"!= " if negated else ""}"{name}"', (_meta(key), compare(padded, negated=negated)))


def iifname(name: str, *, negated: bool = False) -> Part:
    """Came in by the link of this name."""
    return _name("iifname", name, negated)


def oifname(name: str, *, negated: bool = False) -> Part:
    """Goes out by the link of this name."""
    return _name("oifname", name, negated)


def iifkind(kind: str) -> Part:
    """Came in by a link of this kind; never matches hardware, which has none."""
    return _kind("iifkind", kind)


def oifkind(kind: str) -> Part:
    """Goes out by a link of this kind."""
    return _kind("oifkind", kind)


def _kind(key: str, kind: str) -> Part:
    return Part(f'meta {key} "{kind}"', (_meta(key), compare(kind.encode().ljust(_IFNAMSIZ, b"\0"))))


def family(version: int) -> Part:
    """The packet is of this IP version."""
    return Part(f"meta nfproto ipv{version}", (_meta("nfproto"), compare(bytes([_NFPROTO[version]]))))


def _address(side: str, subnet: AnyNetwork, negated: bool = False) -> Part:
    keyword, width = ("ip", 4) if subnet.version == 4 else ("ip6", 16)
    offset = _ADDRESS_AT[side, subnet.version]
    network, size, rest = subnet.network_address.packed, *divmod(subnet.prefixlen, 8)
    exprs: tuple[Expr, ...] = (
        payload(_NETWORK, offset, width), masked(subnet.netmask.packed), compare(network, negated=negated),
    )  # fmt: skip
    if rest == 0:  # as nft does: load only the bytes that count
        exprs = (payload(_NETWORK, offset, size), compare(network[:size], negated=negated))
    shown = str(subnet.network_address) if subnet.prefixlen == subnet.max_prefixlen else str(subnet)
    return Part(f"{keyword} {side} {'!= ' if negated else ''}{shown}", (*family(subnet.version).exprs, *exprs))


def saddr(subnet: AnyNetwork) -> Part:
    """Sent from this subnet."""
    return _address("saddr", subnet)


def daddr(subnet: AnyNetwork, *, negated: bool = False) -> Part:
    """Sent to this subnet (or, of its IP version, to anywhere else)."""
    return _address("daddr", subnet, negated)


def icmp(version: int) -> Part:
    """ICMP of this IP version."""
    name = "icmp" if version == 4 else "ipv6-icmp"
    return Part(f"meta l4proto {name}", (_meta("l4proto"), compare(bytes([1 if version == 4 else 58]))))


def to_local_address() -> Part:
    """Sent to an address of this machine (loopback included)."""
    fib = Expr("fib", _FIB.encode({"dreg": 1, "result": 3, "flags": 2}))
    return Part("fib daddr type local", (fib, compare(_HOST32.pack(_ADDRTYPE_LOCAL))))


def ct_state(*states: str) -> Part:
    """The connection is in one of these states."""
    mask = sum(_CT_STATES[state] for state in states)
    return Part(f"ct state {','.join(states)}", _ct_bits(0, mask))


def ct_dnat() -> Part:
    """The connection's destination was translated: it came by a published port."""
    return Part("ct status dnat", _ct_bits(2, _CT_STATUS_DNAT))


def _ct_bits(key: int, mask: int) -> tuple[Expr, ...]:
    load = Expr("ct", _CT.encode({"dreg": 1, "key": key}))
    return (load, masked(_HOST32.pack(mask)), compare(bytes(4), negated=True))


def dnat(version: int, publish: Map, *columns: str) -> Part:
    """Translate to what the map says for these columns of the packet ("saddr", "daddr", "proto", "port"); goes on where it
    says nothing. A map to addresses alone keeps the port."""
    values = {"type": 1, "family": _NFPROTO[version], "addr_min": 1}
    if len(publish.value) == 2:
        values["proto_min"] = 9 if version == 4 else 12  # the register after the address
    exprs = (*_load(version, columns), _lookup(publish, 1), Expr("nat", _NAT.encode(values)))
    keyword = "ip" if version == 4 else "ip6"
    text = f"dnat {keyword} to {_column_text(version, columns)} map @{publish.name}"
    return Part(text, (*family(version).exprs, *exprs))


def is_in(version: int, members: Map, *columns: str) -> Part:
    """These columns of the packet are in the set."""
    exprs = (*family(version).exprs, *_load(version, columns), _lookup(members))
    return Part(f"{_column_text(version, columns)} @{members.name}", exprs)


def _load(version: int, columns: tuple[str, ...]) -> list[Expr]:
    """The columns one after another into the registers: of 4 bytes each from 8 on; register 1 begins where 8 does."""
    exprs, at = [], 8
    for column in columns:
        register = 1 if at == 8 else at
        if column == "proto":
            exprs.append(_meta("l4proto", register))
        elif column == "port":
            exprs.append(payload(_TRANSPORT, 2, 2, register))
        else:
            exprs.append(payload(_NETWORK, _ADDRESS_AT[column, version], 4 if version == 4 else 16, register))
        at += 4 if column in ("saddr", "daddr") and version == 6 else 1
    return exprs


def _column_text(version: int, columns: tuple[str, ...]) -> str:
    keyword = "ip" if version == 4 else "ip6"
    words = {"proto": "meta l4proto", "port": "th dport", "saddr": f"{keyword} saddr", "daddr": f"{keyword} daddr"}
    return " . ".join(words[column] for column in columns)


def _lookup(members: Map, dreg: int | None = None) -> Expr:
    values: dict[str, str | int] = {"set": members.name, "sreg": 1}
    if dreg is not None:
        values["dreg"] = dreg
    return Expr("lookup", _LOOKUP.encode(values))


def masquerade() -> Part:
    """Translate the source to an address of the outgoing link."""
    return Part("masquerade", (Expr("masq", b""),))


def _verdict(text: str, values: dict[str, int | str]) -> Part:
    return Part(text, (Expr("immediate", _IMMEDIATE.encode({"dreg": 0, "data": {"verdict": values}})),))


def accept() -> Part:
    """Accept, for this table: other tables still have their say."""
    return _verdict("accept", {"code": _ACCEPT})


def drop() -> Part:
    """Drop, for everybody."""
    return _verdict("drop", {"code": _DROP})


def jump(chain: str) -> Part:
    """Go on in that chain and come back."""
    return _verdict(f"jump {chain}", {"code": _JUMP, "chain": chain})


def l4proto(proto: str) -> tuple[Expr, ...]:
    """The transport protocol is this one."""
    return (_meta("l4proto"), compare(bytes([PROTOCOLS[proto]])))


def transport_load(offset: int, port: int) -> tuple[Expr, ...]:
    """The two bytes at an offset of the transport header are this number."""
    return (payload(_TRANSPORT, offset, 2), compare(port.to_bytes(2, "big")))


def immediate(value: bytes) -> Expr:
    """Load a value into register 1."""
    return Expr("immediate", _IMMEDIATE.encode({"dreg": 1, "data": {"value": value}}))
