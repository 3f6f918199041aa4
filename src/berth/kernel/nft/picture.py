"""What the kernel holds of a table, and what it should hold, in one form that ``==`` compares."""

from __future__ import annotations

from typing import Any, NamedTuple

from berth.kernel.netlink.sock import NetlinkError, Request
from berth.kernel.netlink.wire import Table as Attributes
from berth.kernel.netlink.wire import attrs
from berth.kernel.nft import transaction as tx
from berth.kernel.nft.model import HOOKS, PRIORITIES, Element, Table

_HOOK_NAMES = {number: name for name, number in HOOKS.items()}
_FAMILY_NAMES = {1: "inet", 2: "ip", 10: "ip6"}


class ChainPicture(NamedTuple):
    """A chain's place and the digests of its rules, in order (b"" for a rule that isn't ours)."""

    hook: tuple[str, str, int, int] | None  # type, hook, priority, policy (1 accept, 0 drop)
    rules: tuple[bytes, ...]


class MapPicture(NamedTuple):
    """A map's type and elements."""

    key_type: int
    data_type: int
    elements: frozenset[Element]


class Picture(NamedTuple):
    """A table's chains and maps by name."""

    chains: dict[str, ChainPicture]
    maps: dict[str, MapPicture]


def picture_of(table: Table) -> Picture:
    """What ``read`` would return if the kernel held exactly ``table``."""
    chains = {}
    for chain in table.chains:
        hook = None
        if chain.hook is not None:
            kind, name, priority, policy = chain.hook
            hook = (kind, name, PRIORITIES[priority], int(policy == "accept"))
        chains[chain.name] = ChainPicture(hook, tuple(rule.digest for rule in chain.rules))
    maps = {
        m.name: MapPicture(tx.type_number(m.key), tx.type_number(m.value), frozenset(m.elements)) for m in table.maps
    }
    return Picture(chains, maps)


def read(nft: tx.Nft, family: str, name: str) -> Picture | None:
    """The table as the kernel holds it, or None. Lists every element: not for the hot path."""
    head = tx.head(family)
    try:
        nft.nl.get(Request(tx.GETTABLE, 0, head + tx.TABLE_ATTRS.encode({"name": name})))
    except NetlinkError as err:
        if tx.is_missing(err):
            return None
        raise
    rules = _rules(nft, head, name)
    chains = {
        values["name"]: ChainPicture(_hook(values), tuple(rules.get(values["name"], ())))
        for values in _dump(nft, tx.GETCHAIN, head, tx.CHAIN_ATTRS, {})
        if values["table"] == name
    }
    maps = {
        values["name"]: MapPicture(
            values["key_type"], values.get("data_type", 0), _elements(nft, head, name, values["name"])
        )
        for values in _dump(nft, tx.GETSET, head, tx.SET_ATTRS, {"table": name})
    }
    return Picture(chains, maps)


def tables(nft: tx.Nft, prefix: str = "") -> list[tuple[str, str]]:
    """``(family, name)`` of the tables whose name begins so."""
    found = []
    for message in nft.nl.dump(Request(tx.GETTABLE, 0, tx.NFGENMSG.pack(0, 0, 0))):
        family = _FAMILY_NAMES.get(message.body[0], str(message.body[0]))
        name = tx.TABLE_ATTRS.decode(message.body, tx.NFGENMSG.size).get("name", "")
        if name.startswith(prefix):
            found.append((family, name))
    return found


def forward_drops(nft: tx.Nft) -> list[tuple[str, str, str]]:
    """``(family, table, chain)`` of every IPv4 forward chain whose policy is drop: no other table can overrule it."""
    found = []
    for message in nft.nl.dump(Request(tx.GETCHAIN, 0, tx.NFGENMSG.pack(0, 0, 0))):
        values = tx.CHAIN_ATTRS.decode(message.body, tx.NFGENMSG.size)
        family = _FAMILY_NAMES.get(message.body[0])
        hook = _hook(values)
        if family in ("inet", "ip") and hook is not None and hook[1] == "forward" and hook[3] == 0:
            found.append((family, values["table"], values["name"]))
    return found


def _dump(nft: tx.Nft, kind: int, head: bytes, table: Attributes, values: dict[str, str]) -> list[dict[str, Any]]:
    answer = nft.nl.dump(Request(kind, 0, head + table.encode(values)))
    return [table.decode(message.body, tx.NFGENMSG.size) for message in answer]


def _hook(values: dict[str, Any]) -> tuple[str, str, int, int] | None:
    hook = values.get("hook")
    if not isinstance(hook, dict):
        return None
    priority = hook["priority"] - (1 << 32) if hook["priority"] >> 31 else hook["priority"]
    policy = values.get("policy", 1)
    return (
        str(values.get("type", "")),
        _HOOK_NAMES.get(hook["num"], "?"),
        priority,
        policy if isinstance(policy, int) else 1,
    )


def _rules(nft: tx.Nft, head: bytes, table: str) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for values in _dump(nft, tx.GETRULE, head, tx.RULE_ATTRS, {"table": table}):
        if values["table"] == table:
            found.setdefault(values["chain"], []).append(_digest(values.get("userdata", b"")))
    return found


def _digest(userdata: bytes) -> bytes:
    at = 0
    while at + 2 <= len(userdata):
        kind, length = userdata[at], userdata[at + 1]
        if kind == tx.UDATA_DIGEST:
            return userdata[at + 2 : at + 2 + length]
        at += 2 + length
    return b""


def _elements(nft: tx.Nft, head: bytes, table: str, name: str) -> frozenset[Element]:
    found = []
    for values in _dump(nft, tx.GETSETELEM, head, tx.ELEMENTS_ATTRS, {"table": table, "set": name}):
        for _number, raw in attrs(values.get("elements", b"")):
            element = tx.ELEMENT_ATTRS.decode(raw)
            parts = [element.get(part, {}).get("value", b"") for part in ("key", "data", "key_end")]
            found.append(Element(*parts))
    return frozenset(found)
