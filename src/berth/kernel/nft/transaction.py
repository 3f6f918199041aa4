"""Values to messages, and messages to the kernel in one batch: all of it takes effect at once, or none of it.

struct nfgenmsg { __u8 nfgen_family; __u8 version; __be16 res_id; };
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable, Iterator

from berth.kernel.netlink.sock import (
    NETLINK_NETFILTER,
    NLM_F_ACK,
    NLM_F_APPEND,
    NLM_F_CREATE,
    Netlink,
    NetlinkError,
    Request,
)
from berth.kernel.netlink.wire import BE32, RAW, STR, Codec, nest, nested
from berth.kernel.netlink.wire import Table as Attributes
from berth.kernel.nft.model import FAMILIES, HOOKS, PRIORITIES, Chain, Element, Expr, Field, Hook, Map, Rule, Table

SUBSYS = 10 << 8
(NEWTABLE, GETTABLE, DELTABLE, NEWCHAIN, GETCHAIN, DELCHAIN, NEWRULE, GETRULE, DELRULE, NEWSET, GETSET, DELSET,
 NEWSETELEM, GETSETELEM, DELSETELEM) = range(SUBSYS, SUBSYS + 15)  # fmt: skip
NFNLGRP_NFTABLES = 7
NFGENMSG = struct.Struct("!BBH")

RAW_NESTED = Codec(bytes, bytes, nested=True)
HOOK_ATTRS = Attributes(num=(1, BE32), priority=(2, BE32))
TABLE_ATTRS = Attributes(name=(1, STR), flags=(2, BE32))
CHAIN_ATTRS = Attributes(table=(1, STR), name=(3, STR), hook=(4, nested(HOOK_ATTRS)), policy=(5, BE32), type=(7, STR))
RULE_ATTRS = Attributes(table=(1, STR), chain=(2, STR), exprs=(4, RAW), userdata=(7, RAW))
SET_ATTRS = Attributes(
    table=(1, STR), name=(2, STR), flags=(3, BE32), key_type=(4, BE32), key_len=(5, BE32),
    data_type=(6, BE32), data_len=(7, BE32), desc=(9, RAW_NESTED), id=(10, BE32),
)  # fmt: skip
ELEMENTS_ATTRS = Attributes(table=(1, STR), set=(2, STR), elements=(3, RAW))
_VALUE = Attributes(value=(1, RAW))
ELEMENT_ATTRS = Attributes(key=(1, nested(_VALUE)), data=(2, nested(_VALUE)), key_end=(10, nested(_VALUE)))
_FIELD_LEN = Attributes(len=(1, BE32))
_EXPR_ATTRS = Attributes(name=(1, STR), data=(2, RAW))

SET_INTERVAL, SET_MAP, SET_CONCAT = 4, 8, 0x80
_DESC_CONCAT = 2
_LIST_ELEM = 1
_EXPR_DATA = 2
_UDATA_COMMENT, UDATA_DIGEST = 0, 200
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_BATCH = NFGENMSG.pack(0, 0, 10)
_ELEMENTS_PER_MESSAGE = 400  # a nest ends at 64 KiB
_SNDBUF_FROM = 64 << 10
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33


def head(family: str) -> bytes:
    """The family header of every message."""
    return NFGENMSG.pack(FAMILIES[family], 0, 0)


def type_number(fields: tuple[Field, ...]) -> int:
    """nft's number of a concatenated type: 6 bits a column."""
    number = 0
    for field in fields:
        number = number << 6 | field.number
    return number


def type_size(fields: tuple[Field, ...]) -> int:
    """Bytes of a key or value, each column padded to a register."""
    return sum((field.size + 3) & ~3 for field in fields)


def new_table(table: Table) -> Iterator[Request]:
    """Everything of a table that doesn't exist: maps before the rules that name them, chains before the rules that jump."""
    begin = head(table.family)
    yield claim_table(table)
    for number, each in enumerate(table.maps, start=1):
        yield Request(NEWSET, NLM_F_CREATE, begin + SET_ATTRS.encode(_map(table.name, each, number)))
    for chain in table.chains:
        yield Request(NEWCHAIN, NLM_F_CREATE, begin + CHAIN_ATTRS.encode(_chain(table.name, chain)))
    for chain in table.chains:
        for rule in chain.rules:
            values = {
                "table": table.name,
                "chain": chain.name,
                "exprs": _exprs(rule.exprs),
                "userdata": _userdata(rule),
            }
            yield Request(NEWRULE, NLM_F_CREATE | NLM_F_APPEND, begin + RULE_ATTRS.encode(values))
    for each in table.maps:
        yield from add_elements(table.family, table.name, each.name, each.elements)


def claim_table(table: Table) -> Request:
    """The table itself, with its flags: made, or taken over where nobody owns it."""
    values: dict[str, object] = {"name": table.name}
    if table.flags:
        values["flags"] = table.flags
    return Request(NEWTABLE, NLM_F_CREATE, head(table.family) + TABLE_ATTRS.encode(values))


def replace_table(table: Table) -> Iterator[Request]:
    """The table as it should be, whatever it was: no packet meets anything between."""
    yield from delete_table(table.family, table.name)
    yield from new_table(table)


def delete_table(family: str, name: str) -> Iterator[Request]:
    """The table and all in it; nothing when there is none (it is made first: deleting none is ENOENT)."""
    body = head(family) + TABLE_ATTRS.encode({"name": name})
    yield Request(NEWTABLE, NLM_F_CREATE, body)
    yield Request(DELTABLE, 0, body)


