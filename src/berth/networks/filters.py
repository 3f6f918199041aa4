"""Docker's filters of the network list and of prune. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from berth.base.errors import InvalidArgument
from berth.networks.records import NetworkRecord

Filters = Mapping[str, Sequence[str]]
_LIST = ("dangling", "driver", "id", "label", "name", "scope", "type")
_PRUNE = ("label", "label!", "until")


def check_list(filters: Filters) -> None:
    """Raises: InvalidArgument for a filter that the list doesn't have, or a value that it can't have."""
    _check(filters, _LIST)
    for value in filters.get("type", ()):
        if value not in ("builtin", "custom"):
            raise InvalidArgument(f"invalid filter: 'type'='{value}'")
    for value in filters.get("dangling", ()):
        if value not in ("1", "true", "0", "false"):
            raise InvalidArgument(f"invalid filter 'dangling=[{value}]'")


def check_prune(filters: Filters) -> None:
    """Raises: InvalidArgument for a filter that prune doesn't have."""
    _check(filters, _PRUNE)


def _check(filters: Filters, known: Sequence[str]) -> None:
    for name in filters:
        if name not in known:
            raise InvalidArgument(f"invalid filter '{name}'")


def fits(network: NetworkRecord, filters: Filters, in_use: bool) -> bool:
    """Names of filters must all hold, values of one are alternatives (labels: all of them)."""
    tests: dict[str, Callable[[str], bool]] = {
        "name": lambda v: v in network.name,
        "id": lambda v: network.id.startswith(v),
        "driver": lambda v: v == network.driver,
        "scope": lambda v: v == network.scope,
        "type": lambda v: network.predefined == (v == "builtin"),
        "dangling": lambda v: (not network.predefined and not in_use) == (v in ("1", "true")),
    }
    if not all(has_label(network, v) for v in filters.get("label", ())):
        return False
    return all(any(tests[name](v) for v in values) for name, values in filters.items() if values and name in tests)


def prune_fits(network: NetworkRecord, filters: Filters, until_ns: int | None) -> bool:
    """Whether prune may take it: labels hold, none of those that must not, made before ``until``."""
    if not all(has_label(network, v) for v in filters.get("label", ())):
        return False
    if any(has_label(network, v) for v in filters.get("label!", ())):
        return False
    return until_ns is None or network.created_ns < until_ns


def has_label(network: NetworkRecord, wanted: str) -> bool:
    """``key`` or ``key=value``."""
    key, eq, value = wanted.partition("=")
    return key in network.labels and (not eq or network.labels[key] == value)
