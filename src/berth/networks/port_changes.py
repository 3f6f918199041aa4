"""From what is published to what is wished for: what stays as it is, and what is still to publish. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import msgspec

from berth.networks.host_ports import Wanted, in_order
from berth.networks.records import Published
from berth.spec.ports import ANY_PORT


class Change(NamedTuple):
    """``keep`` are of the published ports, runs cut where a part of them goes; ``wanted`` come new, in the order of trying."""

    keep: list[Published]
    wanted: list[Wanted]


def plan_change(
    wishes: Sequence[Wanted], published: Sequence[Published], routed: frozenset[int] = frozenset()
) -> Change:
    """A wish is fulfilled by one port on all its addresses; ``routed``: IP versions whose ports are not the host's.

    A port that was the engine's choice stays the chosen one. Whatever no wish asks for goes.
    """
    free: dict[tuple[str, int, str], list[Published]] = {}
    for port in _units(published):
        free.setdefault((port.proto, port.container_port, port.source), []).append(port)
    keep: set[Published] = set()
    wanted = []
    for wish in sorted(wishes, key=_choosiness):
        there = free.get((wish.proto, wish.container_port, wish.source), [])
        found = _fulfilled(wish, there, routed)
        if found is None:
            wanted.append(wish)
            continue
        keep.update(found)
        for port in found:
            there.remove(port)
    return Change([part for port in published for part in _kept(port, keep)], in_order(wanted))


def _choosiness(wish: Wanted) -> tuple[int, int]:
    """Who can be fulfilled by few ports chooses first."""
    return wish.host.size if wish.host != ANY_PORT else 1 << 16, -len(wish.host_ips)


def _units(published: Sequence[Published]) -> Iterator[Published]:
    for port in published:
        yield from _parts(port)


def _parts(port: Published) -> Iterator[Published]:
    """A run, one by one."""
    for n in range(port.count):
        host_port = port.host_port + n if port.host_port else 0
        yield msgspec.structs.replace(port, container_port=port.container_port + n, host_port=host_port, count=1)


def _fulfilled(wish: Wanted, there: Sequence[Published], routed: frozenset[int]) -> list[Published] | None:
    """The published ports that are this wish, one an address; None when there is an address without."""
    at_home = {ip for ip in wish.host_ips if (6 if ":" in ip else 4) in routed}
    found = [p for p in there if p.host_ip in at_home and not p.host_port]
    if {p.host_ip for p in found} != at_home:
        return None
    away = [ip for ip in wish.host_ips if ip not in at_home]
    if not away:
        return found
    for number in dict.fromkeys(p.host_port for p in there if p.host_port):
        if wish.host == ANY_PORT or wish.host.first <= number <= wish.host.last:
            fits = {p.host_ip: p for p in there if p.host_port == number}
            if all(ip in fits for ip in away):
                return [*found, *(fits[ip] for ip in away)]
    return None


def _kept(port: Published, keep: set[Published]) -> Iterator[Published]:
    """The parts of one published port that stay: all of it, or runs of what is left."""
    parts = list(_parts(port))
    for stays, run in groupby(parts, key=keep.__contains__):
        if stays:
            first, *rest = run
            yield msgspec.structs.replace(first, count=1 + len(rest))