def add_elements(family: str, table: str, name: str, elements: Iterable[Element]) -> Iterator[Request]:
    """Put elements into a map; one that is there with the same value stays."""
    packed = [_element(_element_values(each)) for each in elements]
    yield from _element_requests(NEWSETELEM, NLM_F_CREATE, family, table, name, packed)


def delete_elements(family: str, table: str, name: str, elements: Iterable[Element]) -> Iterator[Request]:
    """Take elements out of a map, whatever their values. Refused when one is not there (ENOENT)."""
    packed = [_element(_element_values(each._replace(value=b""))) for each in elements]
    yield from _element_requests(DELSETELEM, 0, family, table, name, packed)


def _element_values(element: Element) -> dict[str, dict[str, bytes]]:
    values = {"key": {"value": element.key}}
    if element.value:
        values["data"] = {"value": element.value}
    if element.end:
        values["key_end"] = {"value": element.end}
    return values


def _element(values: dict[str, dict[str, bytes]]) -> bytes:
    return nest(_LIST_ELEM, ELEMENT_ATTRS.encode(values))


def _element_requests(
    kind: int, flags: int, family: str, table: str, name: str, packed: list[bytes]
) -> Iterator[Request]:
    for at in range(0, len(packed), _ELEMENTS_PER_MESSAGE):
        values = {"table": table, "set": name}
        elements = nest(3, b"".join(packed[at : at + _ELEMENTS_PER_MESSAGE]))
        yield Request(kind, flags, head(family) + ELEMENTS_ATTRS.encode(values) + elements)


def _map(table: str, each: Map, number: int) -> dict[str, object]:
    flags = (SET_MAP if each.value else 0) | (SET_INTERVAL | SET_CONCAT if each.interval else 0)
    values: dict[str, object] = {
        "table": table, "name": each.name, "flags": flags, "id": number,
        "key_type": type_number(each.key), "key_len": type_size(each.key),
    }  # fmt: skip
    if each.value:
        values |= {"data_type": type_number(each.value), "data_len": type_size(each.value)}
    if each.interval:  # the kernel must know where one column ends and the next begins
        fields = [nest(_LIST_ELEM, _FIELD_LEN.encode({"len": field.size})) for field in each.key]
        values["desc"] = nest(_DESC_CONCAT, b"".join(fields))
    return values


def _chain(table: str, chain: Chain) -> dict[str, object]:
    values: dict[str, object] = {"table": table, "name": chain.name}
    if chain.hook is not None:
        values |= _hook(chain.hook)
    return values


def _hook(hook: Hook) -> dict[str, object]:
    priority = PRIORITIES[hook.priority] & 0xFFFFFFFF
    policy = 1 if hook.policy == "accept" else 0
    return {"hook": {"num": HOOKS[hook.hook], "priority": priority}, "policy": policy, "type": hook.type}


def _exprs(exprs: tuple[Expr, ...]) -> bytes:
    return b"".join(
        nest(_LIST_ELEM, _EXPR_ATTRS.encode({"name": e.name}) + (nest(_EXPR_DATA, e.body) if e.body else b""))
        for e in exprs
    )


def _userdata(rule: Rule) -> bytes:
    """Type, length, value: the comment that ``nft list`` prints, and our digest, which nft passes over."""
    text = rule.comment.encode()[:120] + b"\0"
    comment = bytes([_UDATA_COMMENT, len(text)]) + text if rule.comment else b""
    return comment + bytes([UDATA_DIGEST, 8]) + rule.digest


class Nft:
    """A socket to nftables in the current network namespace. One thread at a time."""

    def __init__(self) -> None:
        self.nl = Netlink(NETLINK_NETFILTER)
        self._sndbuf = 0

    def close(self) -> None:
        self.nl.close()

    def __enter__(self) -> Nft:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def commit(self, requests: Iterable[Request]) -> None:
        """Do all of it or none. Raises: NetlinkError of the first refused request (``index`` counts from 0)."""
        ops = list(requests)
        if not ops:
            return
        ops[-1] = ops[-1]._replace(flags=ops[-1].flags | NLM_F_ACK)
        batch = [Request(_BATCH_BEGIN, 0, _BATCH), *ops, Request(_BATCH_END, 0, _BATCH)]
        first, datagram = self.nl.frame(batch)
        self._make_room(len(datagram))
        self.nl.sock.send(datagram)
        self._answer(first, len(ops))

    def _answer(self, first: int, count: int) -> None:
        """Acknowledgements come after the commit, in order: refusals, then that of the last operation.

        A refusal that names the batch's begin (no permission, no such subsystem, a failed commit) comes alone.
        """
        refusal: NetlinkError | None = None
        while True:
            for seq, refused in self.nl.answers():
                index = seq - first - 1
                if not -1 <= index <= count:
                    continue
                if refused is not None:
                    refused.index = max(index, 0)
                refusal = refusal or refused
                if index == count - 1 or index in (-1, count):
                    if refusal is not None:
                        raise refusal
                    return

    def _make_room(self, size: int) -> None:
        if size > max(self._sndbuf, _SNDBUF_FROM):
            self._sndbuf = 2 * size
            self.nl.sock.setsockopt(1, _SO_SNDBUFFORCE, self._sndbuf)
            self.nl.sock.setsockopt(1, _SO_RCVBUFFORCE, self._sndbuf)


def is_missing(err: OSError) -> bool:
    """True when the kernel said that the table, map or element isn't there."""
    return err.errno == errno.ENOENT
